"""Brings heartbeats to the database in batches: by way of Valkey, or from this process's memory if Valkey is away or full.

In memory as in Valkey only the newest of each listener, song and device is kept, and a batch goes out every FLUSH_S, which is
less than the time between two heartbeats: whoever dies, at most one is lost of each.
"""

import asyncio
from collections.abc import Sequence
from itertools import islice

from catalog.database import Database
from catalog.resuming import batches
from catalog.resuming.beats import SHARDS, Beat
from catalog.resuming.hot_points import HotPoints, Noted
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.pending import Full, Pending
from catalog.resuming.resume import Outcome, Point
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()

FLUSH_S = 5.0
BATCH = 500
# Batches of one round; what is left then waits for the next.
BATCHES_MAX = 20
PENDING_MAX = 20_000
LAST_FLUSH_S_MAX = 3.0


class Heartbeats:
    """The heartbeats of one catalog. Without `hot` all go by way of memory."""

    def __init__(self, database: Database, hot: HotPoints | None, metrics: ResumeMetrics) -> None:
        self._database = database
        self._hot = hot
        self._metrics = metrics
        self._pending = Pending(PENDING_MAX)
        metrics.heartbeats_pending.labels("memory").set_function(lambda: len(self._pending))

    async def note(self, beat: Beat) -> tuple[Outcome, Point]:
        """What became of a heartbeat, and the point that is known of its device now. Raises Unavailable when all is full."""
        if self._hot is not None:
            noted, kept = await self._hot.note(beat)
            match noted:
                case Noted.NOTED:
                    return Outcome.ACCEPTED, beat.point
                case Noted.RESENT | Noted.STALE:
                    return Outcome(noted.value), kept or beat.point
                case Noted.FULL:
                    self._metrics.heartbeats_overflowed.labels("valkey").inc()
        return self._keep(beat)

    async def points_of(self, user_id: str, song_ids: Sequence[str]) -> list[list[Point]]:
        """What of the listener's songs is on its way to the database, or was lately."""
        hot = [[] for _ in song_ids] if self._hot is None else await self._hot.points_of(user_id, song_ids)
        for points, song_id in zip(hot, song_ids, strict=True):
            points += self._pending.points_of(user_id, song_id)
        return hot

    async def run(self) -> None:
        """Flushes until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_S)
            await self.flush()

    async def close(self) -> None:
        """Writes what is in memory, if the database takes it now."""
        try:
            async with asyncio.timeout(LAST_FLUSH_S_MAX):
                await self._flush_memory()
        except (TimeoutError, Unavailable):
            log.warning("heartbeats_lost", count=len(self._pending))

    async def flush(self) -> None:
        """Writes what is due, or as much as the database takes."""
        try:
            await self._flush_memory()
            if self._hot is not None:
                await self._flush_hot(self._hot)
        except Unavailable:
            # The database counts its failures. Memory keeps its own; the lease of those from Valkey runs out.
            return

    def _keep(self, beat: Beat) -> tuple[Outcome, Point]:
        try:
            return self._pending.offer(beat)
        except Full:
            self._metrics.heartbeats_overflowed.labels("memory").inc()
            raise Unavailable(
                f"{PENDING_MAX} heartbeats wait for the database already: try again", retry_after_s=10
            ) from None

    async def _flush_memory(self) -> None:
        """What is there now; what comes meanwhile is for the next time."""
        left = iter(list(self._pending))
        while some := list(islice(left, BATCH)):
            await self._write(some)
            for beat in some:
                self._pending.drop(beat)

    async def _flush_hot(self, hot: HotPoints) -> None:
        for _ in range(BATCHES_MAX):
            taken: list[Beat] = []
            for shard in range(SHARDS):
                taken += await hot.take(shard, BATCH - len(taken)) if len(taken) < BATCH else []
            if taken:
                await self._write(taken)
                await hot.written(taken)
            if len(taken) < BATCH:
                break
        await hot.count_due()

    async def _write(self, beats: Sequence[Beat]) -> None:
        count = await self._database.write(lambda connection: batches.write(connection, beats))
        self._metrics.heartbeats_written.labels("written").inc(count)
        self._metrics.heartbeats_written.labels("passed_over").inc(len(beats) - count)
