"""Long bodies leave at their pace: the kernel is told after the burst, and told again when the response is over."""

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from reprise.http_message import Buffer, Pace, Piece, ReadyResponse, Request, Response, Wait
from reprise.http_sending import Sender
from reprise.http_server import HttpServer, Limits

SO_MAX_PACING_RATE = 47
UNLIMITED = 0xFFFFFFFF
BURST, RATE, SIZE = 128 * 1024, 2 * 1024 * 1024, 3 * 1024 * 1024
DATA = os.urandom(SIZE)


class Chunks:
    """DATA in pieces, each given when the one before has left."""

    def __init__(self) -> None:
        self.length: int | None = SIZE
        self._pieces = iter([Piece(DATA[start : start + 16384]) for start in range(0, SIZE, 16384)])

    def next(self) -> Piece | Wait | None:
        return next(self._pieces, None)

    def on_ready(self, wake: object) -> None:
        """It never waits."""

    def close(self) -> None:
        self._pieces = iter(())


@pytest.fixture
async def server() -> AsyncIterator[HttpServer]:
    def handle(request: Request) -> Response | ReadyResponse:
        if request.path == "/ready":
            return ReadyResponse(200, b"", 2, [b"ok"])
        pace = Pace(BURST, RATE) if request.path == "/paced" else None
        return Response(200, (), Chunks(), pace=pace)

    server = HttpServer(handle, limits=Limits(), name="t", registry=CollectorRegistry())
    yield server
    await server.stop(1)


def rate_of(server: HttpServer) -> int:
    (connection,) = server.connections
    return connection._sock.getsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE) & UNLIMITED


async def fetch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, path: str, size: int) -> bytes:
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    return await reader.readexactly(size)


async def test_a_paced_body_bursts_then_slows_down_and_leaves_its_connection_as_it_was(server: HttpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.start("127.0.0.1", 0))
    assert await fetch(reader, writer, "/ready", 2) == b"ok"
    assert rate_of(server) == UNLIMITED
    began = time.monotonic()
    writer.write(b"GET /paced HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"\r\n\r\n")
    got = await reader.readexactly(BURST + 65536)
    assert rate_of(server) == RATE
    got += await reader.readexactly(SIZE - len(got))
    assert got == DATA
    # Without a pace it takes a hundredth of this. What the kernel queued at either end is not held back, hence the third.
    assert time.monotonic() - began > (SIZE - BURST) / RATE / 3
    assert await fetch(reader, writer, "/ready", 2) == b"ok"
    assert rate_of(server) == UNLIMITED
    assert server.stats.paced == 1
    writer.close()


async def test_a_body_without_a_pace_is_never_slowed_down(server: HttpServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.start("127.0.0.1", 0))
    assert await fetch(reader, writer, "/free", SIZE) == DATA
    assert rate_of(server) == UNLIMITED
    assert server.stats.paced == 0
    writer.close()


async def test_a_socket_that_has_room_and_takes_nothing_is_left_alone_for_a_while(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the kernel is out of memory for TCP."""
    send, refusals = Sender._send, iter(range(6))

    def refuse_at_first(self: Sender, buffers: list[Buffer], *, more: bool) -> int:
        if next(refusals, None) is not None:
            raise BlockingIOError
        return send(self, buffers, more=more)

    monkeypatch.setattr(Sender, "_send", refuse_at_first)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.start("127.0.0.1", 0))
    assert await fetch(reader, writer, "/free", SIZE) == DATA
    # Each rest ends with one try of its own, and another when the socket is watched again.
    assert server.stats.out_of_memory == 3
    writer.close()
