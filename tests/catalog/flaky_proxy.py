"""A TCP proxy that can refuse, cut and freeze: an unreliable network between the catalog and a healthy server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class FlakyProxy:
    """Forwards connections to (host, port) while it is well. `accepted` counts connections."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thawed = asyncio.Event()
        self._thawed.set()
        self.port = 0
        self.accepted = 0

    async def restore(self) -> None:
        """Listens, on the same port as before, and forwards."""
        self._thawed.set()
        if self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Drops every connection; new ones are still taken."""
        for writer in self._writers:
            writer.transport.abort()

    def refuse(self) -> None:
        """Drops every connection and takes no new ones, as a stopped server does."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    def freeze(self) -> None:
        """Keeps connections, old and new, and lets nothing through, as a hung server or a lost network does."""
        self._thawed.clear()

    async def close(self) -> None:
        self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        upstream_reader, upstream_writer = await asyncio.open_connection(*self._target)
        self._writers |= {writer, upstream_writer}
        for source, sink in ((reader, upstream_writer), (upstream_reader, writer)):
            task = asyncio.create_task(self._pump(source, sink))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self._thawed.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.transport.abort()


@asynccontextmanager
async def proxy(host: str, port: int) -> AsyncIterator[FlakyProxy]:
    """A proxy that is well at first."""
    flaky = FlakyProxy(host, port)
    await flaky.restore()
    try:
        yield flaky
    finally:
        await flaky.close()
