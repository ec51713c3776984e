"""Takes songs and releases out of search, lists and playback, and puts them back.

A release takes its songs with it, and they remember by which release: restoring it restores those, and neither songs that were
taken down by themselves nor those that another release keeps down. Ids, resume points, files and tracks stay as they are.
"""

import uuid
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import locks, outbox, redirects, shelves
from catalog import tables as t
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind
from reprise.errors import NotFound
from reprise.log import get_logger

log = get_logger()

Id = uuid.UUID


@dataclass(frozen=True, slots=True)
class Taken:
    """The songs that are down by it (restored: no longer), and their renditions."""

    song_ids: list[Id]
    rendition_ids: list[str]


class Takedown:
    """Takedowns of one catalog database."""

    def __init__(self, database: Database, metrics: CatalogMetrics) -> None:
        self._database = database
        self._count = metrics.takedowns

    async def take_down(self, kind: EntityKind, id_: Id, reason: str) -> Taken:
        """Hides a song, or a release with its songs, from when this returns. Raises NotFound or Unavailable."""
        return await self._run(kind, id_, {"withdrawn_at": sa.func.now(), "withdrawn_reason": reason})

    async def restore(self, kind: EntityKind, id_: Id) -> Taken:
        """Shows it again. Raises NotFound or Unavailable."""
        return await self._run(kind, id_, {"withdrawn_at": None, "withdrawn_reason": ""})

    async def _run(self, kind: EntityKind, id_: Id, state: dict[str, object]) -> Taken:
        down = state["withdrawn_at"] is not None

        async def work(connection: AsyncConnection) -> Taken:
            await locks.hold_merges_off(connection)
            mine = (await redirects.resolve(connection, kind, [id_])).get(id_, id_)
            change = _song if kind is EntityKind.SONG else _release
            song_ids = await change(connection, mine, state)
            await shelves.refresh(connection, song_ids)
            await _tell(connection, kind, mine, song_ids, gone=down)
            return Taken(song_ids, await _renditions(connection, song_ids))

        taken = await self._database.write(work)
        outcome = "taken_down" if down else "restored"
        self._count.labels(outcome).inc()
        name, reason = kind.name.lower(), state["withdrawn_reason"]
        log.info(outcome, kind=name, id=str(id_), songs=len(taken.song_ids), reason=reason)
        return taken


async def _song(connection: AsyncConnection, song_id: Id, state: dict[str, object]) -> list[Id]:
    """Also of a song that a release took down: by itself from now on."""
    recording = t.recording.c
    change = sa.update(t.recording).where(recording.id == song_id).values(**state, withdrawn_with=None)
    if (await connection.execute(change.returning(recording.id))).first() is None:
        raise NotFound(f"no such song: {song_id}")
    return [song_id]


async def _release(connection: AsyncConnection, release_id: Id, state: dict[str, object]) -> list[Id]:
    release, recording = t.release.c, t.recording.c
    change = sa.update(t.release).where(release.id == release_id).values(state).returning(release.id)
    if (await connection.execute(change)).first() is None:
        raise NotFound(f"no such release: {release_id}")
    on_it = recording.id.in_(sa.select(t.track.c.recording_id).where(t.track.c.release_id == release_id))
    if state["withdrawn_at"] is not None:
        taken = sa.update(t.recording).where(on_it, recording.withdrawn_at.is_(None))
        await connection.execute(taken.values(**state, withdrawn_with=release_id))
        songs = sa.select(recording.id).where(recording.withdrawn_with == release_id)
    else:
        await _hand_over(connection, release_id)
        restored = sa.update(t.recording).where(recording.withdrawn_with == release_id)
        await connection.execute(restored.values(**state, withdrawn_with=None))
        songs = sa.select(recording.id).where(on_it, recording.withdrawn_at.is_(None))
    return list((await connection.execute(songs.order_by(recording.id))).scalars())


async def _hand_over(connection: AsyncConnection, release_id: Id) -> None:
    """Songs of a release to be restored that are on another one that is down stay down with that."""
    other = (
        sa.select(t.release.c.id)
        .join(t.track, t.track.c.release_id == t.release.c.id)
        .where(t.track.c.recording_id == t.recording.c.id, t.release.c.withdrawn_at.is_not(None))
        .order_by(t.release.c.id)
        .limit(1)
    )
    kept = sa.update(t.recording).where(t.recording.c.withdrawn_with == release_id, other.exists())
    await connection.execute(kept.values(withdrawn_with=other.scalar_subquery()))


async def _tell(connection: AsyncConnection, kind: EntityKind, id_: Id, song_ids: list[Id], *, gone: bool) -> None:
    if kind is EntityKind.RELEASE:
        await outbox.tell(connection, kind, [id_], gone=gone)
    await outbox.tell(connection, EntityKind.SONG, song_ids, gone=gone)
    # They may have nothing else to be heard.
    artists = sa.select(t.artist_credit_name.c.artist_id).join(
        t.recording, t.recording.c.credit_id == t.artist_credit_name.c.credit_id
    )
    named = (await connection.execute(artists.where(t.recording.c.id.in_(song_ids)).distinct())).scalars()
    await outbox.tell(connection, EntityKind.ARTIST, named)


async def _renditions(connection: AsyncConnection, song_ids: list[Id]) -> list[str]:
    rendition = t.rendition.c
    statement = sa.select(rendition.rendition_id).where(rendition.recording_id.in_(song_ids))
    order = (rendition.recording_id, rendition.position)
    return [digest.hex() for digest in (await connection.execute(statement.order_by(*order))).scalars()]
