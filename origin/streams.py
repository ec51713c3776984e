"""The open ReadChunks streams: how many there are, when the last one ends, and which of them stalled.

A write to a reader that takes nothing waits on flow control without limit, so one watch for all streams cancels those that did
not move for `stall_s_max`. A timeout around each write would cost a timer per chunk, and leaks in grpc (grpc#43360).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import structlog

from origin.metrics import OriginMetrics

log = structlog.get_logger()


class Streams:
    """Registers each stream with the task that serves it."""

    def __init__(self, stall_s_max: float, metrics: OriginMetrics) -> None:
        self._stall_s_max = stall_s_max
        self._metrics = metrics
        self._moved: dict[asyncio.Task[object], float] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    async def watched(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """`chunks`, with this stream registered until it ends."""
        with self._registered() as task:
            async for chunk in chunks:
                self._moved[task] = time.monotonic()
                yield chunk

    async def wait_idle(self) -> None:
        """Returns when no stream is open."""
        await self._idle.wait()

    async def watch(self) -> None:
        """Cancels stalled streams until cancelled itself."""
        while True:
            await asyncio.sleep(self._stall_s_max / 4)
            self._cancel_stalled(time.monotonic())

    def _cancel_stalled(self, now: float) -> None:
        for task, moved_at in self._moved.items():
            if now - moved_at >= self._stall_s_max:
                self._metrics.streams_stalled.inc()
                log.warning("stream_stalled", task=task.get_name(), stall_s=round(now - moved_at, 1))
                task.cancel()

    @contextmanager
    def _registered(self) -> Iterator[asyncio.Task[object]]:
        task = asyncio.current_task()
        assert task is not None
        self._moved[task] = time.monotonic()
        self._idle.clear()
        self._metrics.streams.set(len(self._moved))
        try:
            yield task
        finally:
            del self._moved[task]
            self._metrics.streams.set(len(self._moved))
            if not self._moved:
                self._idle.set()
