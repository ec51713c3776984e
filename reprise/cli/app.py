"""The commands and their options. Each checks its words, makes one call, and prints."""

import asyncio
import json
import os
import sys
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from reprise.cli import curation_app, index_app, user_app
from reprise.cli import folder as folders
from reprise.cli.narrator import Narrator
from reprise.cli.options import Data, Json
from reprise.cli.plan import Shape

app = typer.Typer(
    name="reprise",
    help="A self-hosted music-streaming mesh: run one on this machine, find a song, play it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(index_app.app)
app.add_typer(curation_app.app)
app.add_typer(user_app.app, name="user")
app.add_typer(user_app.sessions)

Songs = Annotated[
    list[str], typer.Argument(help="Song ids, or texts to search for (the first hit counts).", metavar="SONG...")
]


class DoorName(StrEnum):
    """The ways to an edge's bytes."""

    HTTP = "http"
    GRPC = "grpc"
    GRPC_WEB = "grpc-web"


@app.command()
def up(
    data: Data = None,
    edges: Annotated[int, typer.Option(help="Edge caches.")] = 3,
    regions: Annotated[str, typer.Option(help="Comma-separated; edges take turns.")] = "north,south",
    music: Annotated[
        Path | None,
        typer.Option(exists=True, help="Import this folder. [default: a few free songs]", show_default=False),
    ] = None,
    port_base: Annotated[
        int,
        typer.Option(
            help="Use ports from this number on. [default: free ones, kept over restarts]", show_default=False
        ),
    ] = 0,
    detach: Annotated[
        bool, typer.Option("--detach", help="Return when all is ready; stop with `reprise down`.")
    ] = False,
    origins: Annotated[int, typer.Option(help="Origins in front of S3.")] = 1,
    balancers: Annotated[int, typer.Option(help="Balancers.")] = 1,
    nic_bps: Annotated[int, typer.Option(help="What the network of each edge carries, in bits per second.")] = 10**9,
    pacing: Annotated[float, typer.Option(help="Long answers leave at so many times real time; 0 is at once.")] = 0,
    s3_audit_port: Annotated[
        int, typer.Option(help="Send S3's access records (fluent forward) to this loopback port.", hidden=True)
    ] = 0,
) -> None:
    """Start a mesh on this machine: engines, catalog, origin, balancer, edges, music."""
    from reprise.cli import up as runs

    regions_named = tuple(name.strip() for name in regions.split(",") if name.strip())
    shape = Shape(edges, regions_named, origins, balancers, nic_bps, pacing)
    wish = runs.Wish(
        folder=folders.locate(data),
        shape=shape,
        music=music.resolve() if music else None,
        port_base=port_base,
        s3_audit_port=s3_audit_port,
    )
    (runs.detached if detach else runs.foreground)(wish, Narrator())


@app.command()
def down(data: Data = None) -> None:
    """Stop the mesh and everything that belongs to it."""
    from reprise.cli import up as runs

    runs.down(folders.locate(data), Narrator())


@app.command("import")
def import_(
    paths: Annotated[list[Path], typer.Argument(exists=True, metavar="PATH...", help="Audio files and folders.")],
    data: Data = None,
    as_json: Json = False,
    release_at: Annotated[
        str,
        typer.Option(
            "--release-at",
            help="Nobody finds these albums before: +10m or 2026-12-01T00:00Z. [default: at once]",
            show_default=False,
        ),
    ] = "",
    ladder: Annotated[
        str, typer.Option(help="Renditions to make. [default: opus:96,opus:160,aac:128,flac]", show_default=False)
    ] = "",
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Append each file's outcome to this file, as JSON lines.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on: import what appears in the folders.")] = False,
) -> None:
    """Import songs; what is known already is skipped."""
    from reprise.cli import imports
    from reprise.cli.songs_import import Options

    files = [path.resolve() for path in paths]
    options = Options(ladder=ladder, report=report.resolve() if report else None, watch=watch)
    raise typer.Exit(
        asyncio.run(imports.run(folders.locate(data), files, options, as_json=as_json, release_at=release_at))
    )


@app.command()
def search(
    query: Annotated[list[str], typer.Argument(metavar="QUERY", help="Words of title, artist or release.")],
    data: Data = None,
    as_json: Json = False,
    limit: Annotated[int, typer.Option(min=1, max=100, help="At most so many songs.")] = 20,
) -> None:
    """Find songs."""
    from reprise.cli import mesh_file, songs

    mesh = mesh_file.read(folders.locate(data))
    found = asyncio.run(songs.search(mesh, " ".join(query), limit))
    if as_json:
        sys.stdout.write(json.dumps([song.as_json() for song in found], ensure_ascii=False, indent=2) + "\n")
    elif found:
        Narrator().table(songs.table(found))
    else:
        sys.stderr.write("nothing found: try fewer or other words\n")


@app.command()
def play(
    song: Songs,
    data: Data = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Write here, a file or a folder, instead of standard output.", show_default=False
        ),
    ] = None,
    pace: Annotated[float, typer.Option(min=0, help="Times real time; 0 is as fast as it comes.")] = 0,
    door: Annotated[DoorName, typer.Option(help="How to ask the edge.")] = DoorName.HTTP,
) -> None:
    """Fetch songs' audio through the mesh, across dying edges and balancers, and verify every byte."""
    from reprise import tracing
    from reprise.cli import mesh_file, play_command
    from reprise.cli.login import Login

    if output is None and sys.stdout.isatty():
        raise typer.BadParameter(
            "audio does not go to a terminal: give -o FILE, or pipe it, as in `reprise play SONG | mpv -`"
        )
    folder = folders.locate(data)
    mesh = mesh_file.read(folder)
    with tracing.exporting("cli", os.environ.get(tracing.ENDPOINT_VARIABLE, "")):
        asyncio.run(
            play_command.run(
                mesh, Login(folder, mesh), song, play_command.Wish(output=output, pace=pace, door=door.value)
            )
        )


