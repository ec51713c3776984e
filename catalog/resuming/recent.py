"""The songs that a listener played, the last one first, along an index: any page costs what the first does."""

import uuid
from collections.abc import Collection, Mapping, Sequence
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
    """Whose songs, how many, and after what; songs of `saves`, which the database does not have yet, come first.

    A position is how many of those were passed, then the moment and the song of the last row, -1 and "" before the first.
    """

    user_id: str
    count: int
    after: Position
    include_finished: bool
    saves: Sequence[Save]


async def load_recent(connection: AsyncConnection, asked: Asked) -> Rows:
    """A page."""
    passed, played_us, last_id = asked.after or (0, -1, "")
    saved = {save.point.song_id: await canonical(connection, save.point.song_id) for save in reversed(asked.saves)}
    songs = list(dict.fromkeys(saved.values()))
    points: list[Point] = []
    while len(points) < asked.count and int(passed) < len(songs):
        point = await _saved_point(connection, asked, saved, songs[int(passed)])
        points += [point] if asked.include_finished or not point.finished else []
        passed = int(passed) + 1
    left = asked.count - len(points)
    rows = (await connection.execute(_select(asked, songs, played_us, last_id).limit(left + 1))).all()
    shown = rows[:left]
    entries = await _entries(connection, points + [point_of(row) for row in shown])
    if len(rows) <= left and int(passed) >= len(songs):
        return Rows(entries, ())
    if shown:
        played_us, last_id = (shown[-1].played_at - _EPOCH) // _MICROSECOND, str(shown[-1].recording_id)
    return Rows(entries, (passed, played_us, last_id))


async def _entries(connection: AsyncConnection, points: Sequence[Point]) -> list[Entry]:
    cards = await load_cards(connection, [uuid.UUID(point.song_id) for point in points])
    return [Entry(cards[song], point) for point in points if (song := uuid.UUID(point.song_id)) in cards]


async def _saved_point(
    connection: AsyncConnection, asked: Asked, saved: Mapping[str, uuid.UUID], song_id: uuid.UUID
) -> Point:
    mine = [save for save in asked.saves if saved[save.point.song_id] == song_id]
    return (await load_state(connection, asked.user_id, song_id)).with_all(mine).in_order()[0]


def _select(asked: Asked, without: Collection[uuid.UUID], played_us: str | int, last_id: str | int) -> sa.Select[Any]:
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
    if last_id:
        place = sa.tuple_(
            sa.literal(_EPOCH + int(played_us) * _MICROSECOND, pointer.played_at.type),
            sa.literal(uuid.UUID(str(last_id)), sa.Uuid()),
        )
        statement = statement.where(sa.tuple_(pointer.played_at, pointer.recording_id) < place)
    return statement
