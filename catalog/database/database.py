"""The way to PostgreSQL: a bounded pool, a deadline on every step, and one error when it does not answer.

Work is a coroutine over a connection and must be safe to run twice: it is run again, once, when its connection turns out
to be dead (the server was restarted behind the pool) or when it lost a race inside the server. All work of the catalog is
idempotent by key, which is what makes this sound.

Nobody waits longer than `deadline_s`, whatever the database does: refuse, hang, or vanish from the network.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from catalog.database.connecting import connect
from catalog.database.failures import FAILURES, cause_of
from catalog.database.positions import Position, lsn_of
from catalog.metrics import CatalogMetrics
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()
T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

POOL_WAIT_S = 1.0
PROBE_INTERVAL_S = 0.5
# The end of the log, and the name of its file: from its first eight digits on a timeline is true as soon as it began, while
# the control file tells it only after the next checkpoint.
_POSITION = sa.text("SELECT pg_current_wal_insert_lsn()::text, pg_walfile_name(pg_current_wal_insert_lsn())")


class Database:
    """The pool of one process. `missing` says why the database is not usable, or is empty."""

    def __init__(
        self,
        dsn: str,
        metrics: CatalogMetrics,
        *,
        connections_max: int,
        connect_timeout_s: float,
        statement_timeout_s: float,
    ) -> None:
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: connect(dsn, connect_timeout_s, statement_timeout_s),
            pool_size=connections_max,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._metrics = metrics
        metrics.database_connections_in_use.set_function(lambda: self._engine.pool.checkedout())  # type: ignore[attr-defined]
        self.deadline_s = connect_timeout_s + statement_timeout_s + POOL_WAIT_S
        self.missing = "the database was not asked yet"

    async def read(self, work: Work[T], at_least: Position | None = None) -> T:
        """The result of `work`, outside a transaction. Raises Unavailable."""
        return (await self.read_fresh(work, at_least))[0]

    async def read_fresh(self, work: Work[T], at_least: Position | None) -> tuple[T, bool]:
        """As `read`, and whether it was stale: no server that has seen `at_least` answered."""
        del at_least  # the one server has seen everything
        return await self._run(work, self._autocommit), False

    async def write(self, work: Work[T]) -> T:
        """The result of `work`, committed when this returns. Raises Unavailable: then it may have been committed or not."""
        return await self._run(work, self._engine)

    async def write_at(self, work: Work[T]) -> tuple[T, Position]:
        """As `write`, and a position by which the result was committed: what reads it must have seen that."""
        result = await self._run(work, self._engine)
        return result, await self._run(_position, self._autocommit)

    async def watch(self) -> None:
        """Keeps `missing` true to the facts until cancelled."""
        while True:
            await self.probe()
            await asyncio.sleep(PROBE_INTERVAL_S)

    async def probe(self) -> None:
        """Asks the database once. A full pool is load, not an outage."""
        try:
            await self._attempt(lambda connection: connection.execute(sa.text("SELECT 1")), self._autocommit)
            missing = ""
        except FAILURES as failure:
            cause = cause_of(failure)
            missing = "" if cause == "pool_full" else f"the database does not answer ({cause})"
        if missing != self.missing:
            log.info("database_reachable" if not missing else "database_unreachable", missing=missing)
        self.missing = missing

    async def close(self) -> None:
        await self._engine.dispose()

    async def _run(self, work: Work[T], engine: AsyncEngine) -> T:
        for again in (True, False):
            try:
                return await self._attempt(work, engine)
            except FAILURES as failure:
                cause = cause_of(failure)
                if cause is None:
                    raise
                self._metrics.database_failures.labels(cause).inc()
                if not again or cause not in ("disconnected", "read_only", "lost_race"):
                    raise Unavailable(
                        f"the catalog's database does not answer ({cause}): try again", retry_after_s=1
                    ) from None
        raise AssertionError("unreachable")

    async def _attempt(self, work: Work[T], engine: AsyncEngine) -> T:
        async with asyncio.timeout(self.deadline_s), engine.begin() as connection:
            return await work(connection)


async def _position(connection: AsyncConnection) -> Position:
    lsn, file_name = (await connection.execute(_POSITION)).one()
    return Position(int(file_name[:8], 16), lsn_of(lsn))
