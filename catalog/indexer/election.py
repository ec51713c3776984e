"""Which of several indexers writes: the one whose connection holds an advisory lock of PostgreSQL.

The lock goes with the connection, so who loses the connection has lost the place, and stops at once. A process that is frozen
meanwhile, or cut off from PostgreSQL alone, may still believe to be the writer: it fails when it publishes, because whoever
took over has replaced the manifest that it wants to replace (see `segments`).

The connection must be one of its own for the whole session: not through a pooler that shares connections by transaction.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import outbox
from catalog.indexer.source import Source, identity
from reprise.errors import Unavailable

STANDBY_POLL_S = 0.5
_LOCK = zlib.crc32(b"reprise indexer")
# On a standby server the lock would be another one.
_TRY = sa.text("SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_try_advisory_lock(:lock) END")


@dataclass(frozen=True, slots=True)
class Term:
    """One writer's time in office: the connection that holds the place, which `database` it is of, and whether there may be
    new changes to read."""

    connection: AsyncConnection
    database: str
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Election:
    """This indexer's part in it. `missing` says why it could not even stand; `writing` whether it holds the place."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.missing = "the database was not asked yet"
        self.writing = False

    async def hold(self, work: Callable[[Term], Awaitable[None]]) -> None:
        """Waits for the place, then works until that ends. Raises Unavailable when connection and place are lost."""
        try:
            async with self._source.connection() as connection:
                await self._wait_won(connection)
                term, lost = Term(connection, await identity(connection)), asyncio.Event()
                raw: Any = (await connection.get_raw_connection()).driver_connection
                raw.add_termination_listener(lambda _connection: lost.set())
                await raw.add_listener(outbox.CHANNEL, lambda *_notification: term.changed.set())
                self.writing = True
                await _unless(lost, work(term))
        except Unavailable as error:
            self.missing = error.message
            raise
        finally:
            self.writing = False

    async def _wait_won(self, connection: AsyncConnection) -> None:
        while True:
            won = (await connection.execute(_TRY, {"lock": _LOCK})).scalar_one()
            if won is None:
                raise Unavailable("the database is a standby: the indexer needs the one that takes writes")
            self.missing = ""
            if won:
                return
            await asyncio.sleep(STANDBY_POLL_S)


async def _unless(lost: asyncio.Event, work: Awaitable[None]) -> None:
    """Runs `work` until it ends or `lost` is set."""
    task, loss = asyncio.ensure_future(work), asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait((task, loss), return_when=asyncio.FIRST_COMPLETED)
    finally:
        loss.cancel()
        task.cancel()
        await asyncio.wait((task,))
    if not task.cancelled():
        return task.result()
    raise Unavailable("the connection to the database is lost")
