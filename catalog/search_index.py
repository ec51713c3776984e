"""Keeps the tables that search reads: one row per song, and every word of the catalog with its deletions."""

import uuid
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import normalise, publication, spelling
from catalog import tables as t
from catalog.model import Publication


async def add(
    connection: AsyncConnection, song_id: uuid.UUID, song: Publication, available_from: datetime | None
) -> None:
    """Makes a song findable when the transaction commits and its moment has come."""
    words = publication.words(song)
    row = {
        "recording_id": song_id,
        "title_key": normalise.key(song.title),
        "artist_key": normalise.key(publication.display_name(song.artists)),
        "exact_titles": sorted(publication.exact_titles(song)),
        "exact_names": sorted(publication.exact_names(song)),
        # Lexemes as they are: PostgreSQL's own text parsing would split and fold once more.
        "words": sa.func.array_to_tsvector(sa.cast(sorted(words), ARRAY(sa.Text)), type_=TSVECTOR),
        "available_from": available_from,
    }
    await connection.execute(sa.insert(t.song_search).values(row))
    await _learn(connection, words)


async def _learn(connection: AsyncConnection, words: set[str]) -> None:
    """Adds words to the vocabulary. Sorted, so that two publications never wait for each other in a circle."""
    rows = [
        {"word": word, "deletions": sorted(spelling.deletions(word))}
        for word in sorted(words)
        if spelling.correctable(word) and not normalise.is_cjk(word)
    ]
    if rows:
        await connection.execute(insert(t.vocabulary).values(rows).on_conflict_do_nothing())
