"""The HTTP server by its wire: what goes in as bytes, what comes out as bytes, and what is given back when it ends."""

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from reprise.errors import QuotaExceeded
from reprise.http_message import WAIT, Piece, Request, Response, Wait, text_response
from reprise.http_request import RequestParser
from reprise.http_server import HttpServer, Limits

DATA = random.Random(5).randbytes(3_000_000)


class FileBody:
    """A file in pieces, with a pause before each `pause_before` byte."""

    def __init__(self, fd: int, length: int | None, pause_before: tuple[int, ...] = (), fail_at: int = -1) -> None:
        self.length = length
        self.closed = 0
        self.wakes: list[Callable[[], None]] = []
        self._fd, self._position, self._pauses, self._fail_at = fd, 0, set(pause_before), fail_at

    def next(self) -> Piece | Wait | None:
        if self._position == self._fail_at:
            raise QuotaExceeded("no more")
        if self._position in self._pauses:
            self._pauses.discard(self._position)
            return WAIT
        if self._position >= len(DATA):
            return None
        head = DATA[self._position : self._position + 10]
        count = min(100_000, len(DATA) - self._position) - len(head)
        piece = Piece(head, self._fd, self._position + len(head), count)
        self._position += len(head) + count
        return piece

    def on_ready(self, wake: Callable[[], None]) -> None:
        self.wakes.append(wake)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def data_fd(tmp_path: Path) -> Iterator[int]:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    fd = os.open(path, os.O_RDONLY)
    yield fd
    os.close(fd)


