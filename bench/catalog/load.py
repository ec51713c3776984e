"""Fills an empty catalog's tables with a corpus, by COPY: what a migration from another system would do.

What a million publications would have left behind is written, cards and shelves too. The search index is left to the indexer.
"""

import hashlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import asyncpg
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from bench import report
from bench.catalog.corpus import Corpus, CorpusSong
from catalog import cards, normalise, popularity, publication, shelves
from catalog.database import connect
from catalog.model import Credit, EntityKind, Genre, Release, Rendition, Song

BATCH = 50_000
CONNECT_S_MAX = 5.0
# As ingest makes them: codec, bits per second, sample rate, media type.
RENDITIONS = (
    (1, 96_000, 48_000, 'audio/mp4; codecs="opus"'),
    (1, 160_000, 48_000, 'audio/mp4; codecs="opus"'),
    (2, 128_000, 44_100, 'audio/mp4; codecs="mp4a.40.2"'),
)
_NAMESPACE = uuid.UUID("0190c7a2-0000-7000-8000-000000000000")
Rows = dict[str, list[tuple[Any, ...]]]
COLUMNS: Mapping[str, tuple[str, ...]] = {
    "artist": ("id", "name", "sort_name", "name_key", "sort_key"),
    "artist_credit": ("id", "digest"),
    "artist_credit_name": ("credit_id", "position", "artist_id", "name", "join_phrase"),
    "genre": ("id", "name", "name_key"),
    "release_group": ("id", "title", "title_key", "first_artist_id"),
    "release": ("id", "title", "title_key", "first_artist_id", "credit_id", "date", "group_id"),
    "medium": ("release_id", "disc_number"),
    "recording": ("id", "title", "title_key", "credit_id", "duration_ms", "date", "explicit"),
    "track": ("release_id", "recording_id", "disc_number", "track_number"),
    "recording_genre": ("genre_id", "recording_id", "position", "title_key"),
    "rendition": (
        "recording_id", "rendition_id", "position", "codec", "bitrate_bps", "size_bytes", "duration_ms", "sample_rate_hz",
        "channels", "mime_type", "delay_samples", "padding_samples", "samples",
    ),
    "source": ("sha256", "recording_id"),
    "song_card": ("recording_id", "message"),
    "popularity": ("kind", "entity_id", "score"),
}  # fmt: skip


