"""The line to Valkey: bounded calls, one background task, and what an outage is.

Never on the path of a route. The task does its chores one after another, once a second and at once when there is something to
tell. Without Valkey, or with one that hangs, nothing else changes: calls end after 0.2 s and one retry, then all of it rests
with growing pauses, and an outage is one line in the log.
"""

import asyncio
from collections.abc import Awaitable, Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from balancer.metrics import BalancerMetrics
from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()

ROUND_S = 1.0
PAUSE_S_MAX = 30.0
TIMEOUT_S = 0.2

Chore = Callable[[], Awaitable[None]]


def connect(url: str) -> Redis:
    """A client with every wait bounded; raises ConfigError when `url` is not one. Connects on first use."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 1),
            max_connections=2,
            decode_responses=True,
        )
    except ValueError as error:
        raise ConfigError(f"valkey_url is not a Valkey address such as redis://host:port/0: {error}") from None


class ValkeyLine:
    """Does chores over and over; each raises RedisError or OSError when Valkey does not answer."""

    def __init__(self, metrics: BalancerMetrics) -> None:
        self._chores: list[Chore] = []
        self._failures = metrics.directory_failures
        self._up = metrics.directory_up
        self._wake = asyncio.Event()
        self._lost = False

    def add(self, chore: Chore) -> None:
        self._chores.append(chore)

    def soon(self) -> None:
        """There is something to tell: the next round begins now, unless Valkey is being left alone."""
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled."""
        pause = ROUND_S
        while True:
            self._wake.clear()
            try:
                for chore in self._chores:
                    await chore()
            except (RedisError, OSError) as error:
                self._note_failure(error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, PAUSE_S_MAX)
            else:
                self._note_success()
                pause = ROUND_S
                await self._rest()

    async def _rest(self) -> None:
        try:
            async with asyncio.timeout(ROUND_S):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _note_failure(self, error: Exception) -> None:
        self._failures.inc()
        self._up.set(0)
        if not self._lost:
            log.warning("valkey_lost", error=str(error)[:200])
        self._lost = True

    def _note_success(self) -> None:
        self._up.set(1)
        if self._lost:
            log.info("valkey_back")
        self._lost = False