class Site:
    """A small site with one of everything."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.bodies: list[FileBody] = []
        self.slow: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.seen: list[Request] = []

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        self.seen.append(request)
        match request.path:
            case "/sized":
                return self._file(len(DATA))
            case "/chunked":
                return self._file(None)
            case "/paused":
                return self._file(None, (0, 200_000))
            case "/short":
                return self._file(len(DATA) + 1)
            case "/failing":
                return self._file(None, fail_at=200_000)
            case "/slow":
                return self.slow
            case "/broken":
                raise ZeroDivisionError("secret detail")
            case "/quota":
                raise QuotaExceeded("too many", retry_after_s=3)
        return text_response(200, f"{request.method} {request.path}?{request.query} {len(request.body)}")

    def _file(self, length: int | None, pauses: tuple[int, ...] = (), fail_at: int = -1) -> Response:
        self.bodies.append(FileBody(self.fd, length, pauses, fail_at))
        return Response(200, (), self.bodies[-1])


class Wire:
    """The running server and raw conversations with it."""

    def __init__(self, server: HttpServer, site: Site, port: int) -> None:
        self.server, self.site, self.port = server, site, port

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, limit=8 << 20)

    async def talk(self, *sent: bytes) -> bytes:
        """Everything the server says until it closes."""
        reader, writer = await self.connect()
        for part in sent:
            writer.write(part)
            await writer.drain()
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()

    async def settled(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0)


LIMITS = Limits(connections_max=20, header_bytes_max=4096, body_bytes_max=10_000)


@pytest.fixture
async def wire(data_fd: int) -> AsyncIterator[Wire]:
    site = Site(data_fd)
    server = HttpServer(site, limits=LIMITS, name="test", registry=CollectorRegistry())
    port = server.start("127.0.0.1", 0)
    yield Wire(server, site, port)
    await server.stop(0.1)
    assert not server.connections
    assert all(body.closed == 1 for body in site.bodies), "every body is closed exactly once"


def get(path: str, *headers: str, version: str = "1.1", method: str = "GET") -> bytes:
    lines = [f"{method} {path} HTTP/{version}", "Host: test", *headers]
    return "\r\n".join([*lines, "", ""]).encode()


def parse(answer: bytes) -> tuple[int, dict[str, str], bytes]:
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    return int(status.split()[1]), {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}, body


def dechunk(body: bytes) -> bytes:
    """Strict: any error in the coding fails."""
    out, at = [], 0
    while True:
        end = body.index(b"\r\n", at)
        size = int(body[at:end], 16)
        at = end + 2
        out.append(body[at : at + size])
        assert body[at + size : at + size + 2] == b"\r\n"
        at += size + 2
        if size == 0:
            assert at == len(body)
            return b"".join(out)


async def test_a_sized_body_arrives_whole(wire: Wire) -> None:
    status, headers, body = parse(await wire.talk(get("/sized", "Connection: close")))
    assert (status, headers["content-length"]) == (200, str(len(DATA)))
    assert body == DATA


@pytest.mark.parametrize("path", ["/chunked", "/paused"])
async def test_a_body_of_unknown_length_is_chunked_on_keep_alive_connections(wire: Wire, path: str) -> None:
    reader, writer = await wire.connect()
    writer.write(get(path) + get("/end", "Connection: close"))
    if path == "/paused":
        for pause in (1, 2):
            await wire.settled(lambda pause=pause: bool(wire.site.bodies) and len(wire.site.bodies[0].wakes) == pause)
            wire.site.bodies[0].wakes[-1]()
    answer = await asyncio.wait_for(reader.read(), 10)
    first, _, second = answer.rpartition(b"HTTP/1.1 200")
    _, headers, body = parse(first)
    assert headers["transfer-encoding"] == "chunked"
    assert dechunk(body) == DATA
    assert second.endswith(b"GET /end? 0\n")
    writer.close()


async def test_the_head_leaves_before_a_body_that_waits(wire: Wire) -> None:
    reader, writer = await wire.connect()
    writer.write(get("/paused"))
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
    assert head.startswith(b"HTTP/1.1 200 OK")
    writer.close()


async def test_an_http_1_0_client_gets_the_body_until_close(wire: Wire) -> None:
    _, headers, body = parse(await wire.talk(get("/chunked", version="1.0")))
    assert "transfer-encoding" not in headers
    assert headers["connection"] == "close"
    assert body == DATA


async def test_pipelined_requests_are_answered_in_order_even_when_the_first_is_slow(wire: Wire) -> None:
    reader, writer = await wire.connect()
    writer.write(get("/slow") + get("/b") + get("/c", "Connection: close"))
    await wire.settled(lambda: len(wire.site.seen) == 1)
    wire.site.slow.set_result(text_response(200, "first"))
    answer = await asyncio.wait_for(reader.read(), 10)
    assert [answer.index(mark) for mark in (b"first", b"/b", b"/c")] == sorted(
        answer.index(mark) for mark in (b"first", b"/b", b"/c")
    )
    writer.close()


async def test_a_request_in_any_pieces_is_one_request(wire: Wire) -> None:
    message = get("/x?q=1", "Content-Length: 5", "Connection: close", method="POST") + b"hello"
    reader, writer = await wire.connect()
    for byte in message:
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await asyncio.wait_for(reader.read(), 10)).endswith(b"POST /x?q=1 5\n")
    writer.close()


async def test_head_and_304_have_no_body(wire: Wire) -> None:
    status, headers, body = parse(await wire.talk(get("/sized", "Connection: close", method="HEAD")))
    assert (status, headers["content-length"], body) == (200, str(len(DATA)), b"")


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GARBAGE\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nBad Header\r\n\r\n", 400),
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        (get("/", "X: " + "a" * 5000), 431),
        (get("/", *[f"X-{n}: {'a' * 100}" for n in range(60)]), 431),
        (get("/", "Content-Length: 10001", method="POST"), 413),
        (get("/", "Transfer-Encoding: chunked", method="POST") + b"2800\r\n" + b"a" * 0x2800 + b"\r\n0\r\n\r\n", 413),
        (get("/", "Content-Length: 5", "Transfer-Encoding: chunked", method="POST") + b"0\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
async def test_what_is_no_request_or_too_much_is_refused_with_a_line(
    wire: Wire, request_bytes: bytes, status: int
) -> None:
    answer = await wire.talk(request_bytes)
    assert parse(answer)[0] == status
    assert b"Traceback" not in answer
    assert len(parse(answer)[2].splitlines()) == 1


async def test_a_stray_exception_is_500_with_an_id_and_nothing_else(wire: Wire) -> None:
    status, _, body = parse(await wire.talk(get("/broken", "Connection: close")))
    assert status == 500
    assert b"secret" not in body
    assert b"id " in body


async def test_an_error_carries_its_pause(wire: Wire) -> None:
    status, headers, _ = parse(await wire.talk(get("/quota", "Connection: close")))
    assert (status, headers["retry-after"]) == (429, "3")


@pytest.mark.parametrize("path", ["/short", "/failing"])
async def test_a_body_that_ends_early_is_cut_by_a_reset(wire: Wire, path: str) -> None:
    reader, writer = await wire.connect()
    writer.write(get(path))
    with pytest.raises(ConnectionResetError):
        await asyncio.wait_for(reader.read(-1), 10)
    writer.close()


async def test_a_client_that_leaves_gives_its_body_back(wire: Wire) -> None:
    for path in ("/sized", "/paused"):
        _, writer = await wire.connect()
        writer.write(get(path))
        await wire.settled(lambda: bool(wire.site.bodies))
        writer.transport.abort()
        await wire.settled(lambda: wire.site.bodies[-1].closed == 1)
        wire.site.bodies.clear()


async def test_a_client_that_leaves_cancels_its_handler(wire: Wire) -> None:
    _, writer = await wire.connect()
    writer.write(get("/slow"))
    await wire.settled(lambda: len(wire.site.seen) == 1)
    writer.transport.abort()
    await wire.settled(wire.site.slow.cancelled)


async def test_expect_is_answered_before_the_body_is_sent(wire: Wire) -> None:
    reader, writer = await wire.connect()
    writer.write(get("/", "Expect: 100-continue", "Content-Length: 3", "Connection: close", method="POST"))
    assert await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5) == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"abc")
    assert (await asyncio.wait_for(reader.read(), 5)).endswith(b"POST /? 3\n")
    writer.close()


async def test_an_upgrade_is_declined_by_answering_in_http_1_1(wire: Wire) -> None:
    answer = await wire.talk(get("/x", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAA"))
    assert parse(answer)[0] == 200


async def test_too_many_connections_are_told_to_come_back(wire: Wire) -> None:
    held = [await wire.connect() for _ in range(LIMITS.connections_max)]
    await wire.settled(lambda: len(wire.server.connections) == LIMITS.connections_max)
    status, headers, _ = parse(await wire.talk(b""))
    assert (status, headers["retry-after"]) == (503, "1")
    for _, writer in held:
        writer.close()


async def test_deadlines_end_idle_late_and_stalled_connections(wire: Wire) -> None:
    idle, late, stalled = [await wire.connect() for _ in range(3)]
    late[1].write(b"GET /late HTTP/1.1\r\n")
    stalled[1].write(get("/sized"))
    await wire.settled(lambda: len(wire.server.connections) == 3 and bool(wire.site.bodies))
    await wire.settled(lambda: any(c.deadline < float("inf") for c in wire.server.connections))
    for connection in list(wire.server.connections):
        connection.expire()
    assert await asyncio.wait_for(idle[0].read(), 5) == b""
    assert parse(await asyncio.wait_for(late[0].read(), 5))[0] == 408
    assert wire.site.bodies[0].closed == 1
    for _, writer in (idle, late, stalled):
        writer.close()


async def test_a_stopping_server_finishes_what_is_under_way(data_fd: int) -> None:
    site = Site(data_fd)
    server = HttpServer(site, limits=LIMITS, name="test", registry=CollectorRegistry())
    wire = Wire(server, site, server.start("127.0.0.1", 0))
    reader, writer = await wire.connect()
    writer.write(get("/slow"))
    await wire.settled(lambda: len(site.seen) == 1)
    stopping = asyncio.create_task(server.stop(5))
    await asyncio.sleep(0)
    site.slow.set_result(text_response(200, "done"))
    answer = await asyncio.wait_for(reader.read(), 5)
    assert answer.endswith(b"done\n")
    assert parse(answer)[1]["connection"] == "close"
    writer.close()
    await stopping


@settings(max_examples=200)
@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=4))
def test_the_parser_takes_any_bytes_in_any_pieces(data: bytes, cuts: list[int]) -> None:
    parser = RequestParser("peer", 4096, 4096)
    edges = sorted({0, *(c for c in cuts if c < len(data)), len(data)})
    for start, end in itertools.pairwise(edges):
        done = parser.feed(data[start:end])
        if any(isinstance(entry, Response) for entry in done):
            assert all(400 <= entry.status < 500 for entry in done if isinstance(entry, Response))
            break


@given(st.lists(st.integers(1, 400), max_size=5), st.integers(1, 5))
def test_any_split_of_good_requests_gives_the_same_requests(cuts: list[int], count: int) -> None:
    data = b"".join(get(f"/{n}", "Content-Length: 4", method="PUT") + b"body" for n in range(count))
    edges = sorted({0, *(c for c in cuts if c < len(data)), len(data)})
    parser = RequestParser("peer", 4096, 4096)
    done = [entry for a, b in itertools.pairwise(edges) for entry in parser.feed(data[a:b])]
    assert [(entry[0].path, entry[0].body) for entry in done if isinstance(entry, tuple)] == [
        (f"/{n}", b"body") for n in range(count)
    ]
