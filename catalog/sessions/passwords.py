"""Passwords as argon2id hashes (RFC 9106), computed in a few threads that leave the loop alone.

An unknown name costs as much as a wrong password: a hash that nobody's password fits is verified in its place. Each computation
takes 19 MiB and some 25 ms of a core, so their number is bounded.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError

from reprise.errors import Unavailable

T = TypeVar("T")

THREADS = 2
WAITING_MAX = 64
# The least that OWASP's Password Storage Cheat Sheet asks for.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Passwords:
    """Hashes and verifies. Close it when done."""

    def __init__(self, hasher: PasswordHasher = _HASHER) -> None:
        self._hasher = hasher
        self._nobodys = hasher.hash("")
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="password")
        self.under_way = 0

    async def hash(self, password: str) -> str:
        """In PHC string format. Raises Unavailable when too many wait."""
        return await self._run(lambda: self._hasher.hash(password))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Whether `password` is the one that was hashed; never for None. Raises Unavailable when too many wait."""
        return await self._run(lambda: self._fits(hashed or self._nobodys, password)) and hashed is not None

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other parameters than today's."""
        return self._hasher.check_needs_rehash(hashed)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _fits(self, hashed: str, password: str) -> bool:
        try:
            return self._hasher.verify(hashed, password)
        except VerifyMismatchError:
            return False

    async def _run(self, work: Callable[[], T]) -> T:
        if self.under_way >= WAITING_MAX:
            raise Unavailable(f"{WAITING_MAX} passwords are being checked: try again", retry_after_s=1)
        self.under_way += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self.under_way -= 1
