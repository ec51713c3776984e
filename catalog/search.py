"""Search as listeners get it: the index answers; without one, PostgreSQL by prefix, and the page says so.

A cursor goes on with whoever began the list, so no list ever mixes the order of one with that of the other.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from catalog import cursors, normalise, query
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.model import Artist, Release
from catalog.searching import documents, prefixes
from catalog.searching.backend import NO_FILTERS, Ask, Busy, Filters, Place, SearchIndex, Tier
from catalog.searching.prefixes import Lane, Stand
from catalog.searching.shown import load_shown
from reprise.errors import Unavailable

INDEX, DATABASE = "index", "database"


@dataclass(frozen=True, slots=True)
class Page:
    """Songs, best first, and the cursor of the next page or empty; on the first page artists and releases too.

    `partial`: the index did not answer, so this is less than there is.
    """

    # Cards, see `cards`.
    songs: Sequence[bytes]
    next_cursor: str
    artists: Sequence[Artist] = ()
    releases: Sequence[Release] = ()
    partial: bool = False


@dataclass(frozen=True, slots=True)
class _Answer:
    """One page of ids. `next_position` is that of its last song when there are more behind it."""

    songs: list[uuid.UUID]
    next_position: cursors.Position | None
    artists: Sequence[uuid.UUID]
    releases: Sequence[uuid.UUID]
    backend: str
    tier: str


class Search:
    """Answers queries. `now` is Unix time in seconds."""

    def __init__(
        self,
        database: Database,
        index: SearchIndex | None,
        cursor_key: bytes,
        metrics: CatalogMetrics,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._index = index
        self._cursor_key = cursor_key
        self._metrics = metrics
        self._now = now

    async def search(self, text: str, page_size: int, cursor: str, filters: Filters = NO_FILTERS) -> Page:
        """A page of songs that match `text`. Raises InvalidRequest or Unavailable."""
        asked = query.parse(text)
        ask = Ask(asked, int(self._now() * 1000), filters)
        scope = (
            "search",
            normalise.VERSION,
            documents.VERSION,
            asked.text,
            *map("/".join, asked.pieces),
            *filters.scope,
        )
        after = cursors.unseal(self._cursor_key, scope, cursor) if cursor else None
        answer = await self._answer(ask, page_size, after)
        if not cursor:
            self._metrics.searches.labels(answer.backend, answer.tier).inc()
        position = answer.next_position
        shown = await self._database.read(
            lambda connection: load_shown(connection, answer.songs, answer.artists, answer.releases)
        )
        return Page(
            shown.songs,
            cursors.seal(self._cursor_key, scope, position) if position else "",
            shown.artists,
            shown.releases,
            partial=answer.backend == DATABASE,
        )

    async def _answer(self, ask: Ask, page_size: int, after: cursors.Position | None) -> _Answer:
        """The index's answer; that of the database for a first page without the index, and for what follows such a page."""
        if self._index is None or (after is not None and after[0] == DATABASE):
            if after is not None and after[0] == INDEX:
                raise Unavailable("this catalog has no search index: ask for the first page again")
            return await self._from_database(ask, page_size, after)
        try:
            return await self._from_index(self._index, ask, page_size, after)
        except Busy:
            self._metrics.searches.labels(INDEX, "busy").inc()
            raise
        except Unavailable:
            if after is not None:
                raise
        return await self._from_database(ask, page_size, None)

    async def _from_index(
        self, index: SearchIndex, ask: Ask, page_size: int, after: cursors.Position | None
    ) -> _Answer:
        found = await index.find(ask, page_size + 1, _place(after) if after else None)
        shown = found.hits[:page_size]
        position: cursors.Position | None = None
        if len(found.hits) > page_size:
            place = shown[-1].place
            position = (INDEX, int(place.tier), place.rank, place.id.hex, place.shown)
        tier = found.hits[0].place.tier.name.lower() if found.hits else "none"
        return _Answer([hit.id for hit in shown], position, found.artists, found.releases, INDEX, tier)

    async def _from_database(self, ask: Ask, page_size: int, after: cursors.Position | None) -> _Answer:
        stand = _stand(after) if after else None
        found = await self._database.read(lambda connection: prefixes.find(connection, ask, page_size + 1, stand))
        shown = found.stands[:page_size]
        position: cursors.Position | None = None
        if len(found.stands) > page_size:
            position = (DATABASE, int(shown[-1].lane), shown[-1].title_key, shown[-1].id.hex)
        tier = Tier.PREFIX.name.lower() if found.stands else "none"
        return _Answer([stand.id for stand in shown], position, found.artists, found.releases, DATABASE, tier)


def _place(position: cursors.Position) -> Place:
    _, tier, rank, song_id, shown = position
    return Place(Tier(int(tier)), int(rank), uuid.UUID(str(song_id)), int(shown))


def _stand(position: cursors.Position) -> Stand:
    _, lane, title_key, song_id = position
    return Stand(Lane(int(lane)), str(title_key), uuid.UUID(str(song_id)))
