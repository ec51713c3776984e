"""Which lists there are to browse. Pure."""

import uuid
from dataclasses import dataclass
from enum import Enum

from reprise.errors import InvalidRequest


class Kind(Enum):
    ARTISTS = "artists"
    RELEASES = "releases"
    GENRES = "genres"
    SONGS = "songs"


class Filter(Enum):
    """What a list may be narrowed to; the value is how the id is called in errors."""

    ARTIST = "artist_id"
    RELEASE = "release_id"
    GENRE = "genre_id"


@dataclass(frozen=True, slots=True)
class Listing:
    """Which list: its kind, newest first or in its natural order, and the filter, if any."""

    kind: Kind
    newest: bool = False
    filter: Filter | None = None
    filter_id: uuid.UUID | None = None

    def __post_init__(self) -> None:
        if self.filter is not None and self.filter not in _FILTERS.get(self.kind, ()):
            raise InvalidRequest(f"{self.kind.value} cannot be listed by {self.filter.value}")

    @property
    def scope(self) -> tuple[str | int, ...]:
        """What a cursor of this list is bound to."""
        return (
            "browse",
            self.kind.value,
            self.newest,
            self.filter.value if self.filter else "",
            str(self.filter_id or ""),
        )


_FILTERS = {Kind.RELEASES: {Filter.ARTIST}, Kind.SONGS: {Filter.ARTIST, Filter.RELEASE, Filter.GENRE}}
