"""Reads a rendition from another edge or an origin: first the signed manifest, then chunks, as one stream of items.

It verifies nothing and retries nothing: the fill does both. Every wait for the next item has a limit, because neither a stopped
process nor a black hole ever says that it is one.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import grpc

from edge_node.sources import OriginSource, PeerSource, Source
from edge_node.tokens import TokenMinter
from reprise import rpc, tracing
from reprise.edge.v1 import edge_service_pb2, edge_service_pb2_grpc
from reprise.errors import Unavailable
from reprise.origin.v1 import origin_service_pb2, origin_service_pb2_grpc
from reprise.types.v1.types_pb2 import SignedManifest

Item = SignedManifest | bytes


@dataclass(frozen=True, slots=True)
class Span:
    """What to read; `chunk_count` 0 means to the end."""

    rendition_id: str
    first_chunk: int
    chunk_count: int = 0


class Upstream:
    """Streams from peers and origins over channels that are kept open."""

    def __init__(self, tokens: TokenMinter, *, item_s_max: float) -> None:
        self._tokens = tokens
        self._item_s_max = item_s_max
        self._channels = rpc.Channels()

    async def close(self) -> None:
        await self._channels.close()

    async def read(self, source: Source, span: Span, view_epoch: int) -> AsyncGenerator[Item, None]:
        """The manifest, then the chunks of `span`. Raises `reprise.errors` as the source reports them."""
        with tracing.span("edge.upstream_read", rendition_id=span.rendition_id, first_chunk=span.first_chunk):
            if isinstance(source, PeerSource):
                items = self._from_peer(source, span, view_epoch)
            else:
                items = self._from_origin(source, span)
            async for item in items:
                yield item

    async def _from_peer(self, source: PeerSource, span: Span, epoch: int) -> AsyncGenerator[Item, None]:
        stub = edge_service_pb2_grpc.EdgeServiceStub(self._channels.to(source.address))
        request = edge_service_pb2.RelayRequest(
            rendition_id=span.rendition_id,
            first_chunk=span.first_chunk,
            chunk_count=span.chunk_count,
            hops=1,
            view_epoch=epoch,
        )
        call = stub.Relay(request, metadata=rpc.bearer_metadata(source.grant))
        async for answer in self._messages(call, source.edge_id):
            yield answer.manifest if answer.HasField("manifest") else answer.chunk

    async def _from_origin(self, source: OriginSource, span: Span) -> AsyncGenerator[Item, None]:
        stub = origin_service_pb2_grpc.OriginServiceStub(self._channels.to(source.address))
        metadata = rpc.bearer_metadata(self._tokens.token("origin", "origin"))
        # Both at once: the origin finds the bytes while it reads the manifest.
        wanted = origin_service_pb2.ReadChunksRequest(
            rendition_id=span.rendition_id, first_chunk=span.first_chunk, chunk_count=span.chunk_count
        )
        chunks = stub.ReadChunks(wanted, metadata=metadata)
        try:
            asked = origin_service_pb2.GetManifestRequest(rendition_id=span.rendition_id)
            answer = await stub.GetManifest(asked, metadata=metadata, timeout=self._item_s_max)
        except grpc.aio.AioRpcError as failure:
            chunks.cancel()
            raise rpc.error_of(failure, source.address) from None
        except asyncio.CancelledError:
            chunks.cancel()
            raise
        yield answer.manifest
        async for message in self._messages(chunks, source.address):
            yield message.chunk

    async def _messages(self, call: Any, peer: str) -> AsyncGenerator[Any, None]:
        """The messages of a stream, each within the limit. One timer per stream: a `timeout()` per read leaks in grpc.aio
        when it fires (grpc#43360), and it would fire inside the library; cancelling the call from outside does not."""
        loop = asyncio.get_running_loop()
        watchdog = loop.call_later(self._item_s_max, call.cancel)
        try:
            while (message := await call.read()) is not grpc.aio.EOF:
                # Not running while the consumer works: a slow store is not a slow source.
                watchdog.cancel()
                yield message
                watchdog = loop.call_later(self._item_s_max, call.cancel)
            if await call.code() != grpc.StatusCode.OK:
                raise rpc.error_of(await _failure(call), peer)
        except grpc.aio.AioRpcError as failure:
            raise rpc.error_of(failure, peer) from None
        except asyncio.CancelledError:
            if call.cancelled() and not _being_cancelled():
                raise Unavailable(f"{peer}: sent nothing for {self._item_s_max:g} s") from None
            raise
        finally:
            watchdog.cancel()
            call.cancel()


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _failure(call: Any) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(
        await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
    )
