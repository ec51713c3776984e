"""Calls to a bridge of toys without a socket in between, and what came back."""

import asyncio
import struct
from typing import Any

from prometheus_client import CollectorRegistry

from reprise import rpc
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest
from reprise.grpc_web import Bridge, method_table
from reprise.http_message import WAIT, Body, Request, Response
from reprise.origin.v1.origin_service_pb2 import ReadChunksRequest
from tests.reprise import toy

PROTO, TEXT = "application/grpc-web+proto", "application/grpc-web-text"


def bridge(
    search: toy.Search = toy.echo, read: toy.Read = toy.count, registry: CollectorRegistry | None = None
) -> Bridge:
    metrics = rpc.RpcMetrics("toy", registry or CollectorRegistry())
    return Bridge(method_table(toy.servicers(search, read)), metrics)


def framed(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">BI", 0, len(body)) + body


def call(path: str = toy.SEARCH, body: bytes = framed(SearchRequest(query="q")), **headers: str) -> Request:
    named = {"content-type": PROTO} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", path, "", named, body, "127.0.0.1")


def read_chunks(chunk_count: int, **headers: str) -> Request:
    return call(toy.READ_CHUNKS, framed(ReadChunksRequest(chunk_count=chunk_count)), **headers)


async def answer(door: Bridge, request: Request) -> Response:
    assert door.takes(request)
    response = door.handle(request)
    return response if isinstance(response, Response) else await response


def body_of(response: Response) -> Body:
    assert not isinstance(response.body, bytes)
    return response.body


async def next_frame(body: Body) -> bytes | None:
    """The next piece of a body, as a socket with room would take it."""
    while (piece := body.next()) is WAIT:
        ready = asyncio.Event()
        body.on_ready(ready.set)
        await ready.wait()
    return None if piece is None else piece.head


async def drained(response: Response) -> bytes:
    body, parts = body_of(response), []
    while (frame := await next_frame(body)) is not None:
        parts.append(frame)
    body.close()
    return b"".join(parts)


def split(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Messages and trailers of a response body; trailers must come last."""
    messages: list[bytes] = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        payload, body = body[5 : 5 + size], body[5 + size :]
        if flags == 0x80:
            assert not body, "something follows the trailers"
            return messages, dict(line.split(": ", 1) for line in payload.decode().splitlines())
        assert flags == 0
        messages.append(payload)
    raise AssertionError("no trailers")


def status_of(response: Response) -> tuple[int, str]:
    headers = dict(response.headers)
    return int(headers["grpc-status"]), headers.get("grpc-message", "")
