"""CatalogAdminService for ingest and operators: checks the operator's token, parses, calls, answers."""

from collections.abc import Callable
from typing import Any

from catalog import wire
from catalog.publish import Publisher
from reprise import grants, rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.errors import NotReady
from reprise.grants import OPERATOR


class CatalogAdminServicer(pb_grpc.CatalogAdminServiceServicer):
    """What each method does and how it fails is written in the proto.

    Holds the operator's key alone, not the mesh key: no token of an edge can be valid here.
    """

    def __init__(self, publisher: Publisher, operator_key: bytes, now_unix_s: Callable[[], float]) -> None:
        self._publisher = publisher
        self._operator_key = operator_key
        self._now_unix_s = now_unix_s

    async def FindSources(self, request: pb.FindSourcesRequest, context: Any) -> pb.FindSourcesResponse:
        self._check_operator(context)
        songs = await self._publisher.find_sources(wire.sources(request.source_sha256))
        found = [
            pb.FindSourcesResponse.Found(source_sha256=digest, song_id=str(song_id))
            for digest, song_id in songs.items()
        ]
        return pb.FindSourcesResponse(found=found)

    async def PublishSong(self, request: pb.PublishSongRequest, context: Any) -> pb.PublishSongResponse:
        self._check_operator(context)
        published = await self._publisher.publish(wire.publication(request))
        return pb.PublishSongResponse(song_id=str(published.song_id), created=published.created)

    async def PublishRelease(self, request: pb.PublishReleaseRequest, context: Any) -> pb.PublishReleaseResponse:
        raise NotReady("this catalog has no release calendar yet")

    async def ListUpcoming(self, request: pb.ListUpcomingRequest, context: Any) -> pb.ListUpcomingResponse:
        raise NotReady("this catalog has no release calendar yet")

    def _check_operator(self, context: Any) -> None:
        grants.verify(rpc.bearer(context), self._key_of, self._now_unix_s(), audience="mesh", scope=OPERATOR)

    def _key_of(self, kid: str) -> bytes | None:
        return self._operator_key if kid == OPERATOR else None
