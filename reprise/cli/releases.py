"""The release calendar for operators: what is to come, letting it out at a moment, having it near by then."""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import grpc
from rich.table import Table

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as balancer_pb
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceStub
from reprise.cli import mesh_file, operator, songs, when
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh
from reprise.cli.narrator import Narrator
from reprise.errors import InvalidRequest, NotFound

DEADLINE_S = 10
# A preheat for now waits for edges that read at a limited rate; one for later until its moment.
PREHEAT_S_MAX = 1800
AHEAD_MS = 366 * 86_400_000


@dataclass(frozen=True, slots=True)
class Coming:
    """A release to come."""

    release_id: str
    title: str
    at_unix_ms: int
    artists: tuple[str, ...]
    songs: dict[str, str]  # titles by id

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def show(folder: Folder, *, as_json: bool) -> None:
    """Prints the calendar."""
    coming = await upcoming(mesh_file.read(folder), folder)
    if as_json:
        sys.stdout.write(json.dumps([one.as_json() for one in coming], ensure_ascii=False, indent=2) + "\n")
    elif coming:
        Narrator().table(_table(coming))
    else:
        sys.stderr.write("nothing is to come: import with --release-at\n")


async def release(folder: Folder, text: str, at: str, *, as_json: bool) -> None:
    """Lets a release out at a moment; `text` is its id or its title in the calendar."""
    at_unix_ms = when.parse(at, _now_unix_ms())
    mesh = mesh_file.read(folder)
    release_id = text if songs.is_id(text) else _named(await upcoming(mesh, folder), text).release_id
    request = pb.PublishReleaseRequest(release_id=release_id, at_unix_ms=at_unix_ms)
    async with rpc.channel(mesh.catalog.grpc) as channel:
        metadata = rpc.bearer_metadata(operator.token(folder))
        try:
            answer = await CatalogAdminServiceStub(channel).PublishRelease(
                request, timeout=DEADLINE_S, metadata=metadata
            )
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None
    if as_json:
        outcome = {"release_id": release_id, "songs": answer.songs, "at_unix_ms": answer.at_unix_ms}
        sys.stdout.write(json.dumps(outcome) + "\n")
    else:
        out = answer.at_unix_ms <= _now_unix_ms()
        sys.stdout.write(
            f"{answer.songs} songs {'are out' if out else f'come out at {when.text(answer.at_unix_ms)}'}\n"
        )


async def preheat(folder: Folder, texts: Sequence[str], at: str, *, whole: bool, as_json: bool) -> None:
    """Has songs near for a moment: those of an upcoming release by its title, others by id or search."""
    at_unix_ms = when.parse(at, _now_unix_ms())
    mesh = mesh_file.read(folder)
    request = balancer_pb.PreheatRequest(
        song_ids=await _song_ids(mesh, folder, texts), release_unix_ms=at_unix_ms, whole=whole
    )
    metadata = rpc.bearer_metadata(operator.token(folder))
    answer = await operator.ask(mesh, lambda stub: stub.Preheat(request, metadata=metadata, timeout=PREHEAT_S_MAX))
    if as_json:
        answers = [{"edge_id": edge.edge_id, "ok": edge.ok, "detail": edge.detail} for edge in answer.answers]
        sys.stdout.write(json.dumps({"starts_unix_ms": answer.starts_unix_ms, "answers": answers}) + "\n")
    elif answer.starts_unix_ms:
        sys.stdout.write(f"begins at {when.text(answer.starts_unix_ms)}\n")
    operator.report(answer.answers, quiet=as_json)


async def _song_ids(mesh: Mesh, folder: Folder, texts: Sequence[str]) -> list[str]:
    coming = await upcoming(mesh, folder)
    found: list[str] = []
    for text in texts:
        if songs.is_id(text):
            found.append(text)
            continue
        try:
            of_release = _named(coming, text)
        except NotFound:
            found.append((await songs.resolve(mesh, text)).song_id)
        else:
            found += of_release.songs
    return found


async def upcoming(mesh: Mesh, folder: Folder) -> list[Coming]:
    """What comes out within a year, soonest first."""
    found: dict[str, Coming] = {}
    request = pb.ListUpcomingRequest(until_unix_ms=_now_unix_ms() + AHEAD_MS)
    async with rpc.channel(mesh.catalog.grpc) as channel:
        stub = CatalogAdminServiceStub(channel)
        while True:
            try:
                metadata = rpc.bearer_metadata(operator.token(folder))
                page = await stub.ListUpcoming(request, timeout=DEADLINE_S, metadata=metadata)
            except grpc.aio.AioRpcError as error:
                raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None
            for row in page.upcoming:
                # A release may go on from the page before.
                known = found.setdefault(
                    row.release_id, Coming(row.release_id, row.title, row.at_unix_ms, _by(row), {})
                )
                known.songs.update({song.song_id: song.title for song in row.songs})
            if not page.next_cursor:
                return list(found.values())
            request.cursor = page.next_cursor


def _by(row: pb.ListUpcomingResponse.Upcoming) -> tuple[str, ...]:
    return tuple(credit.name for credit in row.songs[0].album.artists) if row.songs else ()


def _named(coming: Sequence[Coming], text: str) -> Coming:
    """The one release to come of that title. Raises NotFound, InvalidRequest when there are several."""
    found = [one for one in coming if one.title.casefold() == text.casefold()]
    if not found:
        raise NotFound(f"no release to come is called {text!r}: see `reprise release --list`; what is out stays out")
    if len(found) > 1:
        names = "; ".join(f"{one.release_id} by {', '.join(one.artists)}" for one in found)
        raise InvalidRequest(f"{len(found)} releases are called {text!r}, give an id: {names}")
    return found[0]


def _table(coming: Sequence[Coming]) -> Table:
    drawn = Table("at", "title", "artists", "songs", "release id", box=None, header_style="dim")
    for one in coming:
        drawn.add_row(when.text(one.at_unix_ms), one.title, ", ".join(one.artists), str(len(one.songs)), one.release_id)
    return drawn


def _now_unix_ms() -> int:
    return time.time_ns() // 1_000_000
