"""Follows the outbox for programs outside.

A watcher is woken by the database when something commits, and looks once a second all the same: a notification may be lost with
its connection, a change never is. What a watcher has not taken waits in the database, not here: a page is read when the one
before is gone. Read at the primary, because a standby's past may be older than a cursor.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from functools import partial

import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cursors, outbox
from catalog.database import FAILURES, Database
from catalog.metrics import CatalogMetrics
from catalog.outbox import Change, Place
from reprise.errors import QuotaExceeded
from reprise.log import get_logger

log = get_logger()

WATCHERS_MAX = 32
WATCHERS_RETRY_S = 10.0
PAGE = 500
POLL_S = 1.0
# Commits of so long are read together, so that a busy import costs each watcher 20 looks a second at most.
GATHER_S = 0.05
LISTEN_AGAIN_S = 1.0
CONNECT_S_MAX = 5.0
_SCOPE = ("changes",)


class Changes:
    """Watchers of one catalog."""

    def __init__(self, database: Database, cursor_key: bytes, metrics: CatalogMetrics) -> None:
        self._database = database
        self._cursor_key = cursor_key
        self._refused = metrics.change_watchers_refused
        self._watchers: set[asyncio.Event] = set()
        self._stopping = False
        metrics.change_watchers.set_function(lambda: len(self._watchers))

    async def watch(self, cursor: str) -> AsyncGenerator[tuple[Change, str]]:
        """Every change after `cursor`, or of all that are kept, each with its cursor, until closed or `stop`.

        Raises InvalidRequest (the cursor), OutOfRange (it is too old), QuotaExceeded or Unavailable.
        """
        place = self._place(cursor) if cursor else None
        if len(self._watchers) >= WATCHERS_MAX:
            self._refused.inc()
            raise QuotaExceeded(f"{WATCHERS_MAX} watch this catalog already", retry_after_s=WATCHERS_RETRY_S)
        woken = asyncio.Event()
        self._watchers.add(woken)
        try:
            while not self._stopping:
                # Cleared before reading: what commits from here on wakes again.
                woken.clear()
                page = await self._database.write(partial(_page, place))
                for change in page:
                    yield change, cursors.seal(self._cursor_key, _SCOPE, change.place)
                    place = change.place
                if len(page) < PAGE:
                    await _wait(woken)
        finally:
            self._watchers.discard(woken)

    async def listen(self) -> None:
        """Wakes watchers when the database says so, until cancelled."""
        while True:
            with suppress(*FAILURES, TimeoutError):
                await self._listen_once()
            await asyncio.sleep(LISTEN_AGAIN_S)

    async def stop(self) -> None:
        """Ends every watch: they go on at another catalog."""
        self._stopping = True
        self._wake()

    async def _listen_once(self) -> None:
        """Listens for as long as the connection lasts."""
        dsn = self._database.primary_dsn
        if dsn is None:
            return
        lost = asyncio.Event()
        connection = await asyncpg.connect(
            dsn, timeout=CONNECT_S_MAX, server_settings={"application_name": "reprise-catalog-changes"}
        )
        try:
            connection.add_termination_listener(lambda _connection: lost.set())
            await connection.add_listener(outbox.CHANNEL, lambda *_notification: self._wake())
            await lost.wait()
        finally:
            connection.terminate()

    def _wake(self) -> None:
        for woken in self._watchers:
            woken.set()

    def _place(self, cursor: str) -> Place:
        xid, sequence = cursors.unseal(self._cursor_key, _SCOPE, cursor)
        return int(xid), int(sequence)


async def _page(place: Place | None, connection: AsyncConnection) -> list[Change]:
    return await outbox.changes_after(connection, place, PAGE)


async def _wait(woken: asyncio.Event) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(POLL_S):
            await woken.wait()
    await asyncio.sleep(GATHER_S)
