"""The gRPC door: `Play` for listeners and `Relay` for other edges, as streams of ready-made messages."""

import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import grpc

from edge_node.access import Gate
from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.play_stream import bytes_head, info_message, redirect_message, span_of, step
from edge_node.reader import Reader
from edge_node.sources import HOPS_MAX
from reprise import rpc
from reprise.chunks import CHUNK_BYTES, chunk_count
from reprise.edge.v1 import edge_service_pb2 as messages
from reprise.errors import NotReady, OutOfRange, Unavailable
from reprise.ids import check_id, check_sha256
from reprise.streams import Streams


class EdgeServicer:
    """Handlers of `reprise.edge.v1.EdgeService`; they yield serialised messages."""

    def __init__(self, node: Node, gate: Gate, streams: Streams) -> None:
        self._node = node
        self._gate = gate
        self._streams = streams

    async def Play(self, request: messages.PlayRequest, context: Any) -> AsyncGenerator[bytes, None]:
        check_id(request.song_id, "song_id")
        check_sha256(request.rendition_id, "rendition_id")
        admitted = self._gate.listen(request.grant, request.song_id, request.rendition_id)
        try:
            reader = self._node.open(request.rendition_id, "grpc", min(request.offset_bytes // CHUNK_BYTES, 1 << 20))
            async with aclosing(self._streams.watched(self._play(request, reader))) as stream:
                async for message in stream:
                    yield message
        finally:
            admitted.release()

    async def _play(self, request: messages.PlayRequest, reader: Reader) -> AsyncGenerator[bytes, None]:
        try:
            await reader.ready(MANIFEST)
            assert reader.manifest is not None
            span = span_of(request, reader.manifest.size_bytes)
            self._node.playing(reader)
            yield info_message(reader.manifest, span)
            position = span.start
            while position < span.end:
                if self._node.draining.is_set():
                    yield redirect_message(position)
                    return
                size = step(position, span.end)
                yield await _message(reader, position, size, None)
                position += size
        finally:
            reader.close()

    async def Relay(self, request: messages.RelayRequest, context: Any) -> AsyncGenerator[bytes, None]:
        self._gate.relay(rpc.bearer(context))
        check_sha256(request.rendition_id, "rendition_id")
        if request.hops > HOPS_MAX:
            raise NotReady(f"hop limit {HOPS_MAX} is reached: read from an origin")
        reader = self._node.open(request.rendition_id, "relay", request.first_chunk, request.hops)
        async with aclosing(self._streams.watched(self._relay(request, reader))) as stream:
            async for message in stream:
                yield message

    async def _relay(self, request: messages.RelayRequest, reader: Reader) -> AsyncGenerator[bytes, None]:
        wanted_end = request.first_chunk + request.chunk_count if request.chunk_count else None
        try:
            await reader.ready(MANIFEST, wanted_end)
            assert reader.manifest is not None
            yield messages.RelayResponse(manifest=reader.manifest.signed).SerializeToString()
            size_bytes = reader.manifest.size_bytes
            count = chunk_count(size_bytes)
            if request.first_chunk >= count:
                raise OutOfRange(f"chunk {request.first_chunk} is behind the end: this rendition has {count} chunks")
            end = min(count, wanted_end or count)
            for chunk in range(request.first_chunk, end):
                position = chunk * CHUNK_BYTES
                yield await _message(reader, position, step(position, size_bytes), end)
        finally:
            reader.close()


async def _message(reader: Reader, position: int, size: int, fill_end: int | None) -> bytes:
    """One message of field 1; a fill that it has to start stops at chunk `fill_end`."""
    chunk = position // CHUNK_BYTES
    await reader.ready(chunk, fill_end)
    run = reader.run(position, position + size)
    if run is None:
        raise Unavailable(f"chunk {chunk} went away while it was read: ask again from offset {position}")
    return bytes_head(size) + os.pread(run.file.fd, size, run.offset)


def add_edge_service(servicer: EdgeServicer, server: Any) -> None:
    """Like the generated function, but for handlers that yield bytes: no message is serialised per listener."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Play": grpc.unary_stream_rpc_method_handler(servicer.Play, messages.PlayRequest.FromString),
        "Relay": grpc.unary_stream_rpc_method_handler(servicer.Relay, messages.RelayRequest.FromString),
    }
    name = messages.DESCRIPTOR.services_by_name["EdgeService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    server.add_registered_method_handlers(name, handlers)
