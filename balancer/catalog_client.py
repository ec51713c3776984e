"""The catalog, as far as the balancer needs it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import grpc

from balancer.calendar import Release
from balancer.songs import Renditions
from reprise import rpc, tracing
from reprise.catalog.v1.catalog_service_pb2 import GetSongsRequest, GetSongsResponse, ListUpcomingRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceStub, CatalogServiceStub
from reprise.types.v1.types_pb2 import Song

DEADLINE_S = 1.0
# Of one look at the calendar: an hour's releases of a large catalog.
UPCOMING_SONGS_MAX = 20_000


class CatalogClient:
    """Asks one catalog address over one channel."""

    def __init__(self, address: str, channel: grpc.aio.Channel, operator_token: Callable[[], str]) -> None:
        self._name = f"catalog {address}"
        self._stub = CatalogServiceStub(channel)
        self._admin = CatalogAdminServiceStub(channel)
        self._operator_token = operator_token

    async def songs(self, song_ids: Sequence[str]) -> dict[str, Renditions]:
        """Renditions of the songs that are out; raises RepriseError, Unavailable when no answer came in time."""
        request = GetSongsRequest(song_ids=song_ids)
        answer = await self._call(self._stub.GetSongs, request, tracing.outgoing())
        return _by_id_asked(answer)

    async def upcoming_songs(self, song_ids: Sequence[str]) -> dict[str, Renditions]:
        """As `songs`, those to come included."""
        request = GetSongsRequest(song_ids=song_ids, upcoming=True)
        answer = await self._call(self._stub.GetSongs, request, rpc.bearer_metadata(self._operator_token()))
        return _by_id_asked(answer)

    async def upcoming(self, until_unix_s: float) -> list[Release]:
        """What comes out up to then, soonest first; of very many the soonest. Raises as `songs`."""
        found: dict[str, Release] = {}
        cursor, songs = "", 0
        while songs < UPCOMING_SONGS_MAX:
            request = ListUpcomingRequest(until_unix_ms=int(until_unix_s * 1000), cursor=cursor)
            metadata = rpc.bearer_metadata(self._operator_token())
            answer = await self._call(self._admin.ListUpcoming, request, metadata)
            for row in answer.upcoming:
                # A release may go on from the page before.
                known = found.get(row.release_id)
                together = {**(known.songs if known else {}), **_renditions(row.songs)}
                found[row.release_id] = Release(row.release_id, row.title, row.at_unix_ms / 1000, together)
                songs += len(row.songs)
            cursor = answer.next_cursor
            if not cursor:
                break
        return list(found.values())

    async def _call(self, method: Any, request: Any, metadata: Any) -> Any:
        try:
            # Waiting for the channel rides over a restart of the catalog that is shorter than the deadline.
            return await method(request, timeout=DEADLINE_S, metadata=metadata, wait_for_ready=True)
        except grpc.aio.AioRpcError as failure:
            raise rpc.error_of(failure, self._name) from None


def _by_id_asked(answer: GetSongsResponse) -> dict[str, Renditions]:
    """A song that was merged into another one is played by its old id too: queues and links keep it."""
    found = _renditions(answer.songs)
    return found | {old: found[new] for old, new in answer.redirected_song_ids.items() if new in found}


def _renditions(songs: Iterable[Song]) -> dict[str, Renditions]:
    return {song.song_id: tuple(song.renditions) for song in songs}
