"""The songs that a listener played, the last one first, along an index: any page costs what the first does."""

import uuid
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.availability import is_visible
from catalog.cards import load_cards
from catalog.cursors import Position
from catalog.resuming.resume import Point, Save
from catalog.resuming.rows import canonical, load_state, point_of, select_points

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Entry:
    """A song's card, see `cards`, and the point of the pointer's device."""

    card: bytes
    point: Point


@dataclass(frozen=True, slots=True)
class Rows:
    """Entries, and where the next page goes on; empty at the end."""

    entries: Sequence[Entry]
    position: Position


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose songs, how many, and after what; songs of `saves`, which the database does not have yet, come first."""

    user_id: str
    count: int
    after: Position
    include_finished: bool
    saves: Sequence[Save]


async def load_recent(connection: AsyncConnection, asked: Asked) -> Rows:
    """A page."""
    saved = {save.point.song_id: await canonical(connection, save.point.song_id) for save in reversed(asked.saves)}
    first = [] if asked.after else await _saved_points(connection, asked, saved)
    left = asked.count - len(first)
    rows = (await connection.execute(_select(asked, set(saved.values())).limit(left + 1))).all()
    shown = rows[:left]
    points = first + [point_of(row) for row in shown]
    cards = await load_cards(connection, [uuid.UUID(point.song_id) for point in points])
    entries = [Entry(cards[song], point) for point in points if (song := uuid.UUID(point.song_id)) in cards]
    if len(rows) <= left:
        return Rows(entries, ())
    # Without room beside the first ones, the rest goes on before the first row: nothing was played later than that.
    last = shown[-1] if shown else None
    return Rows(
        entries, _position(last.played_at, last.recording_id) if last else _position(_later(rows[0]), uuid.UUID(int=0))
    )


async def _saved_points(connection: AsyncConnection, asked: Asked, saved: dict[str, uuid.UUID]) -> list[Point]:
    points = []
    for song_id in list(dict.fromkeys(saved.values()))[: asked.count]:
        mine = [save for save in asked.saves if saved[save.point.song_id] == song_id]
        state = (await load_state(connection, asked.user_id, song_id)).with_all(mine)
        point = state.in_order()[0]
        if asked.include_finished or not point.finished:
            points.append(point)
    return points


def _select(asked: Asked, without: Collection[uuid.UUID]) -> sa.Select[Any]:
    pointer, progress = t.progress_pointer.c, t.progress.c
    is_pointed = sa.and_(
        pointer.user_id == progress.user_id,
        pointer.recording_id == progress.recording_id,
        pointer.device_id == progress.device_id,
    )
    statement = (
        select_points(asked.user_id)
        .add_columns(pointer.played_at)
        .join(t.progress_pointer, is_pointed)
        .join(t.recording, t.recording.c.id == pointer.recording_id)
        .where(pointer.user_id == asked.user_id, is_visible(t.recording))
        .order_by(pointer.played_at.desc(), pointer.recording_id.desc())
    )
    if without:
        statement = statement.where(pointer.recording_id.not_in(without))
    if not asked.include_finished:
        statement = statement.where(sa.not_(pointer.finished))
    if asked.after:
        played_us, song_id = asked.after
        place = sa.tuple_(
            sa.literal(_EPOCH + int(played_us) * _MICROSECOND, pointer.played_at.type),
            sa.literal(uuid.UUID(str(song_id)), sa.Uuid()),
        )
        statement = statement.where(sa.tuple_(pointer.played_at, pointer.recording_id) < place)
    return statement


def _later(row: sa.Row[Any]) -> datetime:
    played_at: datetime = row.played_at
    return played_at + _MICROSECOND


def _position(played_at: datetime, song_id: uuid.UUID) -> Position:
    return (played_at - _EPOCH) // _MICROSECOND, str(song_id)
