"""Asks Valkey for many at once: what comes while one trip is under way goes together with the next.

In the order in which it was asked, so of two heartbeats of a device the later one is not overtaken. A trip ends within
TIMEOUT_S; after one that failed there is none for a while, and who asks is told so at once. None is the answer then.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.commands.core import AsyncScript
from redis.exceptions import RedisError

from catalog.resuming.breaker import Breaker
from catalog.resuming.metrics import ResumeMetrics
from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()

TIMEOUT_S = 0.2
# Questions of one trip, and those that may wait for theirs.
TRIP_MAX, WAITING_MAX = 250, 5_000

# Puts commands into a pipeline.
Question = Callable[[Pipeline], object]


def connect(url: str) -> Redis:
    """A client with every wait bounded; raises ConfigError when `url` is not one. Connects on first use."""
    try:
        return Redis.from_url(
            url,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            max_connections=2,
            decode_responses=True,
        )
    except ValueError as error:
        raise ConfigError(f"valkey_url is not a Valkey address such as redis://host:port/0: {error}") from None


def call(pipeline: Pipeline, script: AsyncScript, keys: Sequence[str], arguments: Sequence[str | float]) -> None:
    """Puts a script's call into a pipeline; Valkey is given the text when it does not have it."""
    pipeline.scripts.add(script)  # type: ignore[arg-type]  # annotated with the class of the client without asyncio
    _ = pipeline.evalsha(script.sha, len(keys), *keys, *arguments)


@dataclass(frozen=True, slots=True)
class _Asked:
    question: Question
    answers: "asyncio.Future[list[Any] | None]"


class Pipelining:
    """The way to one Valkey."""

    def __init__(self, client: Redis, metrics: ResumeMetrics) -> None:
        self._client = client
        self._metrics = metrics
        self._breaker = Breaker()
        self._waiting: deque[_Asked] = deque()
        self._sender: asyncio.Task[None] | None = None
        metrics.valkey_up.set(1)

    def script(self, text: str) -> AsyncScript:
        """A script for `call`."""
        return self._client.register_script(text)

    async def ask(self, question: Question, wait_s: float | None = None) -> list[Any] | None:
        """The answers to the commands of `question`, or None; also None after `wait_s`, though it be asked then."""
        if len(self._waiting) >= WAITING_MAX:
            self._metrics.valkey_failures.inc()
            return None
        asked = _Asked(question, asyncio.get_running_loop().create_future())
        self._waiting.append(asked)
        if self._sender is None:
            self._sender = asyncio.create_task(self._send())
        await asyncio.wait((asked.answers,), timeout=wait_s)
        return asked.answers.result() if asked.answers.done() else None

    async def close(self) -> None:
        if self._sender is not None:
            await self._sender
        await self._client.aclose()

    async def _send(self) -> None:
        while self._waiting:
            trip = [self._waiting.popleft() for _ in range(min(len(self._waiting), TRIP_MAX))]
            answers: list[list[Any] | None] = [None] * len(trip)
            try:
                if self._breaker.allows(time.monotonic()):
                    answers = await self._travel(trip) or answers
            finally:
                for asked, answer in zip(trip, answers, strict=True):
                    if not asked.answers.done():
                        asked.answers.set_result(answer)
        self._sender = None

    async def _travel(self, trip: list[_Asked]) -> list[list[Any] | None] | None:
        ends = []
        try:
            async with asyncio.timeout(TIMEOUT_S), self._client.pipeline(transaction=False) as pipeline:
                for asked in trip:
                    asked.question(pipeline)
                    ends.append(len(pipeline))
                answers = await pipeline.execute()
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            self._failed(len(trip), error)
            return None
        if self._breaker.succeeded():
            log.info("valkey_back")
            self._metrics.valkey_up.set(1)
        return [answers[start:end] for start, end in zip([0, *ends], ends, strict=False)]

    def _failed(self, count: int, error: Exception) -> None:
        self._metrics.valkey_failures.inc(count)
        self._metrics.valkey_up.set(0)
        if self._breaker.failed(time.monotonic()):
            log.warning("valkey_lost", error=str(error)[:200])