class Names:
    """Ids of artists, releases and genres of a corpus, by their numbers."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus
        self.artists = [_named("artist", at) for at in range(len(corpus.artists))]
        self.releases = [_named("release", at) for at in range(len(corpus.releases))]
        self.genres = [_named("genre", at) for at in range(len(corpus.genres))]


async def load(dsn: str, corpus: Corpus, now_s: float) -> float:
    """Loads the corpus; seconds that it took. The plays count as of `now_s`, Unix time."""
    began = time.perf_counter()
    names = Names(corpus)
    connection = await asyncpg.connect(dsn)
    try:
        await _copy(connection, _shared_rows(names))
        for batch in _batches(corpus):
            await _copy(connection, _song_rows(names, batch, now_s))
            report.say(f"loaded {batch[-1].number + 1:,} of {corpus.count:,} songs")
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    await _shelve(dsn)
    return time.perf_counter() - began


async def _shelve(dsn: str) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(dsn, CONNECT_S_MAX, None), poolclass=NullPool
    )
    async with engine.begin() as connection:
        await shelves.rebuild(connection)
    report.say("shelves made")


def _batches(corpus: Corpus) -> Iterator[list[CorpusSong]]:
    batch: list[CorpusSong] = []
    for song in corpus.songs():
        batch.append(song)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _copy(connection: asyncpg.Connection, rows: Rows) -> None:
    async with connection.transaction():
        for table, columns in COLUMNS.items():
            if rows.get(table):
                await connection.copy_records_to_table(table, records=rows[table], columns=columns)


def _shared_rows(names: Names) -> Rows:
    """Artists with a credit of their own each, genres, releases."""
    rows: Rows = {table: [] for table in COLUMNS}
    taken: set[str] = set()
    for artist_id, name in zip(names.artists, names.corpus.artists, strict=True):
        sort_name = normalise.sort_name(name)
        key = _free(normalise.key(name), taken)
        rows["artist"].append((artist_id, name, sort_name, key, normalise.key(sort_name)))
        credit = (Credit(name, artist_id=str(artist_id)),)
        rows["artist_credit"].append((artist_id, publication.credit_digest(credit)))
        rows["artist_credit_name"].append((artist_id, 0, artist_id, name, ""))
    for genre_id, name in zip(names.genres, names.corpus.genres, strict=True):
        rows["genre"].append((genre_id, name, normalise.key(name)))
    titles: set[tuple[str, int]] = set()
    for number, (release_id, (title, artist)) in enumerate(zip(names.releases, names.corpus.releases, strict=True)):
        key = normalise.key(title)
        while (key, artist) in titles:
            key += " 2"
        titles.add((key, artist))
        artist_id = names.artists[artist]
        rows["release_group"].append((release_id, title, key, artist_id))
        date = str(1955 + number * 7 % 70)
        rows["release"].append((release_id, title, key, artist_id, artist_id, date, release_id))
        rows["medium"].append((release_id, 1))
    return rows


def _song_rows(names: Names, songs: list[CorpusSong], now_s: float) -> Rows:
    rows: Rows = {table: [] for table in COLUMNS}
    for song in songs:
        song_id, key = song.song_id, normalise.key(song.title)
        artist_id, release_id = names.artists[song.artist], names.releases[song.release]
        rows["recording"].append((song_id, song.title, key, artist_id, song.duration_ms, str(song.year), False))
        rows["track"].append((release_id, song_id, 1, song.track_number))
        rows["recording_genre"].append((names.genres[song.genre], song_id, 0, key))
        rows["source"].append((_digest(b"source", song_id), song_id))
        renditions = list(_renditions(song))
        rows["rendition"].extend(renditions)
        rows["song_card"].append((song_id, cards.card_of(_song(names, song, renditions))))
        score = popularity.score_of(names.corpus.plays(song.rank), now_s)
        rows["popularity"].append((EntityKind.SONG, song_id, score))
    return rows


def _song(names: Names, song: CorpusSong, renditions: Sequence[tuple[Any, ...]]) -> Song:
    """The song as the catalog would read it from these rows."""
    corpus = names.corpus
    title, artist = corpus.releases[song.release]
    release_id = str(names.releases[song.release])
    by = (Credit(corpus.artists[song.artist], artist_id=str(names.artists[song.artist])),)
    of = (Credit(corpus.artists[artist], artist_id=str(names.artists[artist])),)
    release = Release(release_id, title, of, str(1955 + song.release * 7 % 70), group_id=release_id)
    return Song(
        song_id=str(song.song_id),
        title=song.title,
        artists=by,
        duration_ms=song.duration_ms,
        release=release,
        genres=(Genre(str(names.genres[song.genre]), corpus.genres[song.genre]),),
        track_number=song.track_number,
        disc_number=1,
        date=str(song.year),
        renditions=tuple(Rendition(row[1].hex(), *row[3:]) for row in renditions),
    )


def _renditions(song: CorpusSong) -> Iterator[tuple[Any, ...]]:
    for at, (codec, bitrate, rate, mime) in enumerate(RENDITIONS):
        digest = _digest(b"rendition%d" % at, song.song_id)
        size = bitrate // 8 * song.duration_ms // 1000
        samples = song.duration_ms * rate // 1000
        yield (song.song_id, digest, at, codec, bitrate, size, song.duration_ms, rate, 2, mime, 312, 0, samples)


def _free(key: str, taken: set[str]) -> str:
    """`key`, or where an artist has it already, `key` with a number: the corpus may name two alike but for case."""
    found, number = key, 2
    while found in taken:
        found, number = f"{key} {number}", number + 1
    taken.add(found)
    return found


def _named(what: str, number: int) -> uuid.UUID:
    """A UUIDv7 of its own for the thing of that number."""
    at: Callable[[str], int] = {"artist": 1, "release": 2, "genre": 3}.__getitem__
    return uuid.UUID(int=_NAMESPACE.int + (at(what) << 48) + number)


def _digest(what: bytes, song_id: uuid.UUID) -> bytes:
    return hashlib.sha256(what + song_id.bytes).digest()
