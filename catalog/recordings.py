"""The song of a publication itself: the recording with its genres, codes and renditions; or the one that it already is."""

import uuid
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import locks, normalise
from catalog import tables as t
from catalog.availability import is_out
from catalog.editions import Edition
from catalog.model import Publication

# Encoders and rips disagree about the length of one recording by their padding and the gap before the next track.
SAME_LENGTH_MS = 2000


async def find(connection: AsyncConnection, song: Publication, edition: Edition | None) -> uuid.UUID | None:
    """The song that is this recording already; None when it is new, and then nobody else makes it until this transaction ends.

    What is to come with another release is left alone: it must not be let out by this one, nor be held back with it.
    """
    if not song.recording_mbid or not song.duration_ms:
        return None
    await locks.lock_names(connection, [f"recording {song.recording_mbid}"])
    recording = t.recording.c
    on_it = sa.select(t.track.c.recording_id).where(t.track.c.release_id == (edition.release_id if edition else None))
    alike = (
        sa.select(recording.id)
        .where(recording.mbid == uuid.UUID(song.recording_mbid), recording.title_key == normalise.key(song.title))
        .where(sa.func.abs(recording.duration_ms - song.duration_ms) <= SAME_LENGTH_MS)
        .where(sa.or_(is_out(recording.available_from), recording.id.in_(on_it)))
        .order_by(recording.id)
        .limit(1)
    )
    return (await connection.execute(alike)).scalar_one_or_none()


async def insert(
    connection: AsyncConnection,
    song_id: uuid.UUID,
    song: Publication,
    credit_id: uuid.UUID,
    genre_ids: Sequence[uuid.UUID],
    cover: bytes | None,
    edition: Edition | None,
) -> None:
    """Writes a new song, findable when the transaction commits and its moment has come."""
    title_key = normalise.key(song.title)
    available_from = edition.available_from if edition else None
    # A release that is taken down takes what comes later with it.
    down = (
        {"withdrawn_at": edition.withdrawn_at, "withdrawn_with": edition.release_id}
        if edition and edition.withdrawn_at
        else {}
    )
    of_song = {"recording_id": song_id}
    row = {
        "id": song_id,
        "title": song.title,
        "title_key": title_key,
        "credit_id": credit_id,
        "duration_ms": song.duration_ms,
        "date": song.date,
        "explicit": song.explicit,
        "cover": cover,
        "available_from": available_from,
        "mbid": uuid.UUID(song.recording_mbid) if song.recording_mbid else None,
        **down,
        **_loudness_columns(song),
    }
    details: dict[sa.Table, list[dict[str, Any]]] = {
        t.recording: [row],
        t.recording_genre: [
            {"genre_id": genre_id, "position": at, "title_key": title_key, **of_song}
            for at, genre_id in enumerate(genre_ids)
        ],
        t.recording_isrc: [{"isrc": isrc, **of_song} for isrc in sorted(set(song.isrcs))],
        t.rendition: [_rendition_row(song, at) | of_song for at in range(len(song.renditions))],
    }
    for table, rows in details.items():
        if rows:
            await connection.execute(sa.insert(table), rows)


def _loudness_columns(song: Publication) -> dict[str, float]:
    if song.loudness is None:
        return {}
    return {
        "integrated_lufs": song.loudness.integrated_lufs,
        "true_peak_dbtp": song.loudness.true_peak_dbtp,
        "loudness_range_lu": song.loudness.range_lu,
    }


def _rendition_row(song: Publication, at: int) -> dict[str, Any]:
    rendition = song.renditions[at]
    return {
        "rendition_id": bytes.fromhex(rendition.rendition_id),
        "position": at,
        "codec": rendition.codec,
        "bitrate_bps": rendition.bitrate_bps,
        "size_bytes": rendition.size_bytes,
        "duration_ms": rendition.duration_ms,
        "sample_rate_hz": rendition.sample_rate_hz,
        "channels": rendition.channels,
        "mime_type": rendition.mime_type,
        "delay_samples": rendition.delay_samples,
        "padding_samples": rendition.padding_samples,
        "samples": rendition.samples,
    }
