"""The open gRPC streams of a service: how many there are, when the last one ends, and which of them stalled.

A write to a reader that takes nothing waits on flow control without limit, so one watch for all streams cancels those whose
message nobody took for `stall_s_max`. A timeout around each write would cost a timer per message, and leaks in grpc
(grpc#43360).

A stream that waits for its source does not stall: that wait is the source's to bound.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Self

from prometheus_client import CollectorRegistry, Counter

from reprise.log import get_logger

log = get_logger()
_NOTHING_OFFERED = float("inf")


class Stream:
    """One stream, open inside its context. Made by `Streams.open`."""

    __slots__ = ("_streams", "_write", "offered_at", "task")

    def __init__(self, streams: "Streams", write: Callable[[Any], Awaitable[None]]) -> None:
        self._streams = streams
        self._write = write
        # When it offered the message that it is at.
        self.offered_at = _NOTHING_OFFERED
        self.task = asyncio.current_task()

    async def send(self, message: Any) -> None:
        """Returns when the reader has room for more."""
        self.offered_at = time.monotonic()
        await self._write(message)
        self.offered_at = _NOTHING_OFFERED

    def __enter__(self) -> Self:
        self._streams.add(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._streams.discard(self)


class Streams:
    """Registers each stream with the task that serves it."""

    def __init__(self, service: str, stall_s_max: float, registry: CollectorRegistry) -> None:
        self._stall_s_max = stall_s_max
        self._stalled = Counter(
            f"reprise_{service}_streams_stalled_total",
            "gRPC streams ended because their reader took nothing",
            registry=registry,
        )
        self._open: set[Stream] = set()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, context: Any) -> Stream:
        """A stream of the call `context`, served by the task that asks; to be entered at once."""
        return Stream(self, context.write)

    def add(self, stream: Stream) -> None:
        self._open.add(stream)
        self._idle.clear()

    def discard(self, stream: Stream) -> None:
        self._open.discard(stream)
        if not self._open:
            self._idle.set()

    async def wait_idle(self) -> None:
        """Returns when no stream is open."""
        await self._idle.wait()

    async def watch(self) -> None:
        """Cancels stalled streams until cancelled itself."""
        while True:
            await asyncio.sleep(self._stall_s_max / 4)
            self._cancel_stalled(time.monotonic())

    def _cancel_stalled(self, now: float) -> None:
        for stream in self._open:
            if now - stream.offered_at >= self._stall_s_max and stream.task is not None:
                self._stalled.inc()
                log.warning("stream_stalled", task=stream.task.get_name(), stall_s=round(now - stream.offered_at, 1))
                stream.task.cancel()
