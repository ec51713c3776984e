"""A TCP proxy that breaks connections in chosen ways: latency, stall, cut after N bytes, a flipped bit, a black hole.

Faults apply to what the server sends, and can be changed while connections are open. Set one at a time, so that a failing
test says which one did it.
"""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

PIECE_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to the server's bytes. All fields unset means nothing does."""

    latency_s: float = 0.0
    # Counted per connection. At this byte the connection stands still, for as long as the fault lasts.
    stall_at: int | None = None
    # At this byte it is reset.
    cut_at: int | None = None
    # This byte's lowest bit is flipped.
    flip_at: int | None = None
    # New connections are accepted and nothing is ever read from or sent to them.
    black_hole: bool = False


NO_FAULT = Fault()


@dataclass(slots=True)
class FaultProxy:
    """Forwards connections to `host`:`port`."""

    host: str
    port: int
    listens_on: int = 0
    fault: Fault = NO_FAULT
    connections: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.listens_on}"

    def set(self, fault: Fault) -> None:
        """Applies to open connections too, from their next bytes on."""
        self.fault = fault
        self._changed.set()
        self._changed = asyncio.Event()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._while(lambda fault: fault.black_hole)
            up_reader, up_writer = await asyncio.open_connection(self.host, self.port)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_copy(reader, up_writer))
                    group.create_task(self._copy_broken(up_reader, writer))
            finally:
                up_writer.close()
        except* (OSError, EOFError):
            # A reset, not an end: the other side must see that it broke.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _copy_broken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = 0
        while data := await reader.read(PIECE_BYTES):
            if self.fault.latency_s:
                await asyncio.sleep(self.fault.latency_s)
            data = _flipped(data, sent, self.fault.flip_at)
            for limit in (self.fault.stall_at, self.fault.cut_at):
                if limit is not None and sent + len(data) > limit:
                    writer.write(data[: max(0, limit - sent)])
                    data = data[max(0, limit - sent) :]
                    sent = max(sent, limit)
                    await writer.drain()
                    if limit == self.fault.cut_at:
                        raise ConnectionResetError
                    await self._while(self._stalls)
            sent += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    @staticmethod
    def _stalls(fault: Fault) -> bool:
        return fault.stall_at is not None

    async def _while(self, condition: Callable[[Fault], bool]) -> None:
        while condition(self.fault):
            await self._changed.wait()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@asynccontextmanager
async def fault_proxy(host: str, port: int) -> AsyncIterator[FaultProxy]:
    """A proxy on a free loopback port, gone with its connections after the context."""
    proxy = FaultProxy(host, port)
    server = await asyncio.start_server(proxy._serve, "127.0.0.1", 0)
    proxy.listens_on = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        await proxy._end()
        await server.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(PIECE_BYTES):
        writer.write(data)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _flipped(data: bytes, start: int, flip_at: int | None) -> bytes:
    if flip_at is None or not start <= flip_at < start + len(data):
        return data
    changed = bytearray(data)
    changed[flip_at - start] ^= 1
    return bytes(changed)
