"""The open gRPC streams of a service: how many there are, when the last one ends, and which of them stalled.

A write to a reader that takes nothing waits on flow control without limit, so one watch for all streams cancels those whose
message nobody took for `stall_s_max`. A timeout around each write would cost a timer per message, and leaks in grpc
(grpc#43360).

A stream that waits for its source does not stall: that wait is the source's to bound.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter

from reprise.log import get_logger

log = get_logger()
T = TypeVar("T")
_NOTHING_OFFERED = float("inf")


class Streams:
    """Registers each stream with the task that serves it."""

    def __init__(self, service: str, stall_s_max: float, registry: CollectorRegistry) -> None:
        self._stall_s_max = stall_s_max
        self._stalled = Counter(
            f"reprise_{service}_streams_stalled_total",
            "gRPC streams ended because their reader took nothing",
            registry=registry,
        )
        # When each stream offered the message that it is at.
        self._offered: dict[asyncio.Task[object], float] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._offered)

    async def watched(self, messages: AsyncGenerator[T, None]) -> AsyncGenerator[T, None]:
        """`messages`, with this stream registered until it ends; closes them."""
        with self._registered() as task:
            async with aclosing(messages):
                async for message in messages:
                    self._offered[task] = time.monotonic()
                    yield message
                    self._offered[task] = _NOTHING_OFFERED

    async def wait_idle(self) -> None:
        """Returns when no stream is open."""
        await self._idle.wait()

    async def watch(self) -> None:
        """Cancels stalled streams until cancelled itself."""
        while True:
            await asyncio.sleep(self._stall_s_max / 4)
            self._cancel_stalled(time.monotonic())

    def _cancel_stalled(self, now: float) -> None:
        for task, offered_at in self._offered.items():
            if now - offered_at >= self._stall_s_max:
                self._stalled.inc()
                log.warning("stream_stalled", task=task.get_name(), stall_s=round(now - offered_at, 1))
                task.cancel()

    @contextmanager
    def _registered(self) -> Iterator[asyncio.Task[object]]:
        task = asyncio.current_task()
        assert task is not None
        self._offered[task] = _NOTHING_OFFERED
        self._idle.clear()
        try:
            yield task
        finally:
            del self._offered[task]
            if not self._offered:
                self._idle.set()
