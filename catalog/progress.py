"""Saves and reads resume points: one row per listener, song and device, and a pointer to the device that saved last.

Saves of one listener and song take turns on the pointer's row lock, so which was last is the order of commits, and no clock is
asked. An answer means committed. If the answer is lost the client sends the same save again, which changes nothing.
"""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.resume import Outcome, Point, decide
from reprise.errors import Conflict, NotFound

# A further device takes the place of the one that was silent longest.
DEVICES_MAX = 16


class Progress:
    """Resume points of listeners. A `user_id` is opaque here."""

    def __init__(self, database: Database, metrics: CatalogMetrics) -> None:
        self._database = database
        self._metrics = metrics

    async def save(self, user_id: str, offered: Point) -> Point:
        """The point as committed. Raises NotFound (no such song), Conflict (a newer one is kept) or Unavailable."""
        outcome, kept = await self._database.write(lambda connection: _save(connection, user_id, offered))
        self._metrics.progress_saves.labels(outcome.value).inc()
        if outcome is Outcome.STALE:
            raise Conflict(
                f"a newer point of device {kept.device_id} is kept: epoch={kept.epoch} sequence={kept.sequence} "
                f"position_ms={kept.position_ms} finished={str(kept.finished).lower()}"
            )
        return kept

    async def get(self, user_id: str, song_id: str) -> list[Point]:
        """The point saved last, then those of other devices, newest first. Raises NotFound or Unavailable."""
        rows = await self._database.read(
            lambda connection: connection.execute(_points(user_id, song_id).order_by(t.progress.c.revision.desc()))
        )
        points = [_point(row) for row in rows]
        if not points:
            raise NotFound(f"no resume point of this listener for song {song_id}")
        return points


async def _save(connection: AsyncConnection, user_id: str, offered: Point) -> tuple[Outcome, Point]:
    saves = await _lock_pointer(connection, user_id, offered)
    of_device = _points(user_id, offered.song_id).where(t.progress.c.device_id == offered.device_id)
    row = (await connection.execute(of_device)).first()
    kept = None if row is None else _point(row)
    outcome = decide(kept, offered)
    if outcome is not Outcome.ACCEPTED:
        assert kept is not None
        return outcome, kept
    saved = (await connection.execute(_upsert(user_id, offered, saves + 1))).one()
    await connection.execute(_move_pointer(user_id, offered, saves + 1))
    if kept is None:
        await connection.execute(_drop_silent_devices(user_id, offered.song_id))
    return outcome, _point(saved)


async def _lock_pointer(connection: AsyncConnection, user_id: str, offered: Point) -> int:
    """Makes the pointer if there is none, locks it until commit, and answers how many saves it has seen."""
    song_id, pointer = uuid.UUID(offered.song_id), t.progress_pointer
    if (await connection.execute(sa.select(t.recording.c.id).where(t.recording.c.id == song_id))).first() is None:
        raise NotFound(f"no such song: {offered.song_id}")
    row: dict[str, Any] = {
        "user_id": user_id,
        "recording_id": song_id,
        "device_id": offered.device_id,
        "revision": 0,
        "finished": False,
    }
    row |= {"played_at": sa.func.now()}
    await connection.execute(insert(pointer).values(row).on_conflict_do_nothing())
    locked = sa.select(pointer.c.revision).where(*_of(pointer, user_id, offered.song_id)).with_for_update()
    return int((await connection.execute(locked)).scalar_one())


def _upsert(user_id: str, offered: Point, save_number: int) -> sa.Insert:
    state = {
        "epoch": offered.epoch,
        "sequence": offered.sequence,
        "position_ms": offered.position_ms,
        "finished": offered.finished,
        "revision": save_number,
        "saved_at": sa.func.clock_timestamp(),
    }
    ids = {"user_id": user_id, "recording_id": uuid.UUID(offered.song_id), "device_id": offered.device_id}
    statement = insert(t.progress).values(ids | state)
    return statement.on_conflict_do_update(constraint=t.progress.primary_key, set_=state).returning(t.progress)


def _move_pointer(user_id: str, offered: Point, saves: int) -> sa.Update:
    pointer = t.progress_pointer
    return (
        sa.update(pointer)
        .where(*_of(pointer, user_id, offered.song_id))
        .values(device_id=offered.device_id, revision=saves)
    )


def _drop_silent_devices(user_id: str, song_id: str) -> sa.Delete:
    progress = t.progress
    newest_first = progress.c.revision.desc()
    silent = (
        sa.select(progress.c.device_id)
        .where(*_of(progress, user_id, song_id))
        .order_by(newest_first)
        .offset(DEVICES_MAX)
    )
    return sa.delete(progress).where(*_of(progress, user_id, song_id), progress.c.device_id.in_(silent))


def _points(user_id: str, song_id: str) -> sa.Select[Any]:
    return sa.select(t.progress).where(*_of(t.progress, user_id, song_id))


def _of(table: sa.Table, user_id: str, song_id: str) -> tuple[sa.ColumnElement[bool], ...]:
    return table.c.user_id == user_id, table.c.recording_id == uuid.UUID(song_id)


def _point(row: sa.Row[Any]) -> Point:
    return Point(
        song_id=str(row.recording_id),
        device_id=row.device_id,
        position_ms=row.position_ms,
        finished=row.finished,
        epoch=row.epoch,
        sequence=row.sequence,
        saved_unix_ms=round(row.saved_at.timestamp() * 1000),
    )
