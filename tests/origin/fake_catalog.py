"""A catalog as far as an import sees it: songs by source, in memory, behind a real gRPC port."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prometheus_client import CollectorRegistry

from reprise import grants, rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import (
    CatalogAdminServiceServicer,
    add_CatalogAdminServiceServicer_to_server,
)
from reprise.errors import InvalidRequest, Unavailable

OPERATOR_KEY = b"k" * 32


class FakeCatalog(CatalogAdminServiceServicer):
    """Remembers what was published; fails `failures` calls first; refuses titles in `refused`."""

    def __init__(self) -> None:
        self.songs: dict[str, pb.PublishSongRequest] = {}
        self.publishes = 0
        self.failures = 0
        self.refused: set[str] = set()

    async def FindSources(self, request: pb.FindSourcesRequest, context: Any) -> pb.FindSourcesResponse:
        self._check(context)
        found = [
            pb.FindSourcesResponse.Found(source_sha256=source, song_id=f"song-{source[:8]}")
            for source in request.source_sha256
            if source in self.songs
        ]
        return pb.FindSourcesResponse(found=found)

    async def PublishSong(self, request: pb.PublishSongRequest, context: Any) -> pb.PublishSongResponse:
        self._check(context)
        if request.title in self.refused:
            raise InvalidRequest(f"title {request.title!r} is not for us")
        self.publishes += 1
        created = request.source_sha256 not in self.songs
        self.songs.setdefault(request.source_sha256, request)
        return pb.PublishSongResponse(song_id=f"song-{request.source_sha256[:8]}", created=created)

    def song(self, title: str) -> pb.PublishSongRequest:
        return next(song for song in self.songs.values() if song.title == title)

    def _check(self, context: Any) -> None:
        grants.verify(rpc.bearer(context), lambda kid: OPERATOR_KEY, time.time(), audience="mesh", scope="operator")
        if self.failures:
            self.failures -= 1
            raise Unavailable("the database does not answer")


@asynccontextmanager
async def served(catalog: FakeCatalog) -> AsyncIterator[str]:
    """The catalog's address while it runs."""
    server = rpc.server(rpc.RpcMetrics("catalog", CollectorRegistry()))
    add_CatalogAdminServiceServicer_to_server(catalog, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
