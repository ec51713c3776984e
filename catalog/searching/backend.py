"""What every search engine behind the catalog does, and what it is asked. Two engines exist: `tantivy_index`, `opensearch`."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from catalog.model import EntityKind
from catalog.query import Query
from catalog.searching.documents import Entry
from reprise.errors import InvalidRequest, Unavailable

# How deep a listener may page into one query.
DEPTH_MAX = 1000
# Artists and releases beside the songs of the first page.
BEST_COUNT = 3
YEAR_MAX = 9999


class Tier(IntEnum):
    """How a song matches, best first; a song counts in its first tier only."""

    EXACT_TITLE = 0
    # The artist, or artist and title in either order.
    EXACT_NAME = 1
    # Title or artist starts with the whole query.
    PREFIX = 2
    # Every word in title or artists, also by their aliases; the last may be the start of one.
    WORDS = 3
    # Album and genres counted too.
    MENTION = 4
    # The next ones guess, and only when little matched as typed: words within one edit, two in long ones.
    CORRECTED_NAME = 5
    CORRECTED_WORDS = 6
    # The last word as the start of another one.
    CORRECTED_STARTS = 7
    # Without one word that is too short to be told from others ("hte").
    CORRECTED_SHORT = 8


@dataclass(frozen=True, slots=True)
class Filters:
    """What the songs are narrowed to; None and 0 for no filter. Raises InvalidRequest."""

    artist_id: uuid.UUID | None = None
    genre_id: uuid.UUID | None = None
    year_from: int = 0
    year_to: int = 0

    def __post_init__(self) -> None:
        if max(self.year_from, self.year_to) > YEAR_MAX:
            raise InvalidRequest(f"years are at most {YEAR_MAX}, not {self.year_from} to {self.year_to}")

    @property
    def scope(self) -> tuple[str | int, ...]:
        """What a cursor of these songs is bound to."""
        return (str(self.artist_id or ""), str(self.genre_id or ""), self.year_from, self.year_to)


NO_FILTERS = Filters()


@dataclass(frozen=True, slots=True)
class Ask:
    """A parsed query and its filters. `now_ms` (Unix time) decides what is out already."""

    query: Query
    now_ms: int
    filters: Filters = NO_FILTERS


@dataclass(frozen=True, slots=True)
class Place:
    """Where a hit stands: `rank` grows with popularity, and `shown` counts the hits up to this one.

    Order is by tier, then by falling rank, then by falling id. A place stays meaningful when the index has changed since: what
    moved may be repeated or missed, everything else goes on.
    """

    tier: Tier
    rank: int
    id: uuid.UUID
    shown: int


@dataclass(frozen=True, slots=True)
class Hit:
    """A song found."""

    id: uuid.UUID
    place: Place


@dataclass(frozen=True, slots=True)
class Found:
    """Songs, best first; on a first page also the artists and releases that match best, BEST_COUNT of each."""

    hits: tuple[Hit, ...]
    artists: tuple[uuid.UUID, ...] = ()
    releases: tuple[uuid.UUID, ...] = ()


class Busy(Unavailable):
    """More searches at once than an engine takes. Nobody else is asked instead: there is load enough."""


class SearchIndex(Protocol):
    """Reads. An engine that cannot answer now raises Unavailable (Busy, when it is load): never a wrong or empty answer."""

    async def find(self, ask: Ask, count: int, after: Place | None) -> Found:
        """At most `count` songs behind `after`. Fewer mean that there are no more, or that DEPTH_MAX is reached."""
        ...


class IndexWriter(Protocol):
    """Writes, one at a time; synchronous, for a process or thread of its own."""

    @property
    def checkpoint(self) -> str:
        """What the last commit was given; empty for a new index."""
        ...

    def apply(self, entries: Sequence[Entry], gone: Sequence[tuple[EntityKind, uuid.UUID]]) -> None:
        """Puts entries in place of what their ids were, and takes out what is gone. Nobody sees it before `commit`."""
        ...

    def commit(self, checkpoint: str) -> None:
        """Makes everything applied visible and durable, together with `checkpoint`."""
        ...

    def close(self) -> None:
        """Ends writing; what was not committed is dropped."""
        ...
