"""Waiting for a condition with a deadline, instead of sleeping and hoping."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")
POLL_S = 0.02


async def wait_until(condition: Callable[[], T], what: str, deadline_s: float = 10.0) -> T:
    """The first true value of `condition`; fails with `what` at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(POLL_S)


async def eventually(ask: Callable[[], Awaitable[bool]], what: str, deadline_s: float = 10.0) -> None:
    """Asks until the answer is true; fails with `what` at the deadline."""
    end = time.monotonic() + deadline_s
    while not await ask():
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(POLL_S)
