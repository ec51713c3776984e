"""What waits on a report stream."""

import asyncio

import pytest

from balancer.commands import Command, Drain
from balancer.outbox import VIEW, Outbox
from reprise.errors import Conflict, Unavailable

FIRST, SECOND = Command("1", Drain(1)), Command("2", Drain(2))


async def test_the_view_comes_first_and_once_however_often_it_changed() -> None:
    outbox = Outbox()
    outbox.send(FIRST)
    outbox.send(SECOND)
    outbox.view_due()
    outbox.view_due()
    assert [await outbox.next() for _ in range(3)] == [VIEW, FIRST, SECOND]


async def test_an_empty_outbox_waits_for_what_comes() -> None:
    outbox = Outbox()
    await outbox.next()
    waiting = asyncio.create_task(outbox.next())
    await asyncio.sleep(0)
    assert not waiting.done()
    outbox.send(FIRST)
    assert await waiting == FIRST


async def test_the_first_reason_to_end_is_the_one_that_is_told() -> None:
    outbox = Outbox()
    first = outbox.end(Conflict("first"))
    assert outbox.end(Unavailable("second")) is first
    with pytest.raises(Conflict, match="first"):
        await outbox.next()