@app.command()
def status(
    data: Data = None,
    as_json: Json = False,
    watch: Annotated[bool, typer.Option("--watch", help="Again and again, with what happens, until Ctrl-C.")] = False,
    interval: Annotated[float, typer.Option(min=0.1, max=60, help="Seconds between two looks of --watch.")] = 1,
) -> None:
    """What runs, and how loaded each edge is."""
    from reprise.cli import mesh_file, operator
    from reprise.cli import status as statuses

    folder = folders.locate(data)
    mesh = mesh_file.read(folder)
    if watch:
        from reprise.cli import watch as watches

        look = watches.as_lines if as_json else watches.on_screen
        with suppress(KeyboardInterrupt):
            asyncio.run(look(mesh, lambda: operator.token(folder), interval))
        return
    rows = asyncio.run(statuses.gather(mesh, operator.token(folder)))
    if as_json:
        sys.stdout.write(json.dumps([row.as_json() for row in rows], indent=2) + "\n")
    else:
        Narrator().table(statuses.table(rows))
    if not all(row.up for row in rows):
        raise typer.Exit(1)


@app.command()
def drain(
    edge: Annotated[str, typer.Argument(help="The edge's id, as `reprise status` shows it.")],
    data: Data = None,
    deadline: Annotated[int, typer.Option(min=0, max=3600, help="Seconds until streams are cut.")] = 30,
    undo: Annotated[bool, typer.Option("--undo", help="Bring a drained edge back.")] = False,
) -> None:
    """Take an edge out of service: its listeners move on, then it ends."""
    from reprise.cli import operator

    operator.drain(folders.locate(data), edge, deadline, undo=undo)


@app.command()
def prewarm(
    song: Songs,
    data: Data = None,
    at: Annotated[
        str,
        typer.Option(
            help="When listeners will come: now, +10m or 2026-12-01T00:00Z. By then the first seconds of the songs are on the"
            " edges that will serve them, brought at a rate that spares the origin. [default: whole songs everywhere, at once]",
            show_default=False,
        ),
    ] = "",
    whole: Annotated[
        bool, typer.Option("--whole", help="With --at: whole songs, not only their first seconds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring songs into the edges' caches before anyone asks."""
    from reprise.cli import operator, releases

    folder = folders.locate(data)
    if not at and (whole or as_json):
        raise typer.BadParameter("--whole and --json need --at, as in --at now")
    work = releases.preheat(folder, song, at, whole=whole, as_json=as_json) if at else operator.prewarm(folder, song)
    asyncio.run(work)


@app.command()
def release(
    album: Annotated[str, typer.Argument(help="The title of a release to come, or its id.", metavar="ALBUM")] = "",
    data: Data = None,
    at: Annotated[
        str, typer.Option(help="When it comes out: now, +10m or 2026-12-01T00:00Z.", show_default=False)
    ] = "",
    listed: Annotated[bool, typer.Option("--list", help="Show what is to come.")] = False,
    as_json: Json = False,
) -> None:
    """Let an imported release out at a moment (see `import --release-at`), or list what is to come."""
    from reprise.cli import releases

    folder = folders.locate(data)
    if listed == bool(album) or bool(album) != bool(at):
        raise typer.BadParameter("give ALBUM and --at WHEN, or --list alone")
    work = releases.show(folder, as_json=as_json) if listed else releases.release(folder, album, at, as_json=as_json)
    asyncio.run(work)


@app.command()
def purge(song: Songs, data: Data = None) -> None:
    """Drop songs from every edge's cache."""
    from reprise.cli import operator

    asyncio.run(operator.purge(folders.locate(data), song))
