"""Merges: the order of their steps, which makes them safe to break off anywhere and to ask for again.

1. One transaction, in which no publication and no other merge runs: everything that refers to the one that goes refers to the
   one that stays, and its id redirects there. From its commit on, only the one that stays is found.
2. What may be too much for one transaction, in batches: resume points (of songs), and what lists show of the songs. A merge
   that was broken off here is finished by asking for it again; until then, those resume points are not to be seen.

Redirects never form a chain: whatever redirected to the one that goes redirects to the one that stays.
"""

import uuid
from collections.abc import Sequence
from functools import partial

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cards, locks, outbox, redirects, shelves
from catalog import tables as t
from catalog.database import Database
from catalog.merging import artists, progress, releases, songs
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind
from reprise.errors import InvalidRequest, NotFound, NotReady
from reprise.log import get_logger

log = get_logger()

Id = uuid.UUID
# Songs that are shown anew in one transaction.
SONGS_BATCH = 200

_TABLES = {EntityKind.SONG: t.recording, EntityKind.ARTIST: t.artist, EntityKind.RELEASE: t.release}
_MERGES = {EntityKind.SONG: songs.merge, EntityKind.ARTIST: artists.merge, EntityKind.RELEASE: releases.merge}
_SONGS = {EntityKind.SONG: songs.songs_of, EntityKind.ARTIST: artists.songs_of, EntityKind.RELEASE: releases.songs_of}


class Merging:
    """Merges in one catalog database."""

    def __init__(self, database: Database, metrics: CatalogMetrics) -> None:
        self._database = database
        self._count = metrics.merges

    async def merge(self, kind: EntityKind, from_id: Id, into_id: Id) -> int:
        """Merges one into the other; how many songs that one has now.

        Raises InvalidRequest, NotFound, NotReady or Unavailable.
        """
        if from_id == into_id:
            raise InvalidRequest(f"from_id and into_id are the same: {from_id}")
        into = await self._database.write(lambda connection: _merge(connection, kind, from_id, into_id))
        if kind is EntityKind.SONG:
            while await self._database.write(lambda connection: progress.move(connection, from_id, into)):
                pass
            await self._database.write(lambda connection: songs.remove_husk(connection, from_id))
        # At the primary: a standby may not have the first step yet.
        shown = await self._database.write(lambda connection: _SONGS[kind](connection, into))
        await self._show(shown)
        self._count.labels(kind.name.lower()).inc()
        log.info("merged", kind=kind.name.lower(), from_id=str(from_id), into_id=str(into), songs=len(shown))
        return len(shown)

    async def _show(self, song_ids: Sequence[Id]) -> None:
        for first in range(0, len(song_ids), SONGS_BATCH):
            await self._database.write(partial(_show, song_ids[first : first + SONGS_BATCH]))


async def _merge(connection: AsyncConnection, kind: EntityKind, from_id: Id, into_id: Id) -> Id:
    """The first step; the id that stays."""
    await locks.be_the_only_merge(connection)
    known = await redirects.resolve(connection, kind, [from_id, into_id])
    into = known.get(into_id, into_id)
    if known.get(from_id) == into:
        return into
    if from_id in known:
        raise NotReady(f"{kind.name.lower()} {from_id} was merged into {known[from_id]} already")
    if into == from_id:
        raise NotReady(f"{kind.name.lower()} {into_id} was merged into {from_id} already: that way round it is done")
    table = _TABLES[kind]
    both = sa.select(table.c.id).where(table.c.id.in_([from_id, into])).order_by(table.c.id).with_for_update()
    found = set((await connection.execute(both)).scalars())
    for id_ in (from_id, into):
        if id_ not in found:
            raise NotFound(f"no such {kind.name.lower()}: {id_}")
    await _MERGES[kind](connection, from_id, into)
    await _add_popularity(connection, kind, from_id, into)
    await shelves.rank(connection, kind, [into])
    if kind is EntityKind.SONG:
        # It may have been the only one of an artist or genre.
        await shelves.refresh(connection, [from_id])
    await shelves.drop(connection, from_id)
    await redirects.add(connection, kind, from_id, into)
    await outbox.tell(connection, kind, [from_id], gone=True, redirected_to=into)
    await outbox.tell(connection, kind, [into])
    return into


async def _add_popularity(connection: AsyncConnection, kind: EntityKind, from_id: Id, into_id: Id) -> None:
    """Scores are logarithms to base 2 of decayed plays: the sum of the plays, without ever leaving the logarithms."""
    popularity = t.popularity.c
    gone = sa.delete(t.popularity).where(popularity.kind == kind, popularity.entity_id == from_id)
    score = (await connection.execute(gone.returning(popularity.score))).scalar_one_or_none()
    if score is None:
        return
    statement = insert(t.popularity).values(kind=kind, entity_id=into_id, score=score)
    more, less = sa.func.greatest(popularity.score, score), sa.func.least(popularity.score, score)
    both = more + sa.func.ln(1.0 + sa.func.power(2.0, less - more)) / sa.func.ln(2.0)
    await connection.execute(statement.on_conflict_do_update(constraint=t.popularity.primary_key, set_={"score": both}))


async def _show(song_ids: Sequence[Id], connection: AsyncConnection) -> None:
    await cards.refresh(connection, song_ids)
    await outbox.tell(connection, EntityKind.SONG, song_ids)
