"""How often somebody may fail to log in: a few times at once, then with pauses that double. Pure: time is an argument.

An attempt is charged before it is judged and given back when it succeeds, so a thousand at the same moment get no further than
one after the other. Counted in this process: N catalogs allow N times as much.
"""

from dataclasses import dataclass

from cachetools import LRUCache

from reprise.errors import QuotaExceeded
from reprise.prefixes import household_of, parse_address

KEYS_MAX = 20_000


@dataclass(frozen=True, slots=True)
class Budget:
    """`free` failures without a pause; then the first pause, doubled with each further one up to the longest."""

    free: int
    pause_s: float
    pause_s_max: float
    # Without a failure for this long all is forgotten. Longer than the longest pause.
    forget_s: float = 3600.0


# Whoever guesses at one name is slowed down to 1,440 a day, and its owner never waits over a minute.
NAMES = Budget(free=5, pause_s=1.0, pause_s_max=60.0)
# Many people may share an address.
ADDRESSES = Budget(free=50, pause_s=1.0, pause_s_max=900.0)
# Each makes a row that stays.
NEW_LISTENERS = Budget(free=200, pause_s=1.0, pause_s_max=60.0)


@dataclass(slots=True)
class _Failures:
    count: int
    last_at: float
    paused_until: float


class Attempts:
    """The failures of many keys under one budget. Of KEYS_MAX the one that was silent longest is forgotten."""

    def __init__(self, budget: Budget, keys_max: int = KEYS_MAX) -> None:
        self._budget = budget
        self._failures: LRUCache[str | int, _Failures] = LRUCache(keys_max)

    def __len__(self) -> int:
        return len(self._failures)

    def pause_s(self, key: str | int, now: float) -> float:
        """How long `key` has to wait; 0 when it may try."""
        failures = self._remembered(key, now)
        return 0.0 if failures is None else max(0.0, failures.paused_until - now)

    def charge(self, key: str | int, now: float) -> None:
        """Counts an attempt as failed, until `give_back` says otherwise."""
        failures = self._remembered(key, now)
        if failures is None:
            failures = self._failures[key] = _Failures(0, now, now)
        failures.count += 1
        failures.last_at = now
        paid = failures.count - self._budget.free
        if paid > 0:
            # 2**64 seconds are enough for any pause.
            pause_s = self._budget.pause_s * 2.0 ** min(paid - 1, 64)
            failures.paused_until = now + min(self._budget.pause_s_max, pause_s)

    def give_back(self, key: str | int) -> None:
        """Takes back one charge, and the pause: it succeeded."""
        failures = self._failures.get(key)
        if failures is None:
            return
        failures.count -= 1
        failures.paused_until = failures.last_at
        if failures.count <= 0:
            del self._failures[key]

    def forgive(self, key: str | int) -> None:
        """Forgets all failures of `key`."""
        self._failures.pop(key, None)

    def _remembered(self, key: str | int, now: float) -> _Failures | None:
        failures = self._failures.get(key)
        if failures is not None and now - failures.last_at >= self._budget.forget_s:
            del self._failures[key]
            return None
        return failures


class LoginGuard:
    """Who may try to log in now, by the name that is tried and by where the attempt comes from."""

    def __init__(self) -> None:
        self.names = Attempts(NAMES)
        self.addresses = Attempts(ADDRESSES)
        self.new_listeners = Attempts(NEW_LISTENERS)

    def begin(self, name_key: str, address: str, now: float) -> None:
        """Admits an attempt at a password, and charges it. Raises QuotaExceeded, and then charges nothing."""
        household = _household(address)
        _refuse(max(self.names.pause_s(name_key, now), self.addresses.pause_s(household, now)))
        self.names.charge(name_key, now)
        self.addresses.charge(household, now)

    def succeeded(self, name_key: str, address: str) -> None:
        """The name's owner is here. Of its address only this attempt is forgiven, or one account would open all others."""
        self.names.forgive(name_key)
        self.addresses.give_back(_household(address))

    def begin_listener(self, address: str, now: float) -> None:
        """Admits a new listener without an account. Raises QuotaExceeded."""
        household = _household(address)
        _refuse(self.new_listeners.pause_s(household, now))
        self.new_listeners.charge(household, now)

    def __len__(self) -> int:
        return len(self.names) + len(self.addresses) + len(self.new_listeners)


def _household(address: str) -> str | int:
    parsed = parse_address(address)
    return address if parsed is None else household_of(parsed)


def _refuse(pause_s: float) -> None:
    if pause_s > 0:
        raise QuotaExceeded(f"too many attempts: wait {pause_s:.0f} s", retry_after_s=max(1.0, pause_s))
