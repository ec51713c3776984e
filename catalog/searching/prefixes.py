"""Search without an index: what PostgreSQL's own indexes answer, titles and artists that begin with the query.

For the time that no search index can be had: no popularity, no corrections, words only at the start. Titles are in
order.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.availability import is_visible
from catalog.searching.backend import BEST_COUNT, Ask

# Songs of so many artists whose names begin alike.
_ARTISTS_MAX = 100
# The last code point: no key that starts with x sorts behind x + _LAST.
_LAST = "\U0010ffff"


class Lane(IntEnum):
    """Whose name begins with the query."""

    TITLE = 0
    ARTIST = 1


@dataclass(frozen=True, slots=True)
class Stand:
    """Where a list goes on: behind the song with this title's key and id."""

    lane: Lane
    title_key: str
    id: uuid.UUID


@dataclass(frozen=True, slots=True)
class Prefixed:
    """Songs in order, each with its stand; on a first page also artists and releases, BEST_COUNT of each."""

    stands: tuple[Stand, ...]
    artists: tuple[uuid.UUID, ...] = ()
    releases: tuple[uuid.UUID, ...] = ()


async def find(connection: AsyncConnection, ask: Ask, count: int, after: Stand | None) -> Prefixed:
    """At most `count` songs behind `after`."""
    stands: list[Stand] = []
    for lane in Lane:
        if len(stands) < count and (after is None or lane >= after.lane):
            behind = after if after and after.lane is lane else None
            rows = await connection.execute(_songs(ask, lane, count - len(stands), behind))
            stands += [Stand(lane, row.title_key, row.id) for row in rows]
    if after is not None:
        return Prefixed(tuple(stands))
    artists = (await connection.execute(_artists(ask.query.text, BEST_COUNT))).scalars()
    releases = (await connection.execute(_releases(ask.query.text))).scalars()
    return Prefixed(tuple(stands), tuple(artists), tuple(releases))


def _songs(ask: Ask, lane: Lane, count: int, after: Stand | None) -> sa.Select[Any]:
    song = t.recording.c
    rows = sa.select(song.title_key, song.id).where(is_visible(t.recording), *_filters(ask))
    begins = _begins(song.title_key, ask.query.text)
    if lane is Lane.TITLE:
        rows = rows.where(begins)
    else:
        names = t.artist_credit_name.c
        credits_ = sa.select(names.credit_id).where(names.artist_id.in_(_artists(ask.query.text, _ARTISTS_MAX)))
        rows = rows.where(song.credit_id.in_(credits_), sa.not_(begins))
    if after is not None:
        rows = rows.where(
            sa.tuple_(song.title_key, song.id) > sa.tuple_(sa.literal(after.title_key), sa.literal(after.id))
        )
    return rows.order_by(song.title_key, song.id).limit(count)


def _artists(text: str, count: int) -> sa.Select[Any]:
    """Ids of artists of whom a name begins so, also behind its article ("Beatles, The")."""
    artist, alias = t.artist.c, t.artist_alias.c
    by_alias = sa.select(alias.artist_id).where(_begins(alias.alias_key, text)).limit(count)
    named = sa.or_(_begins(artist.name_key, text), _begins(artist.sort_key, text), artist.id.in_(by_alias))
    return sa.select(artist.id).where(named).order_by(artist.name_key, artist.id).limit(count)


def _releases(text: str) -> sa.Select[Any]:
    release = t.release.c
    rows = sa.select(release.id).where(_begins(release.title_key, text), is_visible(t.release))
    return rows.order_by(release.title_key, release.id).limit(BEST_COUNT)


def _filters(ask: Ask) -> Sequence[sa.ColumnElement[bool]]:
    song, only = t.recording.c, ask.filters
    found: list[sa.ColumnElement[bool]] = []
    if only.artist_id:
        names = t.artist_credit_name.c
        found.append(song.credit_id.in_(sa.select(names.credit_id).where(names.artist_id == only.artist_id)))
    if only.genre_id:
        link = t.recording_genre.c
        found.append(sa.exists().where(link.recording_id == song.id, link.genre_id == only.genre_id))
    if only.year_from or only.year_to:
        year = sa.func.left(song.date, 4)
        found.append(year.between(f"{only.year_from or 1:04d}", f"{only.year_to or 9999:04d}"))
    return found


def _begins(column: sa.Column[Any], text: str) -> sa.ColumnElement[bool]:
    return sa.and_(column >= text, column < text + _LAST)
