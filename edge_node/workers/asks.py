"""Questions that wait for their answers from the other end of a link."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Asks(Generic[T]):
    """Numbers questions, and hands each answer to whoever asked. An answer that nobody waits for any more is dropped."""

    def __init__(self) -> None:
        self._number = 0
        self._waiting: dict[int, asyncio.Future[T]] = {}

    async def ask(self, send: Callable[[int], None]) -> T:
        """Calls `send` with the question's number; returns the answer.."""
        self._number += 1
        number = self._number
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            send(number)
            return await future
        finally:
            del self._waiting[number]

    def answer(self, number: int, value: T) -> None:
        future = self._waiting.get(number)
        if future is not None and not future.done():
            future.set_result(value)

    def close(self, value: T) -> None:
        """No more answers will come: every question is answered with `value`."""
        for number in list(self._waiting):
            self.answer(number, value)
