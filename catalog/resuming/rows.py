"""Reads what PostgreSQL keeps of resume points: a row for each listener, song and device, and a pointer for each song."""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.model import EntityKind
from catalog.redirects import resolve
from catalog.resuming.resume import Point, Pointer, State
from catalog.sessions.listeners import account_of
from reprise.errors import NotFound

# A further device takes the place of the one that was silent longest.
DEVICES_MAX = 16


async def canonical(connection: AsyncConnection, song_id: str) -> uuid.UUID:
    """The id that the song goes by since it was merged, or the same."""
    asked = uuid.UUID(song_id)
    return (await resolve(connection, EntityKind.SONG, [asked])).get(asked, asked)


def current(song_id: str) -> sa.ColumnElement[uuid.UUID]:
    """As `canonical`, within a statement."""
    asked, redirect = sa.literal(uuid.UUID(song_id), sa.Uuid()), t.redirect.c
    new_id = sa.select(redirect.new_id).where(redirect.kind == EntityKind.SONG, redirect.old_id == asked)
    return sa.func.coalesce(new_id.scalar_subquery(), asked)


async def existing(connection: AsyncConnection, song_id: str) -> uuid.UUID:
    """As `canonical`. Raises NotFound (no such song)."""
    now = await canonical(connection, song_id)
    if (await connection.execute(sa.select(t.recording.c.id).where(t.recording.c.id == now))).first() is None:
        raise NotFound(f"no such song: {song_id}")
    return now


async def load_state(connection: AsyncConnection, user_id: str, song_id: uuid.UUID) -> State:
    """All that is kept of a listener's song."""
    pointer, progress = t.progress_pointer.c, t.progress.c
    is_same_song = sa.and_(pointer.user_id == progress.user_id, pointer.recording_id == progress.recording_id)
    statement = select_points(user_id).join(t.progress_pointer, is_same_song).where(*of(t.progress, user_id, song_id))
    pointed = (pointer.device_id.label("pointed_id"), pointer.revision.label("pointed_revision"))
    rows = (await connection.execute(statement.add_columns(*pointed))).all()
    if not rows:
        return State()
    pointer_now = Pointer(rows[0].pointed_id, rows[0].pointed_revision)
    return State(pointer_now, {row.device_id: point_of(row) for row in rows})


def select_points(user_id: str) -> sa.Select[Any]:
    """Points of a listener, with the names that devices gave themselves at login."""
    progress, device = t.progress.c, t.device.c
    is_named = sa.and_(
        device.account_id == sa.literal(account_of(user_id), sa.Uuid()), device.device_id == progress.device_id
    )
    return sa.select(t.progress, device.name.label("device_name")).select_from(t.progress.outerjoin(t.device, is_named))


def of(table: sa.Table, user_id: str, song_id: uuid.UUID) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.user_id == user_id, table.c.recording_id == song_id


def point_of(row: sa.Row[Any]) -> Point:
    return Point(
        song_id=str(row.recording_id),
        device_id=row.device_id,
        position_ms=row.position_ms,
        finished=row.finished,
        epoch=row.epoch,
        sequence=row.sequence,
        saved_unix_ms=round(row.saved_at.timestamp() * 1000),
        revision=row.revision,
        device_name=getattr(row, "device_name", None) or "",
    )
