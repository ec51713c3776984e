"""Commits one save to PostgreSQL: user actions, and what was spooled.

Saves of one listener and song take turns on the pointer's row lock, so which action was last is the order of commits, and no
clock is asked. Work here may run twice, as `Database` demands: the second time it finds the save resent.

Locks are taken in one order, here and in `batches`: pointers, then points.
"""

import uuid
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.resuming.resume import Decision, Outcome, Point, Pointer, Save, decide
from catalog.resuming.rows import DEVICES_MAX, canonical, current, of, point_of, select_points
from reprise.errors import NotFound


@dataclass(frozen=True, slots=True)
class Committed:
    """What is kept of the device now, and the pointer's point when that stays with another device."""

    outcome: Outcome
    point: Point
    conflict: Point | None = None


async def commit(connection: AsyncConnection, user_id: str, save: Save) -> Committed:
    """Raises NotFound (no such song)."""
    song_id, pointer = await _lock_pointer(connection, user_id, save.point)
    # Asked after the lock: what stood there before may have been another's.
    kept = await _points(connection, user_id, song_id, {save.point.device_id, pointer.device_id})
    mine = kept.get(save.point.device_id)
    decision = decide(pointer, mine, save)
    assert decision.pointer is not None
    if decision.outcome in (Outcome.ACCEPTED, Outcome.APART):
        if mine is None:
            stay = {save.point.device_id, decision.pointer.device_id}
            await connection.execute(_drop_silent_devices(user_id, song_id, stay))
        mine = await _write(connection, user_id, song_id, save.point, decision)
    assert mine is not None
    conflict = None if decision.pointer.device_id == save.point.device_id else kept.get(decision.pointer.device_id)
    return Committed(decision.outcome, mine, conflict)


async def _lock_pointer(connection: AsyncConnection, user_id: str, point: Point) -> tuple[uuid.UUID, Pointer]:
    """The song's id now and its pointer, locked until commit; made, without an action so far, if there is none."""
    row = (await connection.execute(_locked(user_id, current(point.song_id)))).first()
    if row is None:
        song_id = await canonical(connection, point.song_id)
        await _check_exists(connection, song_id)
        ids = {"user_id": user_id, "recording_id": song_id, "device_id": point.device_id}
        first = insert(t.progress_pointer).values(**ids, revision=0, finished=False, played_at=sa.func.now())
        await connection.execute(first.on_conflict_do_nothing())
        row = (await connection.execute(_locked(user_id, sa.literal(song_id, sa.Uuid())))).one()
    return row.recording_id, Pointer(row.device_id, row.revision)


def _locked(user_id: str, song_id: sa.ColumnElement[uuid.UUID]) -> sa.Select[Any]:
    pointer = t.progress_pointer.c
    statement = sa.select(pointer.recording_id, pointer.device_id, pointer.revision)
    return statement.where(pointer.user_id == user_id, pointer.recording_id == song_id).with_for_update()


async def _check_exists(connection: AsyncConnection, song_id: uuid.UUID) -> None:
    """The song stays until this is committed, though it be merged meanwhile."""
    known = sa.select(t.recording.c.id).where(t.recording.c.id == song_id).with_for_update(read=True, key_share=True)
    if (await connection.execute(known)).first() is None:
        raise NotFound(f"no such song: {song_id}")


async def _points(
    connection: AsyncConnection, user_id: str, song_id: uuid.UUID, device_ids: set[str]
) -> dict[str, Point]:
    wanted = select_points(user_id).where(*of(t.progress, user_id, song_id), t.progress.c.device_id.in_(device_ids))
    return {row.device_id: point_of(row) for row in await connection.execute(wanted)}


async def _write(
    connection: AsyncConnection, user_id: str, song_id: uuid.UUID, point: Point, decision: Decision
) -> Point:
    state = {
        "epoch": point.epoch,
        "sequence": point.sequence,
        "position_ms": point.position_ms,
        "finished": point.finished,
        "revision": decision.revision,
        "saved_at": sa.func.clock_timestamp(),
    }
    ids = {"user_id": user_id, "recording_id": song_id, "device_id": point.device_id}
    upsert = insert(t.progress).values(ids | state)
    upsert = upsert.on_conflict_do_update(constraint=t.progress.primary_key, set_=state)
    statement = sa.select(upsert.returning(t.progress).cte("saved"))
    if decision.pointer == Pointer(point.device_id, decision.revision):
        moved = {"device_id": point.device_id, "revision": decision.revision, "finished": point.finished}
        update = sa.update(t.progress_pointer).where(*of(t.progress_pointer, user_id, song_id))
        statement = statement.add_cte(update.values(**moved, played_at=sa.func.clock_timestamp()).cte("moved"))
    return point_of((await connection.execute(statement)).one())


def _drop_silent_devices(user_id: str, song_id: uuid.UUID, stay: set[str]) -> sa.Delete:
    """Makes room for a new device beside those that must stay."""
    progress = t.progress
    here = of(progress, user_id, song_id)
    newest_first = (progress.c.revision.desc(), progress.c.saved_at.desc())
    others = sa.select(progress.c.device_id).where(*here, progress.c.device_id.not_in(stay)).order_by(*newest_first)
    return sa.delete(progress).where(*here, progress.c.device_id.in_(others.offset(DEVICES_MAX - len(stay))))
