"""The three ways to get a rendition's bytes from an edge: HTTP Range, gRPC, gRPC-web. Each yields the bytes from an offset on.

A door ends when the edge's answer ends, early or not: what is missing is the caller's to see. It raises `reprise.errors` when
the edge refuses or breaks off. Bytes are not verified here.
"""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass

import grpc

from reprise import rpc, tracing
from reprise.cli import grpc_web_frames, http_fetch
from reprise.cli.failover import Attempt
from reprise.edge.v1 import edge_service_pb2 as pb
from reprise.edge.v1.edge_service_pb2_grpc import EdgeServiceStub
from reprise.errors import Unavailable

_GRPC_WEB = "application/grpc-web+proto"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is being fetched."""

    song_id: str
    rendition_id: str
    size_bytes: int


Door = Callable[[Attempt, Wanted], AsyncGenerator[bytes, None]]


async def by_http(attempt: Attempt, _wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """`GET media_url` with a Range."""
    headers = {"range": f"bytes={attempt.offset}-", **dict(tracing.outgoing())}
    async with http_fetch.request("GET", attempt.candidate.media_url, headers) as answer:
        if answer.status != 206:
            raise await answer.refusal()
        content_range = answer.headers.get("content-range", "")
        if not content_range.startswith(f"bytes {attempt.offset}-"):
            raise Unavailable(f"asked for bytes from {attempt.offset}, got {content_range!r}")
        async with aclosing(answer.body()) as body:
            async for data in body:
                yield data


async def by_grpc(attempt: Attempt, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """`EdgeService.Play`."""
    address = attempt.candidate.grpc_address
    async with rpc.channel(address) as channel:
        call = EdgeServiceStub(channel).Play(_play_request(attempt, wanted), metadata=tracing.outgoing())
        try:
            async for message in call:
                if data := _data(message, attempt):
                    yield data
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, address) from None


async def by_grpc_web(attempt: Attempt, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """`EdgeService.Play` over HTTP/1.1."""
    url = f"{attempt.candidate.http_url}/reprise.edge.v1.EdgeService/Play"
    headers = {"content-type": _GRPC_WEB, "accept": _GRPC_WEB, "x-grpc-web": "1", **dict(tracing.outgoing())}
    body = grpc_web_frames.frame(_play_request(attempt, wanted).SerializeToString())
    async with http_fetch.request("POST", url, headers, body) as answer:
        if answer.status != 200:
            raise await answer.refusal()
        # A call that is refused at once has its status in the headers.
        grpc_web_frames.raise_for_status(answer.headers)
        reader = grpc_web_frames.Reader()
        async with aclosing(answer.body()) as pieces:
            async for piece in pieces:
                for message in reader.feed(piece):
                    if data := _data(pb.PlayResponse.FromString(message), attempt):
                        yield data
        reader.end()


DOORS: dict[str, Door] = {"http": by_http, "grpc": by_grpc, "grpc-web": by_grpc_web}


def _play_request(attempt: Attempt, wanted: Wanted) -> pb.PlayRequest:
    return pb.PlayRequest(
        grant=attempt.candidate.grant,
        song_id=wanted.song_id,
        rendition_id=wanted.rendition_id,
        offset_bytes=attempt.offset,
    )


def _data(message: pb.PlayResponse, attempt: Attempt) -> bytes:
    """The audio in a message; empty for the others. Raises Unavailable when the edge sends its listeners elsewhere."""
    kind = message.WhichOneof("message")
    if kind == "redirect":
        raise Unavailable("it is going away")
    if kind == "info" and message.info.offset_bytes != attempt.offset:
        raise Unavailable(f"asked for bytes from {attempt.offset}, got {message.info.offset_bytes}")
    return message.data if kind == "data" else b""
