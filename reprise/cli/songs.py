"""Finding songs in the catalog, for people and programs."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import grpc
from rich.table import Table

from reprise import rpc
from reprise.catalog.v1.catalog_service_pb2 import GetSongsRequest, SearchRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.cli.mesh_file import Mesh
from reprise.errors import NotFound
from reprise.types.v1 import types_pb2

DEADLINE_S = 10
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")


@dataclass(frozen=True, slots=True)
class FoundSong:
    """A song as a listener sees it."""

    song_id: str
    title: str
    artists: tuple[str, ...]
    album: str
    duration_ms: int
    genres: tuple[str, ...]
    date: str
    audio_url: str

    @property
    def name(self) -> str:
        return f"{self.title} by {', '.join(self.artists)}"

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def is_id(text: str) -> bool:
    """Whether `text` is the id of something, and no text to search for."""
    return _UUID.match(text) is not None


async def search(mesh: Mesh, query: str, limit: int) -> list[FoundSong]:
    """Songs that match, best first. Raises `reprise.errors`."""
    async with rpc.channel(mesh.catalog.grpc) as channel:
        try:
            stub = CatalogServiceStub(channel)
            answer = await stub.Search(SearchRequest(query=query, page_size=limit), timeout=DEADLINE_S)
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None
    return [_found(song, mesh) for song in answer.songs]


async def resolve(mesh: Mesh, text: str) -> FoundSong:
    """The song with this id, or the first hit of a search. Raises NotFound."""
    if is_id(text):
        async with rpc.channel(mesh.catalog.grpc) as channel:
            try:
                answer = await CatalogServiceStub(channel).GetSongs(
                    GetSongsRequest(song_ids=[text]), timeout=DEADLINE_S
                )
            except grpc.aio.AioRpcError as error:
                raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None
        found = [_found(song, mesh) for song in answer.songs]
    else:
        found = await search(mesh, text, 1)
    if not found:
        raise NotFound(f"no song for {text!r}: try `reprise search`")
    return found[0]


def table(found: Sequence[FoundSong]) -> Table:
    """For a terminal."""
    drawn = Table("title", "artists", "album", "length", "song id", box=None, header_style="dim")
    for song in found:
        seconds = song.duration_ms // 1000
        length = f"{seconds // 60}:{seconds % 60:02}"
        drawn.add_row(song.title, ", ".join(song.artists), song.album, length, song.song_id)
    return drawn


def _found(song: types_pb2.Song, mesh: Mesh) -> FoundSong:
    return FoundSong(
        song_id=song.song_id,
        title=song.title,
        artists=tuple(credit.name for credit in song.artists),
        album=song.album.title,
        duration_ms=song.duration_ms,
        genres=tuple(genre.name for genre in song.genres),
        date=song.date,
        audio_url=mesh.balancers[0].http + song.audio_url,
    )
