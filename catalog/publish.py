"""Publishes songs: one transaction each, idempotent by source digest, safe from any number of ingests at once.

Races, and why they end well:
* The same source twice at once: both insert the same `source` row; the second waits for the first to commit, finds the row
  taken and answers the first one's song. If the first fails, the second goes on as if alone.
* The same new artist, genre, credit or release by two songs at once: see `identities` and `editions`. Locks are taken in one
  order, kind after kind and sorted within a kind, so two publications cannot wait for each other in a circle.
* A merge of what a publication refers to: merges wait for publications, and publications for merges.

One recording on two releases (a single and its album) is one song: where the MusicBrainz id of the recording, the title and the
length agree, a second file gives the song a second track, and its own encodings are not used.
"""

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cards, editions, identities, locks, outbox, publication, recordings
from catalog import tables as t
from catalog.database import Database
from catalog.editions import Edition
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind, Publication
from reprise.log import get_logger

log = get_logger()


@dataclass(frozen=True, slots=True)
class Published:
    """The song that a source is. `created` is False when it was known before."""

    song_id: uuid.UUID
    created: bool


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
        await locks.hold_merges_off(connection)
        cover = await _insert_image(connection, song)
        song = await identities.assign_artists(connection, song, self._new_id)
        credited = [song.artists, song.album_artists or song.artists]
        credit_ids = await identities.credit_ids(connection, credited, self._new_id)
        genre_ids = await identities.genre_ids(connection, song.genres, self._new_id)
        edition = await editions.join(connection, song, credit_ids[1], cover, self._new_id)
        known_id = await recordings.find(connection, song, edition)
        if known_id is None:
            await recordings.insert(connection, song_id, song, credit_ids[0], genre_ids, cover, edition)
        else:
            of_source = sa.update(t.source).where(t.source.c.sha256 == digest)
            await connection.execute(of_source.values(recording_id=known_id))
        published = Published(known_id or song_id, created=known_id is None)
        if edition is not None:
            await _put_on(connection, edition, published.song_id, song)
        await _tell(connection, published.song_id, song, edition)
        return published


async def _insert_image(connection: AsyncConnection, song: Publication) -> bytes | None:
    if not song.cover_sha256:
        return None
    cover, sizes = bytes.fromhex(song.cover_sha256), list(song.cover_sizes_px)
    row = {"sha256": cover, "mime_type": song.cover_mime_type, "sizes_px": sizes}
    await connection.execute(insert(t.image).values(row).on_conflict_do_nothing())
    # An import of before made no sizes, or others.
    resized = sa.update(t.image).where(t.image.c.sha256 == cover, t.image.c.sizes_px != sizes)
    if sizes:
        await connection.execute(resized.values(sizes_px=sizes))
    return cover


async def _put_on(connection: AsyncConnection, edition: Edition, song_id: uuid.UUID, song: Publication) -> None:
    """Makes a song a track of a release."""
    place = {"disc_number": song.disc_number, "track_number": song.track_number}
    row = {"release_id": edition.release_id, "recording_id": song_id, **place}
    await connection.execute(insert(t.track).values(row).on_conflict_do_nothing())


async def _tell(connection: AsyncConnection, song_id: uuid.UUID, song: Publication, edition: Edition | None) -> None:
    """Renews what is derived, and tells who follows the changes."""
    shown = {song_id}
    if edition is not None:
        louder = await editions.measure(connection, edition.release_id)
        if louder or edition.changed:
            shown |= await editions.songs_of_group(connection, edition.group_id)
        await outbox.tell(connection, EntityKind.RELEASE, [edition.release_id])
    await cards.refresh(connection, list(shown))
    await outbox.tell(connection, EntityKind.SONG, [song_id])
    artist_ids = [uuid.UUID(credit.artist_id) for credit in (*song.artists, *song.album_artists)]
    await outbox.tell(connection, EntityKind.ARTIST, artist_ids)
