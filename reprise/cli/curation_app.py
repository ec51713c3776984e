"""`reprise takedown`, `reprise merge` and `reprise alias`: their options."""

import asyncio
from enum import StrEnum
from typing import Annotated

import typer

from reprise.cli import folder as folders
from reprise.cli.options import Data, Json

app = typer.Typer()


class Kind(StrEnum):
    """What can be merged."""

    SONG = "song"
    ARTIST = "artist"
    RELEASE = "release"


@app.command()
def takedown(
    song: Annotated[
        str, typer.Argument(help="A song's id, or a text to search for (the first hit counts).", metavar="SONG")
    ] = "",
    data: Data = None,
    release: Annotated[
        str, typer.Option(metavar="ID", help="A release with all of its songs instead.", show_default=False)
    ] = "",
    restore: Annotated[bool, typer.Option("--restore", help="Put it back; needs the id.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the books.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """Take a song or a release out of search, lists, playback and every edge's cache."""
    from reprise.cli import curation

    if bool(song) == bool(release):
        raise typer.BadParameter("give SONG, or --release ID")
    if bool(reason) == restore:
        raise typer.BadParameter("give --reason TEXT, or --restore")
    wish = curation.Takedown(song=song, release_id=release, reason=reason, restore=restore)
    asyncio.run(curation.take_down(folders.locate(data), wish, as_json=as_json))


@app.command()
def merge(
    kind: Annotated[Kind, typer.Argument(metavar="song|artist|release")],
    from_id: Annotated[str, typer.Argument(metavar="FROM_ID", help="Goes; its id leads to the other one for ever.")],
    into_id: Annotated[str, typer.Argument(metavar="INTO_ID", help="Stays.")],
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Make one of two that are the same. There is no way back."""
    from reprise.cli import curation

    asyncio.run(curation.merge(folders.locate(data), kind.value, from_id, into_id, as_json=as_json))


@app.command()
def alias(
    artist_id: Annotated[str, typer.Argument(metavar="ARTIST_ID")],
    aliases: Annotated[
        list[str] | None, typer.Argument(metavar="ALIAS...", help="All of them; none takes those set before away.")
    ] = None,
    data: Data = None,
) -> None:
    """Set the other names by which an artist is found."""
    from reprise.cli import curation

    asyncio.run(curation.set_aliases(folders.locate(data), artist_id, aliases or []))
