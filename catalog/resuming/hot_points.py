"""Heartbeats in Valkey: the newest of each listener, song and device, and what of it the database does not have yet.

A shard has a sorted set of what is due to be written, by the moment from which it may be taken. Whoever takes some moves that
moment on, which is the lease: if he dies, another takes them later. Who has written them takes them out, unless a newer
heartbeat came meanwhile. The values outlive that by minutes, so a read from a replica that lags is not older than the last
answer.

Valkey is asked for nothing that the catalog cannot do without: each call ends within TIMEOUT_S, and after a failure there is
none for a while. Then `note` says AWAY and `points_of` nothing.
"""

import asyncio
import time
from collections.abc import Awaitable, Sequence
from enum import Enum
from typing import TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from catalog.resuming.beats import SHARDS, Beat, from_text, shard_of, to_text
from catalog.resuming.breaker import Breaker
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.resume import Point
from catalog.resuming.rows import DEVICES_MAX
from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()
T = TypeVar("T")

TIMEOUT_S = 0.2
# What a read waits for Valkey at most.
READ_TIMEOUT_S = 0.05
CONNECTIONS_MAX = 16
LEASE_S = 15.0
# Of a heartbeat that waits to be written, and of one that was.
DUE_TTL_S, WRITTEN_TTL_S = 86_400, 600

_NOTE = """
local kept = redis.call('HGET', KEYS[1], ARGV[1])
if kept then
    local order = string.sub(ARGV[2], 1, 32)
    if order == string.sub(kept, 1, 32) then return {'resent', kept} end
    if order < string.sub(kept, 1, 32) then return {'stale', kept} end
elseif redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return {'full', ''} end
if not redis.call('ZSCORE', KEYS[2], ARGV[3]) then
    if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[4]) then return {'full', ''} end
    redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[3])
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[6])
return {'noted', ARGV[2]}
"""
_TAKE = """
local now = redis.call('TIME')[1]
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[1])
for _, member in ipairs(due) do redis.call('ZADD', KEYS[1], now + ARGV[2], member) end
return due
"""
_WRITTEN = """
if redis.call('HGET', KEYS[1], ARGV[1]) == ARGV[2] then
    redis.call('ZREM', KEYS[2], ARGV[3])
    if redis.call('HLEN', KEYS[1]) == 1 then redis.call('EXPIRE', KEYS[1], ARGV[4]) end
elseif redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('ZADD', KEYS[2], redis.call('TIME')[1], ARGV[3])
else redis.call('ZREM', KEYS[2], ARGV[3]) end
"""


class Noted(Enum):
    """What Valkey did with a heartbeat."""

    NOTED = "noted"
    RESENT = "resent"
    STALE = "stale"
    FULL = "full"
    AWAY = "away"


