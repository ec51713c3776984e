"""The gRPC door: `Play` for listeners and `Relay` for other edges, as streams of ready-made messages."""

from contextlib import closing
from typing import Any

import grpc

from edge_node.access import Gate
from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.play_stream import PLAY_CHUNKS_MAX, info_message, redirect_message, span_of
from edge_node.ram_hits import Hit, RamHits
from edge_node.reader import Reader
from edge_node.sending import Sending, send_hit, send_span
from edge_node.sources import HOPS_MAX
from reprise import rpc
from reprise.chunks import CHUNK_BYTES, ByteRange, chunk_count
from reprise.edge.v1 import edge_service_pb2 as messages
from reprise.errors import NotReady, OutOfRange
from reprise.ids import check_id, check_sha256
from reprise.streams import Stream, Streams


class EdgeServicer:
    """Handlers of `reprise.edge.v1.EdgeService`; they send serialised messages. Without `hits` everything has a reader."""

    def __init__(self, node: Node, gate: Gate, streams: Streams, hits: RamHits | None = None) -> None:
        self._node = node
        self._gate = gate
        self._streams = streams
        self._hits = hits

    async def Play(self, request: messages.PlayRequest, context: Any) -> None:
        check_id(request.song_id, "song_id")
        rendition_id = check_sha256(request.rendition_id, "rendition_id")
        with self._gate.listen(request.grant, request.song_id, rendition_id), self._streams.open(context) as stream:
            sending = Sending(stream, PLAY_CHUNKS_MAX, self._node.draining.is_set)
            hit = self._hit(request)
            if hit is not None:
                await self._play_hit(hit, sending)
            else:
                await self._play(request, sending)

    def _hit(self, request: messages.PlayRequest) -> Hit | None:
        if self._hits is None:
            return None
        return self._hits.find(request.rendition_id, request.offset_bytes, request.length_bytes, "grpc")

    async def _play_hit(self, hit: Hit, sending: Sending) -> None:
        with closing(hit):
            await sending.stream.send(info_message(hit.manifest, hit.span))
            await _redirect(await send_hit(hit, sending), hit.span, sending)

    async def _play(self, request: messages.PlayRequest, sending: Sending) -> None:
        first_chunk = min(request.offset_bytes // CHUNK_BYTES, 1 << 20)
        with closing(self._node.open(request.rendition_id, "grpc", first_chunk)) as reader:
            await reader.ready(MANIFEST)
            assert reader.manifest is not None
            span = span_of(request, reader.manifest.size_bytes)
            await sending.stream.send(info_message(reader.manifest, span))
            await _redirect(await send_span(reader, span, sending), span, sending)

    async def Relay(self, request: messages.RelayRequest, context: Any) -> None:
        self._gate.relay(rpc.bearer(context))
        check_sha256(request.rendition_id, "rendition_id")
        if request.hops > HOPS_MAX:
            raise NotReady(f"hop limit {HOPS_MAX} is reached: read from an origin")
        with (
            closing(self._node.open(request.rendition_id, "relay", request.first_chunk, request.hops)) as reader,
            self._streams.open(context) as stream,
        ):
            await self._relay(request, reader, stream)

    async def _relay(self, request: messages.RelayRequest, reader: Reader, stream: Stream) -> None:
        wanted_end = request.first_chunk + request.chunk_count if request.chunk_count else None
        await reader.ready(MANIFEST, wanted_end)
        assert reader.manifest is not None
        await stream.send(messages.RelayResponse(manifest=reader.manifest.signed).SerializeToString())
        size_bytes = reader.manifest.size_bytes
        count = chunk_count(size_bytes)
        if request.first_chunk >= count:
            raise OutOfRange(f"chunk {request.first_chunk} is behind the end: this rendition has {count} chunks")
        end = min(count, wanted_end or count)
        span = ByteRange(request.first_chunk * CHUNK_BYTES, min(end * CHUNK_BYTES, size_bytes))
        # Each chunk is verified by itself, and edges finish what they relay: nobody drains them away.
        await send_span(reader, span, Sending(stream, 1, lambda: False), end)


async def _redirect(position: int, span: ByteRange, sending: Sending) -> None:
    """The last message of a Play that ended early."""
    if position < span.end:
        await sending.stream.send(redirect_message(position))


def add_edge_service(servicer: EdgeServicer, server: Any) -> None:
    """Like the generated function, but for handlers that send bytes: no message is serialised per listener."""
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Play": grpc.unary_stream_rpc_method_handler(servicer.Play, messages.PlayRequest.FromString),
        "Relay": grpc.unary_stream_rpc_method_handler(servicer.Relay, messages.RelayRequest.FromString),
    }
    name = messages.DESCRIPTOR.services_by_name["EdgeService"].full_name
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))
    server.add_registered_method_handlers(name, handlers)
