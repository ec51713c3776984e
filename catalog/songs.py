"""Reads songs and releases by id, whole: a handful of small queries for a page of any size, never one per song."""

import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import redirects
from catalog import tables as t
from catalog.availability import is_visible
from catalog.database import Database
from catalog.model import Credit, EntityKind, Genre, Loudness, Release, Rendition, Song

Id = uuid.UUID


@dataclass(frozen=True, slots=True)
class Found:
    """Songs, and which of the ids that were asked for now mean which of them."""

    songs: list[Song]
    redirected: dict[Id, Id]


class Songs:
    """Songs by id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, song_ids: Sequence[Id], *, upcoming: bool = False) -> list[Song]:
        """Those of `song_ids` that are to be seen, with `upcoming` before they are out, in that order. Raises Unavailable."""
        return (await self.find(song_ids, upcoming=upcoming)).songs

    async def find(self, song_ids: Sequence[Id], *, upcoming: bool = False) -> Found:
        """As `get`; a song that was merged into another is answered by that one."""
        condition = t.recording.c.withdrawn_at.is_(None) if upcoming else is_visible(t.recording)
        return await self._database.read(lambda connection: _find(connection, song_ids, condition))


async def _find(connection: AsyncConnection, song_ids: Sequence[Id], condition: sa.ColumnElement[bool]) -> Found:
    songs = {song.song_id: song for song in await load_songs(connection, song_ids, condition)}
    missing = [song_id for song_id in song_ids if str(song_id) not in songs]
    redirected = await redirects.resolve(connection, EntityKind.SONG, missing) if missing else {}
    if redirected:
        others = await load_songs(connection, list(redirected.values()), condition)
        songs |= {song.song_id: song for song in others}
    ids = [str(redirected.get(song_id, song_id)) for song_id in song_ids]
    answered = {old: new for old, new in redirected.items() if str(new) in songs}
    return Found([songs[id_] for id_ in ids if id_ in songs], answered)


async def load_songs(
    connection: AsyncConnection, song_ids: Sequence[Id], condition: sa.ColumnElement[bool] | None = None
) -> list[Song]:
    """The known ones of `song_ids` whose recordings meet the condition, out or not, in that order."""
    if not song_ids:
        return []
    covered = t.recording.outerjoin(t.image, t.image.c.sha256 == t.recording.c.cover)
    wanted = sa.select(t.recording, t.image.c.sizes_px).select_from(covered).where(t.recording.c.id.in_(song_ids))
    if condition is not None:
        wanted = wanted.where(condition)
    rows = {row.id: row for row in await connection.execute(wanted)}
    if not rows:
        return []
    tracks = await _first_tracks(connection, rows)
    releases = {
        r.release_id: r for r in await load_releases(connection, {track.release_id for track in tracks.values()})
    }
    credits_ = await _load_credits(connection, {row.credit_id for row in rows.values()})
    genres = await _load_genres(connection, rows)
    renditions = await _load_renditions(connection, rows)
    isrcs = await _load_isrcs(connection, rows)
    songs = []
    for song_id in song_ids:
        if song_id in rows:
            row, track = rows[song_id], tracks.get(song_id)
            songs.append(
                Song(
                    song_id=str(song_id),
                    title=row.title,
                    artists=credits_[row.credit_id],
                    release=releases[str(track.release_id)] if track else None,
                    genres=tuple(genres[song_id]),
                    cover=row.cover.hex() if row.cover else "",
                    cover_sizes_px=tuple(row.sizes_px or ()),
                    loudness=_loudness(row),
                    duration_ms=row.duration_ms,
                    track_number=track.track_number if track else 0,
                    disc_number=track.disc_number if track else 0,
                    date=row.date,
                    explicit=row.explicit,
                    isrcs=tuple(isrcs[song_id]),
                    renditions=tuple(renditions[song_id]),
                )
            )
    return songs


async def load_releases(connection: AsyncConnection, release_ids: Iterable[Id]) -> list[Release]:
    """The known ones of `release_ids`, in no order."""
    joined = t.release.join(t.release_group).outerjoin(t.image, t.image.c.sha256 == t.release.c.cover)
    wanted = sa.select(t.release, t.release_group.c.kind, t.image.c.sizes_px).select_from(joined)
    rows = (await connection.execute(wanted.where(t.release.c.id.in_(list(release_ids))))).all()
    credits_ = await _load_credits(connection, {row.credit_id for row in rows})
    return [_release(row, credits_[row.credit_id]) for row in rows]


def _release(row: sa.Row[Any], artists: tuple[Credit, ...]) -> Release:
    return Release(
        release_id=str(row.id),
        title=row.title,
        artists=artists,
        date=row.date,
        cover=row.cover.hex() if row.cover else "",
        cover_sizes_px=tuple(row.sizes_px or ()),
        kind=row.kind,
        group_id=str(row.group_id),
        loudness=_loudness(row),
    )


def _loudness(row: sa.Row[Any]) -> Loudness | None:
    """Of a recording or release, where it was measured."""
    if row.integrated_lufs is None:
        return None
    return Loudness(row.integrated_lufs, row.true_peak_dbtp or 0.0, row.loudness_range_lu or 0.0)


async def _first_tracks(connection: AsyncConnection, song_ids: Iterable[Id]) -> dict[Id, sa.Row[Any]]:
    """The track by which each song is shown: on the release that came into the catalog first."""
    track = t.track
    statement = (
        sa.select(track)
        .ext(distinct_on(track.c.recording_id))
        .where(track.c.recording_id.in_(list(song_ids)))
        .order_by(track.c.recording_id, track.c.release_id)
    )
    return {row.recording_id: row for row in await connection.execute(statement)}


async def _load_credits(connection: AsyncConnection, credit_ids: Iterable[Id]) -> dict[Id, tuple[Credit, ...]]:
    names = t.artist_credit_name
    statement = (
        sa.select(names).where(names.c.credit_id.in_(list(credit_ids))).order_by(names.c.credit_id, names.c.position)
    )
    found: dict[Id, list[Credit]] = defaultdict(list)
    for row in await connection.execute(statement):
        found[row.credit_id].append(Credit(row.name, row.join_phrase, str(row.artist_id)))
    return {credit_id: tuple(names) for credit_id, names in found.items()}


async def _load_genres(connection: AsyncConnection, song_ids: Iterable[Id]) -> dict[Id, list[Genre]]:
    link = t.recording_genre
    statement = (
        sa.select(link.c.recording_id, t.genre.c.id, t.genre.c.name)
        .join(t.genre, t.genre.c.id == link.c.genre_id)
        .where(link.c.recording_id.in_(list(song_ids)))
        .order_by(link.c.recording_id, link.c.position)
    )
    found: dict[Id, list[Genre]] = defaultdict(list)
    for row in await connection.execute(statement):
        found[row.recording_id].append(Genre(str(row.id), row.name))
    return found


async def _load_renditions(connection: AsyncConnection, song_ids: Iterable[Id]) -> dict[Id, list[Rendition]]:
    table = t.rendition
    statement = (
        sa.select(table)
        .where(table.c.recording_id.in_(list(song_ids)))
        .order_by(table.c.recording_id, table.c.position)
    )
    found: dict[Id, list[Rendition]] = defaultdict(list)
    for row in await connection.execute(statement):
        found[row.recording_id].append(
            Rendition(
                rendition_id=row.rendition_id.hex(),
                codec=row.codec,
                bitrate_bps=row.bitrate_bps,
                size_bytes=row.size_bytes,
                duration_ms=row.duration_ms,
                sample_rate_hz=row.sample_rate_hz,
                channels=row.channels,
                mime_type=row.mime_type,
                delay_samples=row.delay_samples,
                padding_samples=row.padding_samples,
                samples=row.samples,
            )
        )
    return found


async def _load_isrcs(connection: AsyncConnection, song_ids: Iterable[Id]) -> dict[Id, list[str]]:
    table = t.recording_isrc
    statement = (
        sa.select(table).where(table.c.recording_id.in_(list(song_ids))).order_by(table.c.recording_id, table.c.isrc)
    )
    found: dict[Id, list[str]] = defaultdict(list)
    for row in await connection.execute(statement):
        found[row.recording_id].append(row.isrc)
    return found
