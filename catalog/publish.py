"""Publishes songs: one transaction each, idempotent by source digest, safe from any number of ingests at once.

Races, and why they end well:
* The same source twice at once: both insert the same `source` row; the second waits for the first to commit, finds the row
  taken and answers the first one's song. If the first fails, the second goes on as if alone.
* The same new artist, genre, credit or release by two songs at once: insert-or-nothing, then read. Rows are inserted in
  sorted order and tables always in the same order, so two publications cannot wait for each other in a circle.
"""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import moments, normalise, publication, search_index
from catalog import tables as t
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.model import Credit, Publication
from reprise.log import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """The song that a source is. `created` is False when it was known before."""

    song_id: uuid.UUID
    created: bool


@dataclass(frozen=True, slots=True)
class _Release:
    """What a song has from its release; None and None when it is on none."""

    release_id: uuid.UUID | None
    available_from: datetime | None


class Publisher:
    """Writes songs. `new_id` makes UUIDv7s."""

    def __init__(self, database: Database, new_id: Callable[[], uuid.UUID], metrics: CatalogMetrics) -> None:
        self._database = database
        self._new_id = new_id
        self._metrics = metrics

    async def publish(self, offered: Publication) -> Published:
        """The song of `offered`, committed. Raises InvalidRequest, NotReady (its release's moment) or Unavailable."""
        publication.check(offered)
        published = await self._database.write(lambda connection: self._publish(connection, offered))
        self._metrics.publications.labels("created" if published.created else "known").inc()
        if published.created:
            log.info("song_published", song_id=str(published.song_id), title=offered.title)
        return published

    async def find_sources(self, digests: Sequence[str]) -> dict[str, uuid.UUID]:
        """The songs of those sources that are published. Raises Unavailable."""
        wanted = [bytes.fromhex(digest) for digest in digests]
        statement = sa.select(t.source).where(t.source.c.sha256.in_(wanted))
        rows = await self._database.read(lambda connection: connection.execute(statement))
        return {row.sha256.hex(): row.recording_id for row in rows}

    async def _publish(self, connection: AsyncConnection, song: Publication) -> Published:
        song_id = self._new_id()
        digest = bytes.fromhex(song.source_sha256)
        claim = (
            insert(t.source)
            .values(sha256=digest, recording_id=song_id)
            .on_conflict_do_nothing()
            .returning(t.source.c.sha256)
        )
        if (await connection.execute(claim)).first() is None:
            known = sa.select(t.source.c.recording_id).where(t.source.c.sha256 == digest)
            return Published((await connection.execute(known)).scalar_one(), created=False)
        cover = await self._insert_image(connection, song)
        song = await self._assign_artists(connection, song)
        credit_ids = await self._credit_ids(connection, [song.artists, song.album_artists or song.artists])
        genre_ids = await self._genre_ids(connection, song.genres)
        release = await self._release(connection, song, credit_ids[1], cover)
        await _insert_recording(connection, song_id, song, credit_ids[0], cover, release.available_from)
        await _insert_details(connection, song_id, song, genre_ids, release.release_id)
        await search_index.add(connection, song_id, song, release.available_from)
        return Published(song_id, created=True)

    async def _insert_image(self, connection: AsyncConnection, song: Publication) -> bytes | None:
        if not song.cover_sha256:
            return None
        cover = bytes.fromhex(song.cover_sha256)
        row = {"sha256": cover, "mime_type": song.cover_mime_type}
        await connection.execute(insert(t.image).values(row).on_conflict_do_nothing(index_elements=[t.image.c.sha256]))
        return cover

    async def _assign_artists(self, connection: AsyncConnection, song: Publication) -> Publication:
        """`song` with the id of the artist of that name in every credit; new artists are made."""
        names: dict[object, str] = {}
        for credit in (*song.artists, *song.album_artists):
            names.setdefault(normalise.key(credit.name), credit.name)
        rows = {key: _artist_row(name) for key, name in names.items()}
        ids = await self._ids_by(connection, t.artist.c.name_key, rows, where=t.artist.c.mbid.is_(None))

        def assigned(credits_: Sequence[Credit]) -> tuple[Credit, ...]:
            return tuple(replace(credit, artist_id=str(ids[normalise.key(credit.name)])) for credit in credits_)

        return replace(song, artists=assigned(song.artists), album_artists=assigned(song.album_artists))

    async def _credit_ids(self, connection: AsyncConnection, wanted: Sequence[Sequence[Credit]]) -> list[uuid.UUID]:
        by_digest = {publication.credit_digest(credits_): credits_ for credits_ in wanted}
        new: dict[object, uuid.UUID] = {}
        ids = await self._ids_by(connection, t.artist_credit.c.digest, {digest: {} for digest in by_digest}, new)
        names = [
            {
                "credit_id": ids[digest],
                "position": position,
                "artist_id": uuid.UUID(credit.artist_id),
                "name": credit.name,
                "join_phrase": credit.join_phrase,
            }
            for digest, credits_ in by_digest.items()
            if digest in new
            for position, credit in enumerate(credits_)
        ]
        if names:
            await connection.execute(sa.insert(t.artist_credit_name), names)
        return [ids[publication.credit_digest(credits_)] for credits_ in wanted]

    async def _genre_ids(self, connection: AsyncConnection, genres: Sequence[str]) -> list[uuid.UUID]:
        rows: dict[object, dict[str, Any]] = {}
        for name in genres:
            rows.setdefault(normalise.key(name), {"name": name})
        ids = await self._ids_by(connection, t.genre.c.name_key, rows)
        return [ids[key] for key in rows]

    async def _release(
        self, connection: AsyncConnection, song: Publication, credit_id: uuid.UUID, cover: bytes | None
    ) -> _Release:
        """The release of that title and first artist, made when new; its first cover and its moment stay."""
        if not song.album:
            return _Release(None, None)
        moment = song.available_from_unix_ms
        first_artist_id = uuid.UUID((song.album_artists or song.artists)[0].artist_id)
        title_key = normalise.key(song.album)
        group = {"id": self._new_id(), "title": song.album, "title_key": title_key, "first_artist_id": first_artist_id}
        unnamed = t.release_group.c.mbid.is_(None)
        await connection.execute(
            insert(t.release_group)
            .values(group)
            .on_conflict_do_nothing(index_elements=["title_key", "first_artist_id"], index_where=unnamed)
        )
        of_group = (t.release_group.c.title_key == title_key) & (t.release_group.c.first_artist_id == first_artist_id)
        group_id = (await connection.execute(sa.select(t.release_group.c.id).where(of_group, unnamed))).scalar_one()
        row = {
            "id": self._new_id(),
            "group_id": group_id,
            "title": song.album,
            "title_key": title_key,
            "first_artist_id": first_artist_id,
            "credit_id": credit_id,
            "date": song.date,
            "cover": cover,
            "available_from": moments.at(moment) if moment else None,
        }
        unique = (t.release.c.title_key, t.release.c.first_artist_id)
        of_song = (t.release.c.title_key == title_key) & (t.release.c.first_artist_id == first_artist_id)
        await connection.execute(
            insert(t.release)
            .values(row)
            .on_conflict_do_nothing(index_elements=unique, index_where=t.release.c.mbid.is_(None))
        )
        if cover is not None:
            without = of_song & t.release.c.cover.is_(None)
            await connection.execute(sa.update(t.release).where(without).values(cover=cover))
        # Locked, so that a change of its moment waits for this song, or this song for the change.
        kept = sa.select(t.release.c.id, t.release.c.available_from).where(of_song).with_for_update(read=True)
        found = (await connection.execute(kept)).one()
        medium = {"release_id": found.id, "disc_number": song.disc_number}
        await connection.execute(insert(t.medium).values(medium).on_conflict_do_nothing())
        moments.check_agrees(song.album, moments.unix_ms(found.available_from), moment)
        return _Release(found.id, found.available_from)

    async def _ids_by(
        self,
        connection: AsyncConnection,
        key: sa.Column[Any],
        rows: Mapping[object, dict[str, Any]],
        inserted: dict[object, uuid.UUID] | None = None,
        where: sa.ColumnElement[bool] | None = None,
    ) -> dict[object, uuid.UUID]:
        """The id of each row by its unique `key`; missing ones are inserted, and also noted in `inserted`."""
        table = key.table
        select = sa.select(key, table.c.id).where(key.in_(list(rows)))
        ids: dict[object, uuid.UUID] = {row[0]: row[1] for row in await connection.execute(select)}
        missing = sorted(rows.keys() - ids.keys())  # type: ignore[type-var]
        if not missing:
            return ids
        values = [{"id": self._new_id(), key.name: value, **rows[value]} for value in missing]
        statement = (
            insert(table)
            .values(values)
            .on_conflict_do_nothing(index_elements=[key], index_where=where)
            .returning(key, table.c.id)
        )
        for row in await connection.execute(statement):
            if inserted is not None:
                inserted[row[0]] = row[1]
        # Those that another publication inserted meanwhile were waited for: they are committed and visible now.
        return {row[0]: row[1] for row in await connection.execute(select)}


