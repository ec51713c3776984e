"""The fault proxy breaks exactly what it is told to break: a fault that does nothing would make every chaos test pass."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.support.faults import NO_FAULT, Fault, FaultProxy, fault_proxy

CONTENT = bytes(range(256)) * 400


@asynccontextmanager
async def proxied() -> AsyncIterator[FaultProxy]:
    """A proxy in front of a server that sends CONTENT to whoever sends a byte."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.read(1):
            writer.write(CONTENT)
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server, fault_proxy("127.0.0.1", server.sockets[0].getsockname()[1]) as proxy:
        yield proxy


async def ask(proxy: FaultProxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.listens_on)
    writer.write(b"x")
    return reader, writer


async def test_without_a_fault_every_byte_passes() -> None:
    async with proxied() as proxy:
        reader, writer = await ask(proxy)
        assert await reader.read(-1) == CONTENT
        writer.close()


async def test_a_cut_comes_at_its_byte() -> None:
    async with proxied() as proxy:
        proxy.set(Fault(cut_at=50_000))
        reader, writer = await ask(proxy)
        assert await reader.readexactly(50_000) == CONTENT[:50_000]
        with pytest.raises(ConnectionResetError):
            assert await reader.read(1) != b"", "ended cleanly"
        writer.close()


async def test_a_flip_changes_one_bit() -> None:
    async with proxied() as proxy:
        proxy.set(Fault(flip_at=40_000))
        reader, writer = await ask(proxy)
        got = await reader.read(-1)
        assert [at for at, (a, b) in enumerate(zip(got, CONTENT, strict=True)) if a != b] == [40_000]
        writer.close()


async def test_a_stall_lasts_until_the_fault_is_gone() -> None:
    async with proxied() as proxy:
        proxy.set(Fault(stall_at=30_000))
        reader, writer = await ask(proxy)
        await reader.readexactly(30_000)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        proxy.set(NO_FAULT)
        assert await reader.read(-1) == CONTENT[30_000:]
        writer.close()


async def test_a_black_hole_accepts_and_is_silent() -> None:
    async with proxied() as proxy:
        proxy.set(Fault(black_hole=True))
        reader, writer = await ask(proxy)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reader.read(1)
        writer.close()
