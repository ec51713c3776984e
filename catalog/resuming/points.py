"""Saves and reads of resume points, as listeners ask for them.

An action is answered when it is committed, or while the database is away when it is on this catalog's disk. A heartbeat is
answered when it is noted. Answers are what the database has, with what is still on its way there laid over.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cursors
from catalog.database import Database, Position
from catalog.resuming.actions import commit
from catalog.resuming.beats import Beat, laid_over
from catalog.resuming.heartbeats import Heartbeats
from catalog.resuming.journal import Spooled
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.recent import Asked, Entry, load_recent
from catalog.resuming.resume import Kind, Outcome, Point, Save, State
from catalog.resuming.rows import canonical, load_state
from catalog.resuming.songs import KnownSongs
from catalog.resuming.spool import Spool
from reprise.errors import Conflict, NotFound, Unavailable

# (user id, song id, epoch, position in ms): what counts plays.
Heard = Callable[[str, str, int, int], object]


@dataclass(frozen=True, slots=True)
class Saved:
    """What is kept of the device now; the pointer's point when that stays with another device; a token for later reads."""

    point: Point
    conflict: Point | None = None
    token: str = ""
    spooled: bool = False


@dataclass(frozen=True, slots=True)
class Points:
    """The pointer's point, then those of other devices. `stale`: the client may know newer ones."""

    points: Sequence[Point]
    stale: bool


@dataclass(frozen=True, slots=True)
class Recent:
    """A page of songs, and the cursor of the next or empty."""

    entries: Sequence[Entry]
    next_cursor: str
    stale: bool


class Resume:
    """Resume points of listeners. A `user_id` is opaque here. `unix_s` is the clock, for display."""

    def __init__(
        self,
        database: Database,
        heartbeats: Heartbeats,
        spool: Spool | None,
        heard: Heard,
        cursor_key: bytes,
        metrics: ResumeMetrics,
        unix_s: Callable[[], float],
    ) -> None:
        self._database = database
        self._heartbeats = heartbeats
        self._spool = spool
        self._heard = heard
        self._cursor_key = cursor_key
        self._count = metrics.saves
        self._unix_s = unix_s
        self._songs = KnownSongs(database)

    async def save(self, user_id: str, save: Save) -> Saved:
        """Raises NotFound (no such song), Conflict (a newer point of the device is kept) or Unavailable."""
        work = self._note if save.kind is Kind.HEARTBEAT else self._act
        try:
            outcome, saved = await work(user_id, save)
        except (NotFound, Unavailable):
            self._count.labels(save.kind.value, "refused").inc()
            raise
        self._count.labels(save.kind.value, "spooled" if saved.spooled else outcome.value).inc()
        if outcome is Outcome.STALE:
            kept = saved.point
            raise Conflict(
                f"a newer point of device {kept.device_id} is kept: epoch={kept.epoch} sequence={kept.sequence} "
                f"position_ms={kept.position_ms} finished={str(kept.finished).lower()}"
            )
        if outcome is not Outcome.RESENT:
            self._heard(user_id, saved.point.song_id, saved.point.epoch, saved.point.position_ms)
        return saved

    async def get(self, user_id: str, song_id: str, token: str) -> Points:
        """Raises InvalidRequest (the token), NotFound (nothing was saved) or Unavailable."""
        at_least = Position.from_text(token)
        missing = None
        try:
            (now, state), stale = await self._database.read_fresh(
                lambda connection: _load(connection, user_id, song_id), at_least
            )
        except Unavailable as failure:
            now, state, stale, missing = song_id, State(), True, failure
        spooled = [save for save in self._spooled(user_id) if save.point.song_id in (song_id, now)]
        (beats,) = await self._heartbeats.points_of(user_id, [now])
        points = laid_over(state.with_all(spooled), beats).in_order()
        if not points:
            raise missing or NotFound(f"no resume point of this listener for song {song_id}")
        return Points(points, stale)

    async def recent(self, user_id: str, count: int, cursor: str, token: str, *, include_finished: bool) -> Recent:
        """Raises InvalidRequest (the cursor or the token) or Unavailable."""
        at_least = Position.from_text(token)
        scope = ("recent", user_id, int(include_finished))
        after = cursors.unseal(self._cursor_key, scope, cursor) if cursor else ()
        asked = Asked(user_id, count, after, include_finished, self._spooled(user_id))
        rows, stale = await self._database.read_fresh(lambda connection: load_recent(connection, asked), at_least)
        beats = await self._heartbeats.points_of(user_id, [entry.point.song_id for entry in rows.entries])
        entries = [_newer(entry, points) for entry, points in zip(rows.entries, beats, strict=True)]
        next_cursor = cursors.seal(self._cursor_key, scope, rows.position) if rows.position else ""
        return Recent(entries, next_cursor, stale)

    async def _act(self, user_id: str, save: Save) -> tuple[Outcome, Saved]:
        # Known to be away, the database is not waited for; the spool takes what it can.
        if self._spool is not None and self._database.primary_dsn is None:
            return await self._put_by(self._spool, user_id, save)
        try:
            committed, position = await self._database.write_at(lambda connection: commit(connection, user_id, save))
        except Unavailable:
            if self._spool is None:
                raise
            return await self._put_by(self._spool, user_id, save)
        return committed.outcome, Saved(committed.point, committed.conflict, position.to_text())

    async def _put_by(self, spool: Spool, user_id: str, save: Save) -> tuple[Outcome, Saved]:
        """The revision that the client knew stays what it knows until the action is committed."""
        point = replace(save.point, saved_unix_ms=self._now_ms(), revision=save.base_revision)
        mine = [one for one in self._spooled(user_id) if one.point.song_id == point.song_id]
        kept = State().with_all(mine).points.get(point.device_id)
        if kept is not None and point.place <= kept.place:
            outcome = Outcome.RESENT if point.place == kept.place else Outcome.STALE
            return outcome, Saved(replace(kept, revision=save.base_revision), spooled=True)
        await spool.append(Spooled(user_id, replace(save, point=point)))
        return Outcome.ACCEPTED, Saved(point, spooled=True)

    async def _note(self, user_id: str, save: Save) -> tuple[Outcome, Saved]:
        song_id = await self._songs.canonical(save.point.song_id)
        beat = Beat(user_id, replace(save.point, song_id=song_id, saved_unix_ms=self._now_ms()))
        outcome, point = await self._heartbeats.note(beat)
        return outcome, Saved(replace(point, revision=save.base_revision))

    def _spooled(self, user_id: str) -> list[Save]:
        if self._spool is None:
            return []
        return [spooled.save for spooled in self._spool.of(user_id)]

    def _now_ms(self) -> int:
        return round(self._unix_s() * 1000)


async def _load(connection: AsyncConnection, user_id: str, song_id: str) -> tuple[str, State]:
    """The song's id now, and what is kept of it. Points of a merged song move, so what is found needs no further look."""
    state = await load_state(connection, user_id, uuid.UUID(song_id))
    if state.points:
        return song_id, state
    now = await canonical(connection, song_id)
    return str(now), state if str(now) == song_id else await load_state(connection, user_id, now)


def _newer(entry: Entry, beats: Sequence[Point]) -> Entry:
    """The entry with a newer heartbeat of the same device."""
    kept = entry.point
    for point in beats:
        if point.device_id == kept.device_id and point.place > kept.place:
            kept = replace(point, revision=kept.revision, device_name=kept.device_name)
    return replace(entry, point=kept)
