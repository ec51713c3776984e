"""Keeps what is known of every server true: one look at a time over one connection each, however many reads wait for it."""

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace

from catalog.database import standings
from catalog.database.positions import Position
from catalog.database.server import Failed, Server, Sight
from catalog.database.standings import Role, Standing
from catalog.database.trail import Trail
from catalog.metrics import DatabaseMetrics
from reprise.log import get_logger

log = get_logger()

LOOK_INTERVAL_S = 0.25
# While reads wait for a standby: most arrive within a few milliseconds.
HURRIED_INTERVAL_S = 0.01


class Watch:
    """What is known of `servers`, in their order."""

    def __init__(self, servers: Sequence[Server], lag_s_max: float, metrics: DatabaseMetrics) -> None:
        self._servers = servers
        self._metrics = metrics
        self._trail = Trail(2 * lag_s_max)
        self._turns = [asyncio.Lock() for _ in servers]
        # Looks so far.
        self._begun = [0] * len(servers)
        self._waiting = 0
        self._hurry = asyncio.Event()
        self._changed = asyncio.Event()
        # Of the last primary.
        self._timeline = 0
        self.standings = [Standing(server.address.region) for server in servers]
        self.writer = standings.writer(self.standings, None)

    async def run(self) -> None:
        """Looks again and again until cancelled."""
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._servers)):
                group.create_task(self._watch(index))

    async def look(self) -> None:
        """Looks at every server once, now."""
        async with asyncio.TaskGroup() as group:
            for index in range(len(self._servers)):
                group.create_task(self._look(index))

    async def expect_all_of_now(self) -> None:
        """Standbys count again once they have what the primary has now, such as a changed schema."""
        self._trail.restart()
        if self.writer is not None:
            await self._look(self.writer)
        await self.look()

    async def wait_seen(self, index: int, at_least: Position, wait_s_max: float) -> bool:
        """Whether the server has seen `at_least` within this time. All who wait share the looks at it."""
        with self._hurried():
            try:
                async with asyncio.timeout(wait_s_max):
                    while not standings.has_seen(self.standings[index], at_least):
                        await self._changed.wait()
            except TimeoutError:
                return False
        return True

    @contextmanager
    def _hurried(self) -> Iterator[None]:
        self._waiting += 1
        self._hurry.set()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._hurry.clear()

    async def _watch(self, index: int) -> None:
        while True:
            await self._look(index)
            if self._waiting:
                await asyncio.sleep(HURRIED_INTERVAL_S)
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_INTERVAL_S):
                    await self._hurry.wait()

    async def _look(self, index: int) -> None:
        """Looks once. Of those who ask while a look is under way one looks again, for all of them."""
        begun = self._begun[index]
        async with self._turns[index]:
            if self._begun[index] == begun:
                self._begun[index] += 1
                await self._look_now(index)

    async def _look_now(self, index: int) -> None:
        try:
            seen = await self._servers[index].look()
        except Failed as failed:
            self._note_missing(index, failed)
        else:
            self._note_seen(index, seen)
        self._changed.set()
        self._changed = asyncio.Event()

    def _note_missing(self, index: int, failed: Failed) -> None:
        if self.standings[index].missing != failed.cause:
            name = self._servers[index].address.name
            log.warning("database_unreachable", server=name, cause=failed.cause, reason=failed.reason)
        self._note(index, replace(self.standings[index], missing=failed.cause))

    def _note_seen(self, index: int, seen: Sight) -> None:
        before = self.standings[index]
        now = asyncio.get_running_loop().time()
        role = Role.STANDBY if seen.is_standby else Role.PRIMARY
        if before.missing or before.role is not role:
            log.info("database_reachable", server=self._servers[index].address.name, role=role.value)
        # A moving average, and the first value as it is.
        round_trip_s = before.round_trip_s + (seen.round_trip_s - before.round_trip_s) / (
            8 if before.round_trip_s else 1
        )
        self._note(index, Standing(before.region, role, seen.position, 0.0, round_trip_s))
        if index != self.writer:
            self._note_lag(index, now)
        elif self._trail.note(now, seen.position):
            for other in range(len(self._servers)):
                self._note_lag(other, now)

    def _note_lag(self, index: int, now: float) -> None:
        standing = self.standings[index]
        if standing.role is Role.STANDBY:
            lag_s = self._trail.lag_s(now, standing.position)
            self.standings[index] = replace(standing, lag_s=lag_s)
            self._metrics.lag.labels(self._servers[index].address.name).set(lag_s)

    def _note(self, index: int, standing: Standing) -> None:
        self.standings[index] = standing
        self.writer = standings.writer(self.standings, self.writer)
        self._note_failover()
        newest = standings.newest_timeline(self.standings)
        shown = "missing" if standing.missing else standing.role.value
        if standings.is_fenced(standing, newest):
            shown = "fenced"
        for role in ("primary", "standby", "fenced", "missing"):
            self._metrics.servers.labels(self._servers[index].address.name, role).set(role == shown)

    def _note_failover(self) -> None:
        timeline = 0 if self.writer is None else self.standings[self.writer].position.timeline
        if self.writer is None or timeline <= self._timeline:
            return
        log.info("database_primary", server=self._servers[self.writer].address.name, timeline=timeline)
        if self._timeline:
            self._metrics.failovers.inc()
        self._timeline = timeline
