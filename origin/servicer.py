"""OriginService: checks the edge's token, asks the library, builds the answer."""

import time
from collections.abc import Callable
from contextlib import aclosing
from typing import Any

from origin.library import Library
from reprise import grants, rpc
from reprise.origin.v1 import origin_service_pb2 as pb
from reprise.origin.v1 import origin_service_pb2_grpc as pb_grpc
from reprise.streams import Streams


class OriginServicer(pb_grpc.OriginServiceServicer):
    """Answers edges; `key_of` gives the key that signs an edge's tokens."""

    def __init__(self, library: Library, streams: Streams, key_of: Callable[[str], bytes | None]) -> None:
        self._library = library
        self._streams = streams
        self._key_of = key_of

    async def GetManifest(self, request: pb.GetManifestRequest, context: Any) -> pb.GetManifestResponse:
        self._check(context)
        manifest = await self._library.manifest(request.rendition_id)
        return pb.GetManifestResponse(manifest=manifest.signed)

    # grpc.aio takes coroutines that write as well as generators; the generated types know only these.
    async def ReadChunks(self, request: pb.ReadChunksRequest, context: Any) -> None:  # type: ignore[override]
        self._check(context)
        chunks = self._library.chunks(request.rendition_id, request.first_chunk, request.chunk_count)
        with self._streams.open(context) as stream:
            async with aclosing(chunks):
                async for chunk in chunks:
                    await stream.send(pb.ReadChunksResponse(chunk=chunk))

    def _check(self, context: Any) -> None:
        grants.verify(rpc.bearer(context), self._key_of, time.time(), audience="origin", scope="origin")