def connect(url: str) -> Redis:
    """A client with every wait bounded; raises ConfigError when `url` is not one. Connects on first use."""
    try:
        pool = BlockingConnectionPool.from_url(
            url,
            timeout=TIMEOUT_S,
            max_connections=CONNECTIONS_MAX,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
    except ValueError as error:
        raise ConfigError(f"valkey_url is not a Valkey address such as redis://host:port/0: {error}") from None
    return Redis.from_pool(pool)


class HotPoints:
    """Heartbeats in one Valkey. `due_max` bounds those that wait to be written."""

    def __init__(self, client: Redis, metrics: ResumeMetrics, *, due_max: int = 200_000) -> None:
        self._client = client
        self._due_max = due_max // SHARDS
        self._note = client.register_script(_NOTE)
        self._take = client.register_script(_TAKE)
        self._written = client.register_script(_WRITTEN)
        self._breaker = Breaker()
        self._metrics = metrics
        metrics.valkey_up.set(1)

    async def note(self, beat: Beat) -> tuple[Noted, Point | None]:
        """What became of a heartbeat, and the point that Valkey has of its device now."""
        keys = [_points_key(beat.user_id, beat.point.song_id), _due_key(shard_of(beat.user_id))]
        device_id = beat.point.device_id
        bounds = (self._due_max, DEVICES_MAX, DUE_TTL_S)
        answer = await self._ask(
            self._note(keys, [device_id, to_text(beat.point), " ".join(beat.key), *bounds]), TIMEOUT_S
        )
        if answer is None:
            return Noted.AWAY, None
        outcome, kept = answer
        return Noted(outcome), from_text(kept, beat.point.song_id, device_id)

    async def points_of(self, user_id: str, song_ids: Sequence[str]) -> list[list[Point]]:
        """The heartbeats of a listener's songs, in the order of `song_ids`; none of them when Valkey does not answer."""
        pipeline = self._client.pipeline(transaction=False)
        for song_id in song_ids:
            _ = pipeline.hgetall(_points_key(user_id, song_id))
        found = await self._ask(pipeline.execute(), READ_TIMEOUT_S) if song_ids else []
        if found is None:
            return [[] for _ in song_ids]
        return [
            [point for device_id, text in values.items() if (point := from_text(text, song_id, device_id))]
            for song_id, values in zip(song_ids, found, strict=True)
        ]

    async def take(self, shard: int, count: int) -> list[Beat]:
        """Up to `count` of a shard's that are due, which nobody else is given for LEASE_S."""
        members = await self._ask(self._take([_due_key(shard)], [count, LEASE_S]), TIMEOUT_S)
        if not members:
            return []
        keys = [tuple(member.split(" ", 2)) for member in members]
        pipeline = self._client.pipeline(transaction=False)
        for user_id, song_id, device_id in keys:
            _ = pipeline.hget(_points_key(user_id, song_id), device_id)
        texts = await self._ask(pipeline.execute(), TIMEOUT_S) or []
        beats = []
        # Without an answer there are no texts, and the lease runs out.
        for (user_id, song_id, device_id), text in zip(keys, texts, strict=False):
            point = from_text(text or "", song_id, device_id)
            if point is None:
                await self._ask(self._client.zrem(_due_key(shard), f"{user_id} {song_id} {device_id}"), TIMEOUT_S)
            else:
                beats.append(Beat(user_id, point))
        return beats

    async def written(self, beats: Sequence[Beat]) -> None:
        """They are in the database: not due any more, unless newer ones came."""
        pipeline = self._client.pipeline(transaction=False)
        for beat in beats:
            keys = [_points_key(beat.user_id, beat.point.song_id), _due_key(shard_of(beat.user_id))]
            values: list[str | int] = [beat.point.device_id, to_text(beat.point), " ".join(beat.key), WRITTEN_TTL_S]
            await self._written(keys, values, client=pipeline)
        await self._ask(pipeline.execute(), TIMEOUT_S)

    async def count_due(self) -> None:
        """Tells the metrics how many wait to be written."""
        pipeline = self._client.pipeline(transaction=False)
        for shard in range(SHARDS):
            _ = pipeline.zcard(_due_key(shard))
        counts = await self._ask(pipeline.execute(), TIMEOUT_S)
        if counts is not None:
            self._metrics.heartbeats_pending.labels("valkey").set(sum(counts))

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.aclose()

    async def _ask(self, call: Awaitable[T], timeout_s: float) -> T | None:
        """The answer, or None when there was none or Valkey is being left alone."""
        if not self._breaker.allows(time.monotonic()):
            if asyncio.iscoroutine(call):
                call.close()
            return None
        try:
            async with asyncio.timeout(timeout_s):
                answer = await call
        except (RedisError, OSError) as error:  # a TimeoutError is an OSError
            self._metrics.valkey_failures.inc()
            self._metrics.valkey_up.set(0)
            if self._breaker.failed(time.monotonic()):
                log.warning("valkey_lost", error=str(error)[:200])
            return None
        if self._breaker.succeeded():
            log.info("valkey_back")
            self._metrics.valkey_up.set(1)
        return answer


def _points_key(user_id: str, song_id: str) -> str:
    return f"reprise:resume:{{{shard_of(user_id)}}}:{user_id}:{song_id}"


def _due_key(shard: int) -> str:
    return f"reprise:resume:{{{shard}}}:due"
