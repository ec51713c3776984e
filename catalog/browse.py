"""Lists of artists, releases, genres and songs, page by page.

Every list is walked along an index from the last key shown: no OFFSET and no count, so the thousandth page costs what the first
does. "Newest" is the order of ids, which are UUIDv7. Releases and songs are listed from their moment on; artists and genres,
which have none, as soon as they are known.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cursors
from catalog import tables as t
from catalog.availability import is_out
from catalog.database import Database
from catalog.listing import Filter, Kind, Listing
from catalog.model import Artist, Genre, Release, Song
from catalog.songs import load_releases, load_songs
from reprise.errors import NotFound


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of the kind asked for, and the cursor of the next page or empty."""

    entries: Sequence[Artist | Release | Genre | Song]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class _Walk:
    """A list as a query: which rows, and the columns that order them, the last of them unique."""

    ids: sa.Select[Any]
    order: tuple[sa.Column[Any], ...]
    descending: bool = False


_TABLES = {Filter.ARTIST: t.artist, Filter.RELEASE: t.release, Filter.GENRE: t.genre}


class Browse:
    """Answers listings. Holds no state but the key that signs cursors."""

    def __init__(self, database: Database, cursor_key: bytes) -> None:
        self._database = database
        self._cursor_key = cursor_key

    async def browse(self, listing: Listing, page_size: int, cursor: str) -> Page:
        """A page of `listing`. Raises InvalidRequest, NotFound (the filter's id) or Unavailable."""
        after = cursors.unseal(self._cursor_key, listing.scope, cursor) if cursor else None
        return await self._database.read(lambda connection: self._page(connection, listing, after, page_size))

    async def _page(
        self, connection: AsyncConnection, listing: Listing, after: cursors.Position | None, page_size: int
    ) -> Page:
        if listing.filter is not None:
            await _check_exists(connection, listing)
        walk = _walk(listing)
        rows = (await connection.execute(_next_rows(walk, after, page_size + 1))).all()
        shown = rows[:page_size]
        entries = await _ENTRIES[listing.kind](connection, [row[-1] for row in shown])
        if len(rows) <= page_size:
            return Page(entries, "")
        position = tuple(str(value) if isinstance(value, uuid.UUID) else value for value in shown[-1])
        return Page(entries, cursors.seal(self._cursor_key, listing.scope, position))


async def _check_exists(connection: AsyncConnection, listing: Listing) -> None:
    assert listing.filter is not None
    table = _TABLES[listing.filter]
    known = sa.select(table.c.id).where(table.c.id == listing.filter_id)
    if listing.filter is Filter.RELEASE:
        known = known.where(is_out(t.release.c.available_from))
    if (await connection.execute(known)).first() is None:
        raise NotFound(f"no such {listing.filter.value}: {listing.filter_id}")


def _walk(listing: Listing) -> _Walk:
    by_key, by_id = _ORDERS[listing.kind]
    rows = sa.select()
    # The songs of a release come out with it, and `_check_exists` has asked for that.
    if listing.kind in _AVAILABLE and listing.filter is not Filter.RELEASE:
        rows = rows.where(is_out(_AVAILABLE[listing.kind]))
    if listing.filter is Filter.ARTIST:
        names = t.artist_credit_name.c
        owner = t.release if listing.kind is Kind.RELEASES else t.recording
        credits_ = sa.select(names.credit_id).where(names.artist_id == listing.filter_id)
        rows = rows.where(owner.c.credit_id.in_(credits_))
    elif listing.filter is Filter.GENRE:
        link = t.recording_genre.c
        rows = rows.where(link.genre_id == listing.filter_id, link.recording_id == t.recording.c.id)
        by_key, by_id = (link.title_key, link.recording_id), (link.recording_id,)
    elif listing.filter is Filter.RELEASE:
        link = t.track.c
        rows = rows.where(link.release_id == listing.filter_id)
        by_key, by_id = (link.disc_number, link.track_number, link.recording_id), (link.recording_id,)
    return _Walk(rows, by_id if listing.newest else by_key, descending=listing.newest)


def _next_rows(walk: _Walk, after: cursors.Position | None, count: int) -> sa.Select[Any]:
    """The next rows of a walk: the columns of its order, the id last."""
    statement = walk.ids.add_columns(*walk.order)
    if after is not None:
        place = sa.tuple_(
            *(sa.literal(value, column.type) for value, column in zip(_typed(after), walk.order, strict=True))
        )
        keys = sa.tuple_(*walk.order)
        statement = statement.where(keys < place if walk.descending else keys > place)
    order = [column.desc() for column in walk.order] if walk.descending else list(walk.order)
    return statement.order_by(*order).limit(count)


def _typed(position: cursors.Position) -> list[str | int | uuid.UUID]:
    """A position with its last part, the id, as a UUID."""
    return [*position[:-1], uuid.UUID(str(position[-1]))]


async def _artists(connection: AsyncConnection, ids: Sequence[uuid.UUID]) -> list[Artist]:
    rows = {row.id: row for row in await connection.execute(sa.select(t.artist).where(t.artist.c.id.in_(ids)))}
    return [Artist(str(id_), rows[id_].name, rows[id_].sort_name) for id_ in ids]


async def _releases(connection: AsyncConnection, ids: Sequence[uuid.UUID]) -> list[Release]:
    releases = {release.release_id: release for release in await load_releases(connection, ids)}
    return [releases[str(id_)] for id_ in ids]


async def _genres(connection: AsyncConnection, ids: Sequence[uuid.UUID]) -> list[Genre]:
    rows = {row.id: row for row in await connection.execute(sa.select(t.genre).where(t.genre.c.id.in_(ids)))}
    return [Genre(str(id_), rows[id_].name) for id_ in ids]


_ENTRIES: dict[Kind, Any] = {
    Kind.ARTISTS: _artists,
    Kind.RELEASES: _releases,
    Kind.GENRES: _genres,
    Kind.SONGS: load_songs,
}
# Kinds whose entries have a moment.
_AVAILABLE = {Kind.RELEASES: t.release.c.available_from, Kind.SONGS: t.recording.c.available_from}
# The natural order of each kind, and the order of arrival.
_ORDERS: dict[Kind, tuple[tuple[sa.Column[Any], ...], tuple[sa.Column[Any], ...]]] = {
    Kind.ARTISTS: ((t.artist.c.sort_key, t.artist.c.id), (t.artist.c.id,)),
    Kind.RELEASES: ((t.release.c.title_key, t.release.c.id), (t.release.c.id,)),
    Kind.GENRES: ((t.genre.c.name_key, t.genre.c.id), (t.genre.c.id,)),
    Kind.SONGS: ((t.recording.c.title_key, t.recording.c.id), (t.recording.c.id,)),
}
