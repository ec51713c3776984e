"""What operators may do: look at the mesh, and order edges to warm, drop or drain."""

from collections.abc import Callable, Sequence

from balancer.commands import Action, Answer
from balancer.mesh import EdgeView, Mesh
from balancer.reports import Reports
from balancer.songs import Songs
from reprise.errors import InvalidRequest, NotFound
from reprise.ids import check_uuid

SONGS_MAX = 100


class Operations:
    """The operators' side of the balancer; callers have been checked already."""

    def __init__(self, mesh: Mesh, reports: Reports, songs: Songs, clock: Callable[[], float]) -> None:
        self._mesh = mesh
        self._reports = reports
        self._songs = songs
        self._clock = clock

    def mesh(self) -> tuple[list[EdgeView], int]:
        """Every edge, and the epoch of the view."""
        return self._mesh.views(self._clock()), self._mesh.epoch

    async def send(self, edge_ids: Sequence[str], action: Action) -> list[Answer]:
        """Sends to these edges, or to all that are connected, and waits for what becomes of it."""
        return await self._reports.ask(list(dict.fromkeys(edge_ids)), action)

    async def rendition_ids(self, song_ids: Sequence[str]) -> tuple[str, ...]:
        """All renditions of these songs; raises NotFound that names the first song without any."""
        if not 0 < len(song_ids) <= SONGS_MAX:
            raise InvalidRequest(f"name 1 to {SONGS_MAX} songs, not {len(song_ids)}")
        for song_id in song_ids:
            check_uuid(song_id, "song_id")
        found = await self._songs.renditions(song_ids)
        for song_id in song_ids:
            if not found[song_id]:
                raise NotFound(f"there is no song {song_id}, or it has no rendition")
        return tuple(rendition.rendition_id for song_id in song_ids for rendition in found[song_id])
