"""Passwords are checked in threads, not too many at once, and an unknown name costs what a wrong password costs."""

import asyncio

from catalog.sessions.passwords import WAITING_MAX, Passwords
from reprise.errors import Unavailable
from tests.catalog.conftest import QUICK_HASHER


class CountingHasher:
    """Counts verifications; else the quick one."""

    def __init__(self) -> None:
        self.verified = 0

    def verify(self, hashed: str, password: str) -> bool:
        self.verified += 1
        return QUICK_HASHER.verify(hashed, password)

    def __getattr__(self, name: str) -> object:
        return getattr(QUICK_HASHER, name)


async def test_the_password_that_was_hashed_is_verified_and_no_other(passwords: Passwords) -> None:
    hashed = await passwords.hash("correct horse")
    assert await passwords.verify("correct horse", hashed)
    assert not await passwords.verify("wrong horse", hashed)
    assert not await passwords.verify("correct horse", None)


async def test_for_an_unknown_name_a_hash_is_verified_too() -> None:
    hasher = CountingHasher()
    passwords = Passwords(hasher)  # type: ignore[arg-type]
    assert not await passwords.verify("", None)
    assert hasher.verified == 1
    passwords.close()


async def test_one_too_many_is_refused_and_none_is_forgotten(passwords: Passwords) -> None:
    outcomes = await asyncio.gather(*(passwords.hash("x") for _ in range(WAITING_MAX + 5)), return_exceptions=True)
    assert sum(isinstance(outcome, Unavailable) for outcome in outcomes) == 5
    assert passwords.under_way == 0
    assert await passwords.hash("x")
