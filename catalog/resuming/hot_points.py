"""Heartbeats in Valkey: the newest of each listener, song and device, and what of it the database does not have yet.

A shard has a sorted set of what is due to be written, by the moment from which it may be taken. Whoever takes some moves that
moment on, which is the lease: if he dies, another takes them later. Who has written them takes them out, unless a newer
heartbeat came meanwhile. The values outlive that by minutes, so a read from a replica that lags is not older than the last
answer.

Valkey is asked for nothing that the catalog cannot do without: without its answer `note` says AWAY, and `points_of` nothing.
"""

from collections.abc import Sequence
from enum import Enum

from redis.asyncio.client import Pipeline

from catalog.resuming.beats import SHARDS, Beat, from_text, shard_of, to_text
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.pipelining import Pipelining, call
from catalog.resuming.resume import Point
from catalog.resuming.rows import DEVICES_MAX

# What a read waits for Valkey at most.
READ_WAIT_S = 0.05
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


class HotPoints:
    """Heartbeats in one Valkey. `due_max` bounds those that wait to be written."""

    def __init__(self, valkey: Pipelining, metrics: ResumeMetrics, *, due_max: int = 200_000) -> None:
        self._valkey = valkey
        self._metrics = metrics
        self._due_max = due_max // SHARDS
        self._note, self._take, self._written = map(valkey.script, (_NOTE, _TAKE, _WRITTEN))

    async def note(self, beat: Beat) -> tuple[Noted, Point | None]:
        """What became of a heartbeat, and the point that Valkey has of its device now."""
        user_id, song_id, device_id = beat.key
        keys = (_points_key(user_id, song_id), _due_key(shard_of(user_id)))
        arguments = (device_id, to_text(beat.point), " ".join(beat.key), self._due_max, DEVICES_MAX, DUE_TTL_S)
        answers = await self._valkey.ask(lambda pipeline: call(pipeline, self._note, keys, arguments))
        if answers is None:
            return Noted.AWAY, None
        ((outcome, kept),) = answers
        return Noted(outcome), from_text(kept, song_id, device_id)

    async def points_of(self, user_id: str, song_ids: Sequence[str]) -> list[list[Point]]:
        """The heartbeats of a listener's songs, in the order of `song_ids`; none of them when Valkey does not answer."""

        def question(pipeline: Pipeline) -> None:
            for song_id in song_ids:
                _ = pipeline.hgetall(_points_key(user_id, song_id))

        found = await self._valkey.ask(question, READ_WAIT_S) if song_ids else []
        if found is None:
            return [[] for _ in song_ids]
        return [
            [point for device_id, text in values.items() if (point := from_text(text, song_id, device_id))]
            for song_id, values in zip(song_ids, found, strict=True)
        ]

    async def take(self, shard: int, count: int) -> list[Beat]:
        """Up to `count` of a shard's that are due, which nobody else is given for LEASE_S."""
        due = _due_key(shard)
        taken = await self._valkey.ask(lambda pipeline: call(pipeline, self._take, (due,), (count, LEASE_S)))
        keys = [tuple(member.split(" ", 2)) for member in (taken[0] if taken else ())]

        def question(pipeline: Pipeline) -> None:
            for user_id, song_id, device_id in keys:
                _ = pipeline.hget(_points_key(user_id, song_id), device_id)

        texts = await self._valkey.ask(question) if keys else []
        # Without an answer there are no texts, and the lease runs out.
        found = list(zip(keys, texts or (), strict=False))
        if gone := [key for key, text in found if text is None]:
            await self._done([(*key, "") for key in gone])
        points = [(user_id, from_text(text or "", song_id, device_id)) for (user_id, song_id, device_id), text in found]
        return [Beat(user_id, point) for user_id, point in points if point is not None]

    async def written(self, beats: Sequence[Beat]) -> None:
        """They are in the database: not due any more, unless newer ones came."""
        await self._done([(*beat.key, to_text(beat.point)) for beat in beats])

    async def _done(self, values: Sequence[tuple[str, ...]]) -> None:
        def question(pipeline: Pipeline) -> None:
            for user_id, song_id, device_id, text in values:
                keys = (_points_key(user_id, song_id), _due_key(shard_of(user_id)))
                member = f"{user_id} {song_id} {device_id}"
                call(pipeline, self._written, keys, (device_id, text, member, WRITTEN_TTL_S))

        await self._valkey.ask(question)

    async def count_due(self) -> None:
        """Tells the metrics how many wait to be written."""

        def question(pipeline: Pipeline) -> None:
            for shard in range(SHARDS):
                _ = pipeline.zcard(_due_key(shard))

        if (counts := await self._valkey.ask(question)) is not None:
            self._metrics.heartbeats_pending.labels("valkey").set(sum(counts))

    async def close(self) -> None:
        await self._valkey.close()


def _points_key(user_id: str, song_id: str) -> str:
    return f"reprise:resume:{{{shard_of(user_id)}}}:{user_id}:{song_id}"


def _due_key(shard: int) -> str:
    return f"reprise:resume:{{{shard}}}:due"
