"""Counts plays from the resume points that listeners save, and adds them to the popularity of songs, artists and releases.

Kept in memory and written every two seconds in one transaction: a catalog that is killed forgets at most those. Several
catalogs add to the same scores; adding is commutative, so the order does not matter.

A play counts once for each listener, song and epoch (the device's session), when they have heard enough of it.
"""

import asyncio
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from cachetools import LRUCache
from prometheus_client import CollectorRegistry, Counter
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import outbox, popularity, shelves
from catalog import tables as t
from catalog.database import Database
from catalog.model import EntityKind
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()

FLUSH_INTERVAL_S = 2.0
# Plays that are remembered so that none counts twice: some minutes of a busy catalog.
COUNTED_MAX = 200_000
# Songs that wait to be written while the database is away; plays of further ones are lost.
WAITING_SONGS_MAX = 100_000
# Search is told, and lists are ordered anew, when a score has moved by so much: 2^0.25, a fifth more plays.
TOLD_STEP = 0.25
Counts = Mapping[uuid.UUID, float]


class Plays:
    """Of one catalog. `unix_s` is the clock."""

    def __init__(
        self, database: Database, registry: CollectorRegistry, unix_s: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._count = Counter(
            "reprise_catalog_plays_total",
            "Plays by what became of them: counted, or lost because too many songs waited for the database",
            ["outcome"],
            registry=registry,
        )
        self._unix_s = unix_s
        self._counted: LRUCache[tuple[str, str, int], bool] = LRUCache(COUNTED_MAX)
        self._waiting: dict[uuid.UUID, float] = {}

    def note(self, user_id: str, song_id: str, epoch: int, position_ms: int, duration_ms: int = 0) -> None:
        """A listener has come to `position_ms` of a song; a `duration_ms` of 0 is unknown."""
        play = (user_id, song_id, epoch)
        if play in self._counted or not popularity.is_play(position_ms, duration_ms):
            return
        self._counted[play] = True
        song = uuid.UUID(song_id)
        if song not in self._waiting and len(self._waiting) >= WAITING_SONGS_MAX:
            self._count.labels("lost").inc()
            return
        self._waiting[song] = self._waiting.get(song, 0.0) + 1
        self._count.labels("counted").inc()

    async def run(self) -> None:
        """Writes what waits until it is cancelled, and then once more."""
        try:
            while True:
                await asyncio.sleep(FLUSH_INTERVAL_S)
                await self._try_flush()
        finally:
            await self._try_flush()

    async def flush(self) -> None:
        """Writes what waits. Raises Unavailable: then it goes on waiting."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        try:
            await self._database.write(lambda connection: _add(connection, waiting, self._unix_s()))
        except Unavailable:
            for song, plays in waiting.items():
                self._waiting[song] = self._waiting.get(song, 0.0) + plays
            raise

    async def _try_flush(self) -> None:
        try:
            await self.flush()
        except Unavailable as error:
            log.warning("plays_wait", songs=len(self._waiting), reason=error.message)


async def _add(connection: AsyncConnection, plays: Counts, unix_s: float) -> None:
    """Adds plays of songs to them, their artists and their releases. Songs that are gone count for nobody."""
    known = sa.select(t.recording.c.id).where(t.recording.c.id.in_(list(plays)))
    songs = {song: plays[song] for song in (await connection.execute(known)).scalars()}
    if not songs:
        return
    by_kind = {
        EntityKind.SONG: songs,
        EntityKind.ARTIST: _sums(songs, await connection.execute(_artists_of(songs))),
        EntityKind.RELEASE: _sums(songs, await connection.execute(_releases_of(songs))),
    }
    rows = [
        {"kind": int(kind), "entity_id": id_, "score": popularity.score_of(count, unix_s)}
        for kind, counts in by_kind.items()
        for id_, count in sorted(counts.items())
    ]
    table = t.popularity
    statement = insert(table).values(rows)
    added = _combined(table.c.score, statement.excluded.score)
    statement = statement.on_conflict_do_update(constraint=table.primary_key, set_={"score": added})
    await connection.execute(statement)
    await _tell(connection, by_kind)


async def _tell(connection: AsyncConnection, by_kind: Mapping[EntityKind, Counts]) -> None:
    """Moves on the shelves, and puts into the outbox, whose score has moved enough since that was done last."""
    table = t.popularity.c
    for kind, counts in by_kind.items():
        moved = (
            sa.update(t.popularity)
            .where(table.kind == int(kind), table.entity_id.in_(list(counts)))
            .where(table.score - table.told >= TOLD_STEP)
            .values(told=table.score)
            .returning(table.entity_id)
        )
        ids = (await connection.execute(moved)).scalars().all()
        await shelves.rank(connection, kind, ids)
        await outbox.tell(connection, kind, ids)


def _artists_of(songs: Iterable[uuid.UUID]) -> sa.Select[tuple[uuid.UUID, uuid.UUID]]:
    name = t.artist_credit_name.c
    return (
        sa.select(t.recording.c.id, name.artist_id)
        .distinct()
        .where(t.recording.c.id.in_(list(songs)), name.credit_id == t.recording.c.credit_id)
    )


def _releases_of(songs: Iterable[uuid.UUID]) -> sa.Select[tuple[uuid.UUID, uuid.UUID]]:
    track = t.track.c
    return sa.select(track.recording_id, track.release_id).where(track.recording_id.in_(list(songs)))


def _sums(songs: Counts, pairs: Iterable[Any]) -> Counts:
    """Plays of what songs belong to."""
    sums: dict[uuid.UUID, float] = defaultdict(float)
    for pair in pairs:
        sums[pair[1]] += songs[pair[0]]
    return sums


def _combined(kept: sa.ColumnElement[float], added: sa.ColumnElement[float]) -> sa.ColumnElement[float]:
    """`popularity.combined` in SQL. Beyond 50 halvings the smaller one adds nothing to a double."""
    apart = sa.func.least(sa.func.abs(kept - added), 50.0)
    two = sa.cast(2, sa.Double)
    return sa.func.greatest(kept, added) + sa.func.ln(1 + sa.func.power(two, -apart)) / sa.func.ln(two)
