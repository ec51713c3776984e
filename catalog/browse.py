"""Lists of artists, releases, genres and songs, page by page.

Every list is walked along an index from the last key shown, entries and what is shown of them by one statement: no OFFSET and
no count, so the thousandth page costs what the first does. Most lists are shelves (see `shelves`); the songs of a release are
its tracks, of which there are few. "Newest" is the order of ids, which are UUIDv7. A list by popularity may show an entry
twice, or not at all, when that moves while somebody walks by.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cursors, redirects
from catalog import tables as t
from catalog.availability import is_visible
from catalog.browse_entries import Entry, read_entries, with_entries
from catalog.database import Database
from catalog.list_sizes import ListSizes
from catalog.listing import Filter, Listing, Order
from catalog.model import EntityKind
from reprise.errors import NotFound


@dataclass(frozen=True, slots=True)
class Page:
    """Entries of the kind asked for, the cursor of the next page or empty, and about how many the whole list has."""

    entries: Sequence[Entry]
    next_cursor: str
    total_estimate: int


@dataclass(frozen=True, slots=True)
class _Walk:
    """A list as a query: which rows, and the columns that order them, the last of them the unique `entity_id`."""

    rows: sa.Select[Any]
    order: tuple[sa.ColumnElement[Any], ...]
    descending: bool


class Browse:
    """Answers listings. Holds the key that signs cursors, and for a while how long lists were."""

    def __init__(self, database: Database, cursor_key: bytes) -> None:
        self._database = database
        self._cursor_key = cursor_key
        self._sizes = ListSizes()

    async def browse(self, listing: Listing, page_size: int, cursor: str) -> Page:
        """A page of `listing`. Raises InvalidRequest, NotFound (the filter's id) or Unavailable."""
        after = cursors.unseal(self._cursor_key, listing.scope, cursor) if cursor else None
        return await self._database.read(lambda connection: self._page(connection, listing, after, page_size))

    async def _page(
        self, connection: AsyncConnection, listing: Listing, after: cursors.Position | None, page_size: int
    ) -> Page:
        rows = await _rows(connection, listing, after, page_size + 1)
        meant = listing
        if not rows and listing.filter is not None:
            # Only here, so that no other page pays for it: a cursor of before a merge goes on too.
            meant = await _meant(connection, listing)
            rows = await _rows(connection, meant, after, page_size + 1) if meant != listing else rows
        shown = rows[:page_size]
        entries = await read_entries(connection, listing.kind, shown)
        is_last = len(rows) <= page_size
        if is_last and after is None:
            return Page(entries, "", len(entries))
        estimate = await self._sizes.estimate(connection, meant)
        if is_last:
            return Page(entries, "", max(estimate, len(entries)))
        position = cursors.seal(self._cursor_key, listing.scope, _position(listing, shown[-1]))
        return Page(entries, position, max(estimate, len(rows)))


async def _rows(
    connection: AsyncConnection, listing: Listing, after: cursors.Position | None, count: int
) -> Sequence[Any]:
    found: Sequence[Any] = (await connection.execute(page_statement(listing, after, count))).all()
    return found


def page_statement(listing: Listing, after: cursors.Position | None, count: int) -> sa.Select[Any]:
    """The next entries of a list behind the position of a cursor."""
    walk = _tracks(listing) if listing.filter is Filter.RELEASE else _shelf(listing)
    statement = walk.rows.add_columns(*walk.order)
    if after is not None:
        place = sa.tuple_(
            *(sa.literal(value, key.type) for value, key in zip(_place(listing, after), walk.order, strict=True))
        )
        keys = sa.tuple_(*walk.order)
        statement = statement.where(keys < place if walk.descending else keys > place)
    order = [column.desc() for column in walk.order] if walk.descending else walk.order
    page = statement.order_by(*order).limit(count).subquery("page")
    again = [page.c[str(column.key)] for column in walk.order]
    ordered = [column.desc() for column in again] if walk.descending else again
    return with_entries(listing.kind, page).order_by(*ordered)


def _shelf(listing: Listing) -> _Walk:
    shelf = t.shelf.c
    rows = sa.select().where(shelf.kind == int(listing.kind), shelf.shelf_id == listing.shelf_id)
    orders: dict[Order, tuple[sa.ColumnElement[Any], ...]] = {
        Order.NATURAL: (shelf.sort_key, shelf.entity_id),
        Order.NEWEST: (shelf.entity_id,),
        Order.POPULAR: (shelf.score, shelf.entity_id),
    }
    # Nearly always true: what is to come is little.
    seen = rows.where(shelf.visible_from <= sa.func.now())
    return _Walk(seen, orders[listing.order], listing.order is not Order.NATURAL)


def _tracks(listing: Listing) -> _Walk:
    track = t.track.c
    song_id = track.recording_id.label("entity_id")
    rows = sa.select().select_from(t.track.join(t.recording)).join(t.release, t.release.c.id == track.release_id)
    rows = rows.where(track.release_id == listing.filter_id, is_visible(t.recording), is_visible(t.release))
    if listing.order is Order.NATURAL:
        return _Walk(rows, (track.disc_number, track.track_number, song_id), descending=False)
    if listing.order is Order.NEWEST:
        return _Walk(rows, (song_id,), descending=True)
    popularity = t.popularity.c
    mine = sa.and_(popularity.kind == int(EntityKind.SONG), popularity.entity_id == track.recording_id)
    score = sa.func.coalesce(popularity.score, sa.literal(float("-inf"), sa.Double)).label("score")
    return _Walk(rows.outerjoin(t.popularity, mine), (score, song_id), descending=True)


def _position(listing: Listing, row: Any) -> cursors.Position:
    entity = str(row.entity_id)
    match listing.order:
        case Order.NEWEST:
            return (entity,)
        case Order.POPULAR:
            return (float(row.score).hex(), entity)
        case _ if listing.filter is Filter.RELEASE:
            return (row.disc_number, row.track_number, entity)
    return (row.sort_key, entity)


def _place(listing: Listing, position: cursors.Position) -> tuple[str | int | float | uuid.UUID, ...]:
    """The reverse of `_position`."""
    *keys, entity = position
    if listing.order is Order.POPULAR:
        return (float.fromhex(str(keys[0])), uuid.UUID(str(entity)))
    return (*keys, uuid.UUID(str(entity)))


async def _meant(connection: AsyncConnection, listing: Listing) -> Listing:
    """The listing with the id that its filter's id was merged into. Raises NotFound."""
    assert listing.filter is not None
    assert listing.filter_id is not None
    kind, table = _OWNERS[listing.filter]
    known = await redirects.resolve(connection, kind, [listing.filter_id]) if kind else {}
    meant = known.get(listing.filter_id, listing.filter_id)
    exists = sa.select(table.c.id).where(table.c.id == meant)
    if table is t.release:
        exists = exists.where(is_visible(t.release))
    if (await connection.execute(exists)).first() is None:
        raise NotFound(f"no such {listing.filter.value}: {listing.filter_id}")
    return replace(listing, filter_id=meant)


_OWNERS: dict[Filter, tuple[EntityKind | None, sa.Table]] = {
    Filter.ARTIST: (EntityKind.ARTIST, t.artist),
    Filter.RELEASE: (EntityKind.RELEASE, t.release),
    Filter.GENRE: (None, t.genre),
}