def _artist_row(name: str) -> dict[str, Any]:
    sort_name = normalise.sort_name(name)
    return {"name": name, "sort_name": sort_name, "sort_key": normalise.key(sort_name)}


async def _insert_recording(
    connection: AsyncConnection,
    song_id: uuid.UUID,
    song: Publication,
    credit_id: uuid.UUID,
    cover: bytes | None,
    available_from: datetime | None,
) -> None:
    row = {
        "id": song_id,
        "title": song.title,
        "title_key": normalise.key(song.title),
        "credit_id": credit_id,
        "duration_ms": song.duration_ms,
        "date": song.date,
        "explicit": song.explicit,
        "cover": cover,
        "available_from": available_from,
    }
    await connection.execute(sa.insert(t.recording), row)


async def _insert_details(
    connection: AsyncConnection,
    song_id: uuid.UUID,
    song: Publication,
    genre_ids: Sequence[uuid.UUID],
    release_id: uuid.UUID | None,
) -> None:
    of_song = {"recording_id": song_id}
    title_key = normalise.key(song.title)
    place = {"disc_number": song.disc_number, "track_number": song.track_number}
    details: dict[sa.Table, list[dict[str, Any]]] = {
        t.track: [{"release_id": release_id, **place}] if release_id else [],
        t.recording_genre: [
            {"genre_id": genre_id, "position": at, "title_key": title_key} for at, genre_id in enumerate(genre_ids)
        ],
        t.recording_isrc: [{"isrc": isrc} for isrc in sorted(set(song.isrcs))],
        t.rendition: [_rendition_row(song, at) for at in range(len(song.renditions))],
    }
    for table, rows in details.items():
        if rows:
            await connection.execute(sa.insert(table), [of_song | row for row in rows])


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
    }
