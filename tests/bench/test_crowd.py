"""The crowd goes on at a second server where it left the first, and takes only the right bytes for a song."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from bench.crowd import Call, Outcome, run_crowd
from bench.wrk import http_request

SONG = bytes(range(256)) * 40
HALF = len(SONG) // 2
REQUEST = http_request("GET", "/song", {})
Answer = Callable[[bytes], bytes]


@asynccontextmanager
async def answering(answer: Answer) -> AsyncIterator[int]:
    """A server that gives one answer per connection and leaves; its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(await reader.readuntil(b"\r\n\r\n")))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def breaks_off(_request: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\n\r\n" + SONG[:HALF]


def rest(request: bytes) -> bytes:
    assert b"Range: bytes=%d-\r\n" % HALF in request
    return (
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %d-%d/%d\r\n\r\n"
        % (
            HALF,
            len(SONG) - 1,
            len(SONG),
        )
        + SONG[HALF:]
    )


async def crowd(first: Answer, second: Answer, clients: int = 3) -> Outcome:
    async with answering(first) as port, answering(second) as other:
        calls = [Call(port, REQUEST, Call(other, REQUEST))] * clients
        running: Awaitable[Outcome] = asyncio.to_thread(
            run_crowd, calls, len(SONG), hashlib.sha256(SONG).hexdigest(), 10
        )
        return await running


async def test_a_broken_answer_is_continued_at_its_byte() -> None:
    seen = await crowd(breaks_off, rest)
    assert (len(seen.done_s), len(seen.silence_s), seen.errors) == (3, 3, 0)


@pytest.mark.parametrize(
    "second",
    [
        lambda request: rest(request)[:-1] + b"x",
        lambda request: rest(request).replace(b"bytes 5120-", b"bytes 0-"),
        lambda _request: b"HTTP/1.1 200 OK\r\n\r\n" + SONG[HALF:],
        lambda _request: b"",
    ],
    ids=["wrong bytes", "another range", "no range", "nothing"],
)
async def test_what_is_not_the_rest_of_the_song_is_an_error(second: Answer) -> None:
    seen = await crowd(breaks_off, second)
    assert (len(seen.done_s), seen.errors, seen.resumed_errors) == (0, 3, 3)


async def test_who_has_no_second_server_has_an_error() -> None:
    async with answering(breaks_off) as port:
        running = asyncio.to_thread(run_crowd, [Call(port, REQUEST)], len(SONG), hashlib.sha256(SONG).hexdigest(), 10)
        seen = await running
    assert (seen.errors, seen.resumed_errors, seen.silence_s) == (1, 0, [])
