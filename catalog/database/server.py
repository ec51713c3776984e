"""One server: its bounded pool of connections, and a connection of its own over which it is looked at.

Nobody waits longer than `deadline_s` for one attempt, whatever the server does: refuse, hang, or vanish from the network.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from catalog.database.addresses import Address
from catalog.database.connecting import connect
from catalog.database.failures import FAILURES, cause_of
from catalog.database.positions import Position, end_of_record, lsn_of
from catalog.metrics import DatabaseMetrics

T = TypeVar("T")
Work = Callable[[AsyncConnection], Awaitable[T]]

POOL_WAIT_S = 1.0
# Less than a statement may take: a server that hangs is known to before the first read there has given up.
LOOK_S_MAX = 1.0
# Of a primary, what it has flushed: what it has not, an idle one may keep for minutes, and no standby can have it.
# The name of a WAL file begins with the timeline, true as soon as it began; the control file learns it only at the next
# checkpoint. No function tells up to which timeline a standby has replayed: these three know it at the latest by then.
_SIGHT = """
SELECT pg_is_in_recovery(),
    CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_flush_lsn() END::text,
    CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_walfile_name(pg_current_wal_insert_lsn()) END,
    greatest((SELECT received_tli FROM pg_stat_wal_receiver),
             (SELECT min_recovery_end_timeline FROM pg_control_recovery()),
             (SELECT timeline_id FROM pg_control_checkpoint())),
    extract(epoch FROM pg_postmaster_start_time())::float8
"""


class Failed(Exception):
    """A server did not serve a request; `cause` is a metric label, `reason` what it said, for the log."""

    def __init__(self, cause: str, reason: str = "") -> None:
        super().__init__(cause)
        self.cause = cause
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Sight:
    """What one look at a server told."""

    is_standby: bool
    position: Position
    round_trip_s: float


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one server may cost."""

    connections_max: int
    connect_timeout_s: float
    statement_timeout_s: float


class Server:
    """The way to one server."""

    def __init__(self, address: Address, bounds: Bounds, metrics: DatabaseMetrics) -> None:
        self.address = address
        self._bounds = bounds
        self._engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=self._connect,
            pool_size=bounds.connections_max,
            max_overflow=0,
            pool_timeout=POOL_WAIT_S,
        )
        self._autocommit = self._engine.execution_options(isolation_level="AUTOCOMMIT")
        self._metrics = metrics
        in_use = metrics.connections_in_use.labels(address.name)
        in_use.set_function(lambda: self._engine.pool.checkedout())  # type: ignore[attr-defined]
        self.deadline_s = bounds.connect_timeout_s + bounds.statement_timeout_s + POOL_WAIT_S
        self._watcher: asyncpg.Connection | None = None
        # Of the run of the server that was looked at last: when it began, and how far its timelines went.
        self._run: tuple[float, int] = (0.0, 0)

    async def read(self, work: Work[T]) -> T:
        """The result of `work`, outside a transaction. Raises Failed."""
        return await self._attempts(lambda: _done(self._autocommit, work))

    async def write_at(self, work: Work[T]) -> tuple[T, Position]:
        """The result of `work`, committed, and a place in the log after that. Raises Failed: it may be committed or not."""
        return await self._attempts(lambda: _committed(self._engine, work))

    async def look(self) -> Sight:
        """What the server is, and where in the log. Raises Failed."""
        for again in (self._watcher is not None, False):
            try:
                if self._watcher is None:
                    self._watcher = await self._connect()
                async with asyncio.timeout(LOOK_S_MAX):
                    return await self._look(self._watcher)
            except asyncio.CancelledError:
                self._stop_looking()
                raise
            except ValueError:  # asyncpg's, of the DSN
                raise Failed("malformed") from None
            except FAILURES as failure:
                self._stop_looking()
                cause = cause_of(failure) or "refused"
                if not again or cause == "timeout":
                    raise Failed(cause, str(failure)) from None
        raise AssertionError("unreachable")

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self.address.dsn, self._bounds.connect_timeout_s, self._bounds.statement_timeout_s)

    async def _look(self, watcher: asyncpg.Connection) -> Sight:
        clock = asyncio.get_running_loop().time
        asked_at = clock()
        row = await watcher.fetchrow(_SIGHT)
        round_trip_s = clock() - asked_at
        is_standby, lsn, file_name, timeline, run_began_at = row
        if not is_standby:
            return Sight(False, Position(_timeline_of(file_name), lsn_of(lsn)), round_trip_s)
        # What it has followed once it goes on following, also when nothing says so any more because its primary is gone.
        if self._run[0] == run_began_at:
            timeline = max(timeline, self._run[1])
        self._run = (run_began_at, timeline)
        return Sight(True, Position(timeline, lsn_of(lsn or "0/0")), round_trip_s)

    async def forget_connections(self) -> None:
        """Makes new ones: what they lead to is no longer what it was."""
        await self._engine.dispose()

    async def close(self) -> None:
        self._stop_looking()
        await self._engine.dispose()

    def _stop_looking(self) -> None:
        if self._watcher is not None:
            self._watcher.terminate()
            self._watcher = None

    async def _attempts(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Twice, when the pool's connection was dead (the server was restarted behind it) or a race was lost."""
        for again in (True, False):
            try:
                async with asyncio.timeout(self.deadline_s):
                    return await attempt()
            except FAILURES as failure:
                cause = cause_of(failure)
                if cause is None:
                    raise
                self._metrics.failures.labels(cause).inc()
                if not again or cause not in ("disconnected", "lost_race"):
                    raise Failed(cause) from None
        raise AssertionError("unreachable")


async def _done(engine: AsyncEngine, work: Work[T]) -> T:
    async with engine.begin() as connection:
        return await work(connection)


async def _committed(engine: AsyncEngine, work: Work[T]) -> tuple[T, Position]:
    async with engine.connect() as connection:
        async with connection.begin():
            result = await work(connection)
        autocommit = await connection.execution_options(isolation_level="AUTOCOMMIT")
        lsn, file_name, segment_bytes = (await autocommit.execute(_END)).one()
        return result, Position(_timeline_of(file_name), end_of_record(lsn_of(lsn), segment_bytes))


# Not what is flushed: an operator may have switched synchronous commits off.
_END = sa.text(
    "SELECT pg_current_wal_insert_lsn()::text, pg_walfile_name(pg_current_wal_insert_lsn()),"
    " pg_size_bytes(current_setting('wal_segment_size'))"
)


def _timeline_of(file_name: str) -> int:
    return int(file_name[:8], 16)
