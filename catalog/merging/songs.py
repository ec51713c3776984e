"""Merging songs: the one that stays keeps its names, encodings and moment, and takes over tracks, codes, genres and sources."""

import uuid

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import moments
from catalog import tables as t
from reprise.errors import NotReady

Id = uuid.UUID

# What a song has of its own and another one need not take over. Cards and words of search among them: they are derived.
_DROPPED = (t.track, t.recording_isrc, t.recording_genre, t.rendition, t.song_card)


async def merge(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    """Both rows are locked. The row that goes stays, hidden and empty, for as long as resume points refer to it."""
    recording = t.recording.c
    rows = await connection.execute(sa.select(t.recording).where(recording.id.in_([from_id, into_id])))
    of = {row.id: row for row in rows}
    gone, kept = of[from_id], of[into_id]
    if await _comes_later(connection, gone, kept):
        raise NotReady(f"song {into_id} is not out yet, and {from_id} is: what is out stays out")
    await _take_over(connection, t.track, from_id, into_id, ("release_id", "disc_number", "track_number"))
    await _take_over(connection, t.recording_isrc, from_id, into_id, ("isrc",))
    await _take_over(
        connection, t.recording_genre, from_id, into_id, ("genre_id", "position"), title_key=kept.title_key
    )
    for table in _DROPPED:
        await connection.execute(sa.delete(table).where(table.c.recording_id == from_id))
    await connection.execute(sa.update(t.source).where(t.source.c.recording_id == from_id).values(recording_id=into_id))
    hidden = {"withdrawn_at": sa.func.now(), "withdrawn_with": None, "withdrawn_reason": f"merged into {into_id}"}
    await connection.execute(sa.update(t.recording).where(recording.id == from_id).values(**hidden, mbid=None))
    mbid = sa.update(t.recording).where(recording.id == into_id, recording.mbid.is_(None))
    await connection.execute(mbid.values(mbid=gone.mbid))


async def remove_husk(connection: AsyncConnection, song_id: Id) -> None:
    """Removes what `merge` left, when nothing refers to it any more."""
    await connection.execute(sa.delete(t.recording).where(t.recording.c.id == song_id))


async def songs_of(_connection: AsyncConnection, song_id: Id) -> list[Id]:
    return [song_id]


async def _comes_later(connection: AsyncConnection, gone: sa.Row[tuple[object]], kept: sa.Row[tuple[object]]) -> bool:
    now = (await connection.execute(sa.select(sa.func.now()))).scalar_one()
    first, second = (moments.unix_ms(row.available_from) or 0 for row in (gone, kept))
    return second > max(first, moments.unix_ms(now) or 0)


async def _take_over(
    connection: AsyncConnection, table: sa.Table, from_id: Id, into_id: Id, columns: tuple[str, ...], **values: object
) -> None:
    """Gives the one that stays those rows that it has no equal of."""
    taken = sa.select(
        sa.literal(into_id, sa.Uuid()),
        *(table.c[name] for name in columns),
        *(sa.literal(value, table.c[name].type) for name, value in values.items()),
    ).where(table.c.recording_id == from_id)
    names = ["recording_id", *columns, *values]
    await connection.execute(insert(table).from_select(names, taken).on_conflict_do_nothing())
