"""Merging songs: resume points go over to the one that stays, a batch of listeners at a time.

Of a device that has both, the later by (epoch, sequence) stays. Of a listener who has both, the pointer goes where the song was
played later; its revision is the larger one, so no device takes what it knew for newer than it was.
"""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import Insert, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t

Id = uuid.UUID
LISTENERS_BATCH = 1000


async def move(connection: AsyncConnection, from_id: Id, into_id: Id) -> bool:
    """Moves the resume points of some listeners; False when there were none left."""
    some = sa.select(t.progress.c.user_id).where(t.progress.c.recording_id == from_id).distinct().limit(LISTENERS_BATCH)
    users = sorted((await connection.execute(some)).scalars())
    if not users:
        return False
    # The pointer first: its lock is what saves of a listener take turns by.
    for table, merged in ((t.progress_pointer, _merged_pointer), (t.progress, _merged_point)):
        await connection.execute(merged(_copied(table, users, from_id, into_id)))
        await connection.execute(sa.delete(table).where(table.c.recording_id == from_id, table.c.user_id.in_(users)))
    await connection.execute(_agreeing(users, into_id))
    return True


def _copied(table: sa.Table, users: Sequence[str], from_id: Id, into_id: Id) -> Insert:
    others = [column for column in table.c if column.name != "recording_id"]
    rows = sa.select(sa.literal(into_id, sa.Uuid()), *others).where(
        table.c.recording_id == from_id, table.c.user_id.in_(users)
    )
    names = ["recording_id", *(column.name for column in others)]
    return insert(table).from_select(names, rows.order_by(table.c.user_id))


def _merged_pointer(copied: Insert) -> Insert:
    pointer, moved = t.progress_pointer.c, copied.excluded
    later = moved.played_at > pointer.played_at
    return copied.on_conflict_do_update(
        constraint=t.progress_pointer.primary_key,
        set_={
            "device_id": sa.case((later, moved.device_id), else_=pointer.device_id),
            "revision": sa.func.greatest(pointer.revision, moved.revision),
            "played_at": sa.func.greatest(pointer.played_at, moved.played_at),
        },
    )


def _merged_point(copied: Insert) -> Insert:
    point, moved = t.progress.c, copied.excluded
    keys = {column.name for column in t.progress.primary_key}
    return copied.on_conflict_do_update(
        constraint=t.progress.primary_key,
        set_={name: moved[name] for name in moved.keys() if name not in keys},  # noqa: SIM118  # columns, not a dict
        where=sa.tuple_(moved.epoch, moved.sequence) > sa.tuple_(point.epoch, point.sequence),
    )


def _agreeing(users: Sequence[str], song_id: Id) -> sa.Update:
    """Whether it was finished is told of the pointer as of its device's point."""
    point, pointer = t.progress.c, t.progress_pointer.c
    return (
        sa.update(t.progress_pointer)
        .where(pointer.recording_id == song_id, pointer.user_id.in_(users))
        .where(point.recording_id == song_id, point.user_id == pointer.user_id, point.device_id == pointer.device_id)
        .values(finished=point.finished)
    )
