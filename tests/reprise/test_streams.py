"""Open streams are counted, and those whose reader takes nothing are ended; those that wait for their source are not."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from reprise.streams import Streams
from tests.support.wait import wait_until

STALL_S_MAX = 0.05


class Call:
    """The context of a call whose reader takes messages only while `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.taken: list[Any] = []

    async def write(self, message: Any) -> None:
        await self.open.wait()
        self.taken.append(message)


class Watched:
    """Streams under watch."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.streams = Streams("toy", STALL_S_MAX, self.registry)

    async def serve(self, call: Call, source: asyncio.Event | None = None) -> None:
        with self.streams.open(call) as stream:
            if source is not None:
                await source.wait()
            await stream.send("one")
            await stream.send("two")

    def stalled(self) -> float | None:
        return self.registry.get_sample_value("reprise_toy_streams_stalled_total")


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    watched = Watched()
    watch = asyncio.create_task(watched.streams.watch())
    yield watched
    watch.cancel()


async def test_a_reader_that_takes_nothing_is_ended(watched: Watched) -> None:
    serving = asyncio.create_task(watched.serve(Call()))
    await asyncio.wait([serving], timeout=10)
    assert serving.cancelled()
    assert watched.stalled() == 1
    assert len(watched.streams) == 0


async def test_a_stream_that_waits_for_its_source_is_not_ended(watched: Watched) -> None:
    call, source = Call(), asyncio.Event()
    call.open.set()
    waiting = asyncio.create_task(watched.serve(call, source))
    # The watch itself says that time enough has passed.
    for _ in range(2):
        await asyncio.wait([asyncio.create_task(watched.serve(Call()))], timeout=10)
    assert watched.stalled() == 2
    source.set()
    await waiting
    assert call.taken == ["one", "two"]


async def test_idle_is_when_the_last_stream_has_ended(watched: Watched) -> None:
    await watched.streams.wait_idle()
    calls = [Call(), Call()]
    for call in calls:
        call.open.set()
    source = asyncio.Event()
    serving = [asyncio.create_task(watched.serve(call, source)) for call in calls]
    await wait_until(lambda: len(watched.streams) == 2, "both are open")
    idle = asyncio.create_task(watched.streams.wait_idle())
    serving[0].cancel()
    await wait_until(lambda: len(watched.streams) == 1, "one has ended")
    assert not idle.done()
    source.set()
    await idle
    assert calls[1].taken == ["one", "two"]
