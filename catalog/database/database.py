"""The catalog's database, on one server or several: reads near the listener that are fresh enough, writes at the primary.

Work is a coroutine over a connection and must be safe to run twice: it is run again when its connection turns out to be dead,
when it lost a race inside the server, and on another server when its own is gone. All work of the catalog is idempotent by
key, which is what makes this sound.

A read may be of a few seconds ago, unless it names a position that it must have seen: see `standings` for who may answer it.
Nobody waits longer than for two attempts' deadlines, whatever the servers do.
"""

import asyncio
from collections.abc import Sequence

from catalog.database import standings
from catalog.database.addresses import addresses
from catalog.database.positions import Position
from catalog.database.server import Bounds, Failed, Server, T, Work
from catalog.database.standings import Role
from catalog.database.watching import Watch
from catalog.metrics import CatalogMetrics
from reprise.errors import Unavailable

# A read waits so long for the nearest standby to see what it must have seen, before it goes to another server.
WAIT_SEEN_S_MAX = 0.1
# Causes by which another server may be what this one was.
_GONE = ("read_only", "disconnected", "unreachable")


class Database:
    """The servers of one catalog. Until `watch` or `probe` has looked at them, the first is taken for the primary."""

    def __init__(
        self,
        dsn: str,
        metrics: CatalogMetrics,
        *,
        connections_max: int,
        connect_timeout_s: float,
        statement_timeout_s: float,
        replicas: Sequence[str] = (),
        region: str = "",
        lag_s_max: float = 5.0,
    ) -> None:
        bounds = Bounds(connections_max, connect_timeout_s, statement_timeout_s)
        self._metrics = metrics.database
        self._servers = [Server(one, bounds, self._metrics) for one in addresses(dsn, replicas)]
        self._watch = Watch(self._servers, lag_s_max, self._metrics)
        self._region = region
        self._lag_s_max = lag_s_max
        self.deadline_s = self._servers[0].deadline_s

    @property
    def missing(self) -> str:
        """Why nothing can be read, or empty. Writes may be impossible nevertheless."""
        if all(one.role is Role.UNKNOWN and not one.missing for one in self._watch.standings):
            return "the database was not asked yet"
        causes = [one.missing for one in self._watch.standings]
        return "" if "" in causes else f"the database does not answer ({causes[0]})"

    @property
    def servers(self) -> dict[str, str]:
        """Why a server does not answer, or empty, by its name."""
        return {
            server.address.name: one.missing for server, one in zip(self._servers, self._watch.standings, strict=True)
        }

    @property
    def primary_dsn(self) -> str | None:
        """Where the primary is, if it answers."""
        index = self._watch.writer
        answers = index is not None and not self._watch.standings[index].missing
        return self._servers[index].address.dsn if answers and index is not None else None

    async def watch(self) -> None:
        """Keeps what is known of the servers true until cancelled."""
        await self._watch.run()

    async def probe(self) -> None:
        """Looks at every server once."""
        await self._watch.look()

    async def expect_all_of_now(self) -> None:
        """From now on reads see what is committed now, such as a changed schema."""
        await self._watch.expect_all_of_now()

    async def read(self, work: Work[T], at_least: Position | None = None) -> T:
        """The result of `work`, outside a transaction. Raises Unavailable."""
        return (await self.read_fresh(work, at_least))[0]

    async def read_fresh(self, work: Work[T], at_least: Position | None) -> tuple[T, bool]:
        """As `read`, and whether it was stale: no server that has seen `at_least`, or that keeps up, could be asked."""
        give_up_at = asyncio.get_running_loop().time() + self.deadline_s
        fresh = await self._fresh(at_least)
        failed = Failed("unreachable")
        for index in dict.fromkeys((*fresh, *standings.last_resorts(self._watch.standings))):
            try:
                result = await self._servers[index].read(work)
            except Failed as failure:
                failed = failure
                # A server that is only slow, or has too much to do, is not helped by asking the others too.
                is_gone = failed.cause in _GONE or self._watch.standings[index].missing
                if not is_gone or asyncio.get_running_loop().time() > give_up_at:
                    break
            else:
                is_stale = self._is_stale(index, fresh, at_least)
                name = self._servers[index].address.name
                self._metrics.reads.labels(name, "stale" if is_stale else "fresh").inc()
                return result, is_stale
        raise _refusal(failed)

    async def write(self, work: Work[T]) -> T:
        """The result of `work`, committed when this returns. Raises Unavailable: then it may have been committed or not."""
        return (await self.write_at(work))[0]

    async def write_at(self, work: Work[T]) -> tuple[T, Position]:
        """As `write`, and a position by which the result was committed: what reads it must have seen that."""
        first = self._watch.writer
        try:
            return await self._write(first, work)
        except Failed as failed:
            if not await self._may_help_again(first, failed.cause):
                raise _refusal(failed) from None
        try:
            return await self._write(self._watch.writer, work)
        except Failed as failed:
            raise _refusal(failed) from None

    async def close(self) -> None:
        for server in self._servers:
            await server.close()

    async def _fresh(self, at_least: Position | None) -> list[int]:
        """The servers that keep up and have seen `at_least`, the nearest first; waits a moment for the nearest."""
        near = standings.nearest_first(self._watch.standings, self._region, self._lag_s_max)
        if near and at_least is not None and standings.may_see_soon(self._watch.standings[near[0]], at_least):
            seen = await self._watch.wait_seen(near[0], at_least, WAIT_SEEN_S_MAX)
            self._metrics.waits.labels("seen" if seen else "gave_up").inc()
        return [index for index in near if standings.has_seen(self._watch.standings[index], at_least)]

    def _is_stale(self, index: int, fresh: list[int], at_least: Position | None) -> bool:
        # The primary answered though the last look at it did not: all is well.
        is_primary = index == self._watch.writer and standings.has_seen(self._watch.standings[index], at_least)
        return index not in fresh and not is_primary

    async def _may_help_again(self, first: int | None, cause: str) -> bool:
        """Looks for a primary that took the place of the `first`."""
        if cause == "read_only" and first is not None:
            # Its name may lead to the next primary already; its connections lead to what became a standby.
            await self._servers[first].forget_connections()
        elif cause not in _GONE or len(self._servers) == 1:
            return False
        await self._watch.look()
        return cause == "read_only" or self._watch.writer != first

    async def _write(self, index: int | None, work: Work[T]) -> tuple[T, Position]:
        if index is None:
            raise Failed("no_primary")
        result, position = await self._servers[index].write_at(work)
        if position.timeline < standings.newest_timeline(self._watch.standings):
            # It was replaced while it served this: what was written there is lost to all others.
            raise Failed("fenced")
        return result, position


def _refusal(failed: Failed) -> Unavailable:
    return Unavailable(f"the catalog's database does not answer ({failed.cause}): try again", retry_after_s=1)
