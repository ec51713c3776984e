"""Keeps the outbox from growing for ever: drops the oldest changes, a batch at a time, one catalog at a time."""

import asyncio

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import locks, outbox
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()

KEEP_S = 7 * 86_400.0
KEEP_ROWS = 5_000_000
INTERVAL_S = 60.0
BATCH = 5_000


class Pruning:
    """Prunes for one catalog; others that look at the same moment leave it to the first."""

    def __init__(self, database: Database, metrics: CatalogMetrics) -> None:
        self._database = database
        self._pruned = metrics.changes_pruned

    async def run(self) -> None:
        """Prunes once a minute until cancelled."""
        while True:
            try:
                await self.prune()
            except Unavailable as error:
                log.info("pruning_failed", error=error.message)
            await asyncio.sleep(INTERVAL_S)

    async def prune(self, keep_s: float = KEEP_S, keep_rows: int = KEEP_ROWS) -> int:
        """Drops what is too old or too much; how many changes that were. Raises Unavailable."""

        async def some(connection: AsyncConnection) -> int:
            if not await locks.try_to_prune(connection):
                return 0
            return await outbox.prune(connection, keep_s, keep_rows, BATCH)

        pruned, batch = 0, BATCH
        while batch == BATCH:
            batch = await self._database.write(some)
            pruned += batch
            self._pruned.inc(batch)
        return pruned
