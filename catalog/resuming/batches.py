"""Writes heartbeats to PostgreSQL, hundreds at a time. A heartbeat never replaces a newer point, and never moves the pointer.

Songs that are not known are left out. Rows are locked in the order of their keys, pointers before points, so batches of several
catalogs and user actions do not wait for one another in a circle.
"""

import uuid
from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.model import EntityKind
from catalog.redirects import resolve
from catalog.resuming.beats import Beat
from catalog.resuming.resume import Point
from catalog.resuming.rows import DEVICES_MAX

# Each column of a batch is one array, so that the statement is the same for any number of rows.
_ROWS = """
    unnest(
        CAST(:users AS text[]), CAST(:songs AS uuid[]), CAST(:devices AS text[]), CAST(:epochs AS bigint[]),
        CAST(:sequences AS bigint[]), CAST(:positions AS bigint[]), CAST(:finisheds AS boolean[])
    ) AS beat (user_id, recording_id, device_id, epoch, sequence, position_ms, finished)
"""
_POINTERS = sa.text(f"""
    INSERT INTO progress_pointer (user_id, recording_id, device_id, revision, finished, played_at)
    SELECT user_id, recording_id, device_id, 0, finished, now() FROM {_ROWS}
    ORDER BY user_id COLLATE "C", recording_id ON CONFLICT DO NOTHING
""")  # noqa: S608 - parts of our own
# Those that `_TOUCH` may write: later, with points locked, it would be too late to wait for an action.
_LOCK = sa.text(f"""
    SELECT FROM progress_pointer JOIN {_ROWS} USING (user_id, recording_id, device_id)
    WHERE progress_pointer.finished <> beat.finished OR played_at < now() - interval '10 minutes'
    ORDER BY user_id, recording_id FOR UPDATE OF progress_pointer
""")
_POINTS = sa.text(f"""
    INSERT INTO progress (user_id, recording_id, device_id, epoch, sequence, position_ms, finished, revision, saved_at)
    SELECT user_id, recording_id, device_id, epoch, sequence, position_ms, finished, 0, now() FROM {_ROWS}
    ORDER BY user_id COLLATE "C", recording_id, device_id COLLATE "C"
    ON CONFLICT (user_id, recording_id, device_id) DO UPDATE
        SET epoch = excluded.epoch, sequence = excluded.sequence, position_ms = excluded.position_ms,
            finished = excluded.finished, saved_at = excluded.saved_at
        WHERE (progress.epoch, progress.sequence) < (excluded.epoch, excluded.sequence)
    RETURNING user_id, recording_id, device_id, xmax = 0 AS is_new
""")  # noqa: S608 - parts of our own
# A list in the order of playing need not be more exact than this, and each update costs two entries of indexes.
_TOUCH = sa.text("""
    UPDATE progress_pointer SET finished = progress.finished, played_at = now() FROM progress
    WHERE (progress_pointer.user_id, progress_pointer.recording_id, progress_pointer.device_id) IN (
            SELECT * FROM unnest(CAST(:users AS text[]), CAST(:songs AS uuid[]), CAST(:devices AS text[])))
        AND (progress.user_id, progress.recording_id, progress.device_id)
            = (progress_pointer.user_id, progress_pointer.recording_id, progress_pointer.device_id)
        AND (progress_pointer.finished <> progress.finished OR progress_pointer.played_at < now() - interval '10 minutes')
""")
_DROP = sa.text("""
    DELETE FROM progress USING (
        SELECT one.user_id, one.recording_id, one.device_id, row_number() OVER (
            PARTITION BY one.user_id, one.recording_id
            ORDER BY one.device_id = pointer.device_id DESC, one.saved_at DESC, one.revision DESC
        ) AS place
        FROM progress one JOIN progress_pointer pointer USING (user_id, recording_id)
        WHERE (one.user_id, one.recording_id) IN (SELECT * FROM unnest(CAST(:users AS text[]), CAST(:songs AS uuid[])))
    ) AS ranked
    WHERE ranked.place > :devices_max AND (progress.user_id, progress.recording_id, progress.device_id)
        = (ranked.user_id, ranked.recording_id, ranked.device_id)
""")


async def write(connection: AsyncConnection, beats: Sequence[Beat]) -> int:
    """How many became a device's point; the others were older than what is kept, or of unknown songs."""
    rows = await _known(connection, beats)
    if not rows:
        return 0
    columns = _columns(rows.items())
    await connection.execute(_POINTERS, columns)
    await connection.execute(_LOCK, columns)
    written = (await connection.execute(_POINTS, columns)).all()
    if not written:
        return 0
    await connection.execute(_TOUCH, _ids(written) | {"devices": [row.device_id for row in written]})
    if grown := [row for row in written if row.is_new]:
        await connection.execute(_DROP, _ids(grown) | {"devices_max": DEVICES_MAX})
    return len(written)


_Key = tuple[str, uuid.UUID, str]


async def _known(connection: AsyncConnection, beats: Sequence[Beat]) -> dict[_Key, Point]:
    """The newest of each key, by the ids that songs go by now."""
    asked = {uuid.UUID(beat.point.song_id) for beat in beats}
    merged = await resolve(connection, EntityKind.SONG, list(asked))
    ids = {merged.get(song_id, song_id) for song_id in asked}
    # They stay until this is committed, though they be merged meanwhile.
    held = sa.select(t.recording.c.id).where(t.recording.c.id.in_(ids)).with_for_update(read=True, key_share=True)
    known = set((await connection.execute(held)).scalars())
    newest: dict[_Key, Point] = {}
    for beat in beats:
        song_id = uuid.UUID(beat.point.song_id)
        key = (beat.user_id, merged.get(song_id, song_id), beat.point.device_id)
        if key[1] in known and (key not in newest or newest[key].place < beat.point.place):
            newest[key] = beat.point
    return newest


def _columns(rows: Iterable[tuple[_Key, Point]]) -> dict[str, list[Any]]:
    fields = [(*key, point.epoch, point.sequence, point.position_ms, point.finished) for key, point in rows]
    names = ("users", "songs", "devices", "epochs", "sequences", "positions", "finisheds")
    return dict(zip(names, map(list, zip(*fields, strict=True)), strict=True))


def _ids(rows: Sequence[sa.Row[Any]]) -> dict[str, Any]:
    return {"users": [row.user_id for row in rows], "songs": [row.recording_id for row in rows]}
