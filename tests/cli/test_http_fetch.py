"""The small HTTP client takes every kind of body, and names every way in which a server breaks off."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reprise.cli import http_fetch
from reprise.engines.ports import free_ports
from reprise.errors import Forbidden, RepriseError, Unavailable


@asynccontextmanager
async def server(answer: bytes) -> AsyncIterator[str]:
    """Sends `answer` to whoever asks, then closes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listener:
        yield f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/x"


async def fetch(answer: bytes) -> bytes:
    async with server(answer) as url, asyncio.timeout(5), http_fetch.request("GET", url, {}) as got:
        if got.status != 200:
            raise await got.refusal()
        return b"".join([piece async for piece in got.body()])


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nhello",
    ],
    ids=["length", "chunked", "until-close"],
)
async def test_a_body_of_each_kind_is_read_whole(answer: bytes) -> None:
    assert await fetch(answer) == b"hello"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhe",
    ],
    ids=["nothing", "not-http", "many-headers", "short", "bad-length", "bad-chunk", "short-chunk"],
)
async def test_a_broken_answer_is_unavailable(answer: bytes) -> None:
    with pytest.raises(Unavailable):
        await fetch(answer)


async def test_no_server_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="no connection"):
        async with http_fetch.request("GET", "http://127.0.0.1:1/", {}):
            pass


async def test_a_refusal_keeps_its_meaning_and_the_servers_words() -> None:
    with pytest.raises(Forbidden, match="not this song"):
        await fetch(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 14\r\n\r\nnot this song\n")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answer=st.binary(max_size=200))
def test_garbage_never_raises_anything_else(answer: bytes) -> None:
    try:
        asyncio.run(fetch(b"HTTP/1.1 200 OK\r\n" + answer))
    except RepriseError:
        return


async def test_where_nobody_listens_there_was_no_connection() -> None:
    (port,) = free_ports(1)
    with pytest.raises(http_fetch.NotReached, match="no connection"):
        async with http_fetch.request("GET", f"http://127.0.0.1:{port}/", {}):
            pass
