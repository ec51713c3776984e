"""The way to PostgreSQL: a bounded pool, a deadline on every step, and one error when it does not answer.

Work is a coroutine over a connection and must be safe to run twice: it is run again, once, when its connection turns out
to be dead (the server was restarted behind the pool) or when it lost a race inside the server. All work of the catalog is
idempotent by key, which is what makes this sound.

Nobody waits longer than `deadline_s`, whatever the database does: refuse, hang, or vanish from the network.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from catalog.metrics import CatalogMetrics
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()
T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

POOL_WAIT_S = 1.0
PROBE_INTERVAL_S = 0.5
FAILURES = (sa.exc.DBAPIError, sa.exc.TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
# SQLSTATE classes: connection, resources, operator intervention, system error; and states of their own: read-only (a
# standby after a failover), lock not available.
_OUTAGES = ("08", "53", "57", "58", "25006", "55P03", "28", "3D")
_LOST_RACES = ("40",)


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

    async def read(self, work: Work[T]) -> T:
        """The result of `work`, outside a transaction. Raises Unavailable."""
        return await self._run(work, self._autocommit)

    async def write(self, work: Work[T]) -> T:
        """The result of `work`, committed when this returns. Raises Unavailable: then it may have been committed or not."""
        return await self._run(work, self._engine)

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
                if not again or cause not in ("disconnected", "lost_race"):
                    raise Unavailable(
                        f"the catalog's database does not answer ({cause}): try again", retry_after_s=1
                    ) from None
        raise AssertionError("unreachable")

    async def _attempt(self, work: Work[T], engine: AsyncEngine) -> T:
        async with asyncio.timeout(self.deadline_s), engine.begin() as connection:
            return await work(connection)


async def connect(dsn: str, connect_timeout_s: float, statement_timeout_s: float | None) -> asyncpg.Connection:
    """A connection to `dsn`, as libpq reads it. Without `statement_timeout_s`, statements may run on: for migrations."""
    settings = {
        "application_name": "reprise-catalog",
        # Plans for the values at hand: a prefix of one letter and one of eight need different ones.
        "plan_cache_mode": "force_custom_plan",
        # Two edits in a word of eight letters leave about a fifth of its trigrams; `spelling` decides what is close enough.
        "pg_trgm.similarity_threshold": "0.2",
    }
    if statement_timeout_s is not None:
        settings["statement_timeout"] = str(int(statement_timeout_s * 1000))
        settings["idle_in_transaction_session_timeout"] = str(int(statement_timeout_s * 4000))
    client_timeout_s = None if statement_timeout_s is None else statement_timeout_s + 0.5
    return await asyncpg.connect(
        dsn, timeout=connect_timeout_s, command_timeout=client_timeout_s, server_settings=settings
    )


def cause_of(failure: Exception) -> str | None:
    """Why the database did not serve a request, as a metric label; None for an error of ours, such as wrong SQL."""
    if isinstance(failure, sa.exc.TimeoutError):
        return "pool_full"
    origin = failure.orig if isinstance(failure, sa.exc.DBAPIError) else failure
    state = getattr(origin, "sqlstate", None) or ""
    if state.startswith(_LOST_RACES):
        return "lost_race"
    if isinstance(origin, TimeoutError) or state == "57014":
        return "timeout"
    if isinstance(failure, sa.exc.DBAPIError) and (failure.connection_invalidated or state.startswith(_OUTAGES)):
        return "disconnected"
    if isinstance(origin, OSError | asyncpg.InterfaceError) or state.startswith(_OUTAGES):
        return "unreachable"
    return None
