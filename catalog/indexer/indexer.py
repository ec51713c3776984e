"""One indexer's life: wait for the place, write while holding it, start over when it is lost.

While it writes, changes go into the index in use as they come. A rebuild, asked for or needed, fills another one beside it, and
takes its place once it has caught up.

Invariants: only `_lead` and what it started touch the target; all of that ends before the place is given up.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field, replace

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.indexer import feed, rebuild
from catalog.indexer.election import Election, Term
from catalog.indexer.generation import Generation
from catalog.indexer.metrics import IndexerMetrics
from catalog.indexer.rebuild import Progress
from catalog.indexer.source import Source
from catalog.indexer.target import Size, Target
from reprise.errors import Conflict, NotReady, OutOfRange, RepriseError, Unavailable
from reprise.log import get_logger

log = get_logger()

POLL_S = 0.5
# Changes that come one by one are gathered a little: every publication makes files.
GATHER_S = 0.2
RETRY_S = 1.0
TIDY_S = 30.0
TELL_S = 0.1


@dataclass(frozen=True, slots=True)
class Status:
    """What this indexer does, and what the index holds."""

    writing: bool
    backend: str
    generation: str = ""
    size: Size = field(default_factory=Size)
    changes_behind: int = 0
    behind_s: float = 0.0


@dataclass(frozen=True, slots=True)
class _Office:
    """A term under way, and the group that its tasks belong to."""

    term: Term
    group: asyncio.TaskGroup


class Indexer:
    """Keeps `target` equal to what `source` says, in its turn."""

    def __init__(self, source: Source, election: Election, target: Target, metrics: IndexerMetrics) -> None:
        self._source = source
        self._election = election
        self._target = target
        self._metrics = metrics
        self._office: _Office | None = None
        self._live: Generation | None = None
        # The index in use cannot be brought up to date; searchers have nothing better until it is rebuilt.
        self._stale = False
        # Held while the index in use is written, published or replaced.
        self._turn = asyncio.Lock()
        self._rebuild: asyncio.Task[None] | None = None
        self._progress = Progress("read", 0, 0)
        metrics.writing.set_function(lambda: election.writing)

    @property
    def missing(self) -> str:
        """Why it could neither write nor take over; empty when it could."""
        return self._election.missing

    async def run(self) -> None:
        """Serves term after term until cancelled."""
        while True:
            try:
                await self._election.hold(self._lead)
            except (RepriseError, OSError) as error:
                end = "superseded" if isinstance(error, Conflict) else "failed"
                self._metrics.terms.labels(end).inc()
                log.warning("term_ended", end=end, reason=str(error))
            await asyncio.sleep(RETRY_S)

    async def rebuild(self) -> AsyncIterator[Progress]:
        """Starts a rebuild and tells how it goes; it goes on when nobody listens. Raises NotReady, Unavailable."""
        if self._office is None:
            raise NotReady("this indexer is a standby, or takes over right now: ask the one that writes")
        if self._rebuild is not None:
            raise NotReady("a rebuild is under way already")
        task = self._rebuild = self._start_rebuild(self._office)
        while not task.done():
            yield self._progress
            await asyncio.wait((task,), timeout=TELL_S)
        if task.cancelled() or task.exception():
            raise Unavailable("the rebuild was given up: the log of the indexer says why")
        yield self._progress

    async def status(self) -> Status:
        """Raises Unavailable."""
        live = self._live
        if live is None:
            return Status(self._election.writing, self._target.backend)
        async with self._source.connection() as connection:
            behind = await feed.behind(connection, live.checkpoint)
        return Status(True, self._target.backend, live.name, self._target.size, behind.changes, behind.age_s)

    async def _lead(self, term: Term) -> None:
        self._live, self._stale = await self._target.take_over(), False
        self._show_size()
        try:
            async with asyncio.TaskGroup() as group:
                self._office = _Office(term, group)
                group.create_task(self._tidy())
                await self._follow(self._office)
        except ExceptionGroup as failures:
            raise _first(failures) from None
        finally:
            self._office = None
            live, self._live = self._live, None
            if live is not None:
                await asyncio.shield(live.close())

    async def _follow(self, office: _Office) -> None:
        term = office.term
        while True:
            term.changed.clear()
            async with self._turn:
                changes = await self._advance(term)
            if changes is None and self._rebuild is None:
                self._rebuild = self._start_rebuild(office)
            if changes == feed.CHANGES_MAX:
                continue
            if changes:
                await asyncio.sleep(GATHER_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await term.changed.wait()

    async def _advance(self, term: Term) -> int | None:
        """How many changes went into the index in use; None when it cannot be brought up to date."""
        if self._live is None or self._stale:
            # A term is worth nothing without its connection: this tries it.
            await term.connection.execute(sa.text("SELECT 1"))
            return None
        try:
            advanced = await feed.advance(term.connection, term.database, self._live)
        except OutOfRange as error:
            log.warning("index_out_of_date", reason=error.message)
            self._stale = True
            return None
        if advanced.changes:
            await self._publish(self._live)
            self._metrics.changes.inc(advanced.changes)
            self._metrics.publication_delay.observe(max(0.0, time.time() - advanced.oldest_unix_s))
        return advanced.changes

    async def _publish(self, generation: Generation) -> None:
        try:
            await self._target.publish(generation)
        except RepriseError as error:
            self._metrics.publications.labels("lost" if isinstance(error, Conflict) else "failed").inc()
            raise
        self._metrics.publications.labels("done").inc()
        self._show_size()

    def _show_size(self) -> None:
        self._metrics.documents.set(self._target.size.documents)
        self._metrics.size_bytes.set(self._target.size.size_bytes)

    def _start_rebuild(self, office: _Office) -> "asyncio.Task[None]":
        self._progress = Progress("read", 0, 0)
        return office.group.create_task(self._make_anew(office.term.database))

    async def _make_anew(self, database: str) -> None:
        """Fills a new index and puts it in the place of the one in use. A failure ends the term, and so is tried again."""
        started, outcome = time.monotonic(), "failed"
        generation = await self._target.begin()
        log.info("rebuild_started", generation=generation.name)
        try:
            async with self._source.connection() as connection:
                await self._fill(connection, database, generation)
            outcome = "done"
        finally:
            if self._live is not generation:
                await asyncio.shield(generation.close())
            self._rebuild = None
            self._metrics.rebuilds.labels(outcome).inc()
        seconds = round(time.monotonic() - started, 1)
        log.info("rebuild_done", generation=generation.name, documents=self._target.size.documents, seconds=seconds)

    async def _fill(self, connection: AsyncConnection, database: str, generation: Generation) -> None:
        async for self._progress in rebuild.fill(connection, generation):
            pass
        async for self._progress in rebuild.catch_up(connection, database, generation):
            pass
        async with self._turn:
            # What came in since; nothing else is published meanwhile.
            async for self._progress in rebuild.catch_up(connection, database, generation):
                pass
            self._progress = replace(self._progress, step="publish")
            await self._publish(generation)
            before, self._live, self._stale = self._live, generation, False
        if before is not None:
            await before.close()
        documents = self._target.size.documents
        self._progress = Progress("done", documents, documents)

    async def _tidy(self) -> None:
        while True:
            await asyncio.sleep(TIDY_S)
            async with self._turn:
                await self._target.tidy()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first failure of a group: what ended the others."""
    failure = failures.exceptions[0]
    return _first(failure) if isinstance(failure, BaseExceptionGroup) else failure
