"""The release calendar: gives releases their moments, and lists what is to come.

Race to know: a song may join a release while that is given another moment. The publication locks the release's row for share,
`publish` for update, so either the song takes the new moment or the move finds the song.
"""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cursors, moments, outbox, shelves
from catalog import tables as t
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind, Song, Upcoming
from catalog.songs import load_songs
from reprise.errors import NotFound
from reprise.log import get_logger

log = get_logger()

# About a quarter of the largest message.
PAGE_SONGS = 250
_SCOPE = ("upcoming",)


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A release as it now is: `at_unix_ms` may be over; it is 0 when the release was always out."""

    songs: int
    at_unix_ms: int


@dataclass(frozen=True, slots=True)
class Page:
    """Releases, soonest first, and the cursor of the next page or empty."""

    upcoming: Sequence[Upcoming]
    next_cursor: str


class Releases:
    """The calendar of one catalog database."""

    def __init__(self, database: Database, cursor_key: bytes, metrics: CatalogMetrics) -> None:
        self._database = database
        self._cursor_key = cursor_key
        self._count = metrics.releases

    async def publish(self, release_id: uuid.UUID, at_unix_ms: int) -> Scheduled:
        """Lets a release and its songs out at a moment, 0 for now. Raises InvalidRequest, NotFound, NotReady, Unavailable."""
        scheduled, changed = await self._database.write(lambda connection: _publish(connection, release_id, at_unix_ms))
        self._count.labels("unchanged" if not changed else "scheduled" if at_unix_ms else "published").inc()
        log.info("release_published", release_id=str(release_id), at=moments.text(scheduled.at_unix_ms))
        return scheduled

    async def upcoming(self, until_unix_ms: int, cursor: str) -> Page:
        """A page of what comes out from now to `until_unix_ms`. Raises InvalidRequest (the cursor) or Unavailable."""
        after = cursors.unseal(self._cursor_key, _SCOPE, cursor) if cursor else None
        until = moments.at(min(max(until_unix_ms, 0), moments.MOMENT_MS_MAX))
        rows, songs = await self._database.read(lambda connection: _upcoming(connection, until, after))
        shown = rows[:PAGE_SONGS]
        by_id = {song.song_id: song for song in songs}
        found = [
            Upcoming(
                str(release_id), title, moments.unix_ms(at) or 0, tuple(by_id[str(row.recording_id)] for row in tracks)
            )
            for (release_id, title, at), tracks in itertools.groupby(shown, lambda row: row[:3])
        ]
        if len(rows) <= PAGE_SONGS:
            return Page(found, "")
        last = shown[-1]
        position = (moments.unix_ms(last.available_from) or 0, str(last.id), str(last.recording_id))
        return Page(found, cursors.seal(self._cursor_key, _SCOPE, position))


async def _publish(connection: AsyncConnection, release_id: uuid.UUID, asked: int) -> tuple[Scheduled, bool]:
    release = t.release.c
    mine = release.id == release_id
    locked = sa.select(release.title, release.available_from, sa.func.now().label("now")).where(mine).with_for_update()
    row = (await connection.execute(locked)).first()
    if row is None:
        raise NotFound(f"no such release: {release_id}")
    kept = moments.unix_ms(row.available_from)
    moment = moments.new_moment(row.title, kept, asked, moments.unix_ms(row.now) or 0)
    if moment is not None:
        available = {"available_from": moments.at(moment)}
        tracks = sa.select(t.track.c.recording_id).where(t.track.c.release_id == release_id)
        await connection.execute(sa.update(t.release).where(mine).values(available))
        # Songs that are out by another release stay out.
        with_it = t.recording.c.available_from.is_not_distinct_from(row.available_from)
        await connection.execute(sa.update(t.recording).where(t.recording.c.id.in_(tracks), with_it).values(available))
        song_ids = (await connection.execute(tracks.order_by(t.track.c.recording_id))).scalars().all()
        await shelves.refresh(connection, song_ids)
        await outbox.tell(connection, EntityKind.RELEASE, [release_id])
        await outbox.tell(connection, EntityKind.SONG, song_ids)
    count = sa.select(sa.func.count()).where(t.track.c.release_id == release_id)
    songs = int((await connection.execute(count)).scalar_one())
    return Scheduled(songs, moment or kept or 0), moment is not None


async def _upcoming(
    connection: AsyncConnection, until: datetime, after: cursors.Position | None
) -> tuple[Sequence[Any], list[Song]]:
    """(release, its moment, a song of it) of a page and one more, and the songs of the page."""
    release, track, recording = t.release.c, t.track.c, t.recording.c
    order = (release.available_from, release.id, track.recording_id)
    statement = (
        sa.select(release.id, release.title, release.available_from, track.recording_id)
        .where(track.release_id == release.id)
        .where(release.available_from > sa.func.now(), release.available_from <= until)
        .where(recording.id == track.recording_id, recording.withdrawn_at.is_(None), release.withdrawn_at.is_(None))
        .order_by(*order)
        .limit(PAGE_SONGS + 1)
    )
    if after is not None:
        place = (moments.at(int(after[0])), uuid.UUID(str(after[1])), uuid.UUID(str(after[2])))
        typed = (sa.literal(value, column.type) for value, column in zip(place, order, strict=True))
        statement = statement.where(sa.tuple_(*order) > sa.tuple_(*typed))
    rows = (await connection.execute(statement)).all()
    return rows, await load_songs(connection, [row.recording_id for row in rows[:PAGE_SONGS]])
