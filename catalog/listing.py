"""Which lists there are to browse. Pure."""

import uuid
from dataclasses import dataclass
from enum import Enum, IntEnum

from reprise.errors import InvalidRequest

_ALL = uuid.UUID(int=0)


class Kind(IntEnum):
    """What a list is of; numbered as `reprise.catalog.v1.BrowseKind`."""

    ARTISTS = 1
    RELEASES = 2
    GENRES = 3
    SONGS = 4

    @property
    def word(self) -> str:
        return self.name.lower()


class Order(IntEnum):
    """How it is ordered; numbered as `reprise.catalog.v1.BrowseOrder`."""

    NATURAL = 0
    NEWEST = 1
    POPULAR = 2


class Filter(Enum):
    """What a list may be narrowed to; the value is how the id is called in errors."""

    ARTIST = "artist_id"
    RELEASE = "release_id"
    GENRE = "genre_id"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which list: its kind and order, and the filter, if any."""

    kind: Kind
    order: Order = Order.NATURAL
    filter: Filter | None = None
    filter_id: uuid.UUID | None = None

    def __post_init__(self) -> None:
        if self.filter is not None and self.filter not in _FILTERS.get(self.kind, ()):
            raise InvalidRequest(f"{self.kind.word} cannot be listed by {self.filter.value}")
        if self.kind is Kind.GENRES and self.order is Order.POPULAR:
            raise InvalidRequest("genres cannot be listed by popularity: artists, releases and songs can")

    @property
    def shelf_id(self) -> uuid.UUID:
        """Whose list it is; all zeros for the one of everything."""
        return self.filter_id or _ALL

    @property
    def scope(self) -> tuple[str | int, ...]:
        """What a cursor of this list is bound to."""
        return (
            "browse",
            self.kind.word,
            int(self.order),
            self.filter.value if self.filter else "",
            str(self.filter_id or ""),
        )


_FILTERS = {
    Kind.ARTISTS: {Filter.GENRE},
    Kind.RELEASES: {Filter.ARTIST, Filter.GENRE},
    Kind.SONGS: {Filter.ARTIST, Filter.RELEASE, Filter.GENRE},
}
