"""The catalog, as far as the balancer needs it."""

from collections.abc import Sequence

import grpc

from balancer.songs import Renditions
from reprise import rpc, tracing
from reprise.catalog.v1.catalog_service_pb2 import GetSongsRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

DEADLINE_S = 1.0


class CatalogClient:
    """Asks one catalog address over one channel."""

    def __init__(self, address: str, channel: grpc.aio.Channel) -> None:
        self._name = f"catalog {address}"
        self._stub = CatalogServiceStub(channel)

    async def songs(self, song_ids: Sequence[str]) -> dict[str, Renditions]:
        """Renditions of the songs that exist; raises RepriseError, Unavailable when no answer came in time."""
        request = GetSongsRequest(song_ids=song_ids)
        try:
            # Waiting for the channel rides over a restart of the catalog that is shorter than the deadline.
            answer = await self._stub.GetSongs(
                request, timeout=DEADLINE_S, metadata=tracing.outgoing(), wait_for_ready=True
            )
        except grpc.aio.AioRpcError as failure:
            raise rpc.error_of(failure, self._name) from None
        return {song.song_id: tuple(song.renditions) for song in answer.songs}
