"""What the search index knows of a song, artist or release. Pure."""

import uuid
from dataclasses import dataclass

from catalog.model import EntityKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing to be found, in names as shown. Of an artist, `title` is the name and `aliases` are his own.

    Of a song or release, `aliases` are those of its artists. `score` is its popularity, 0 when it was never played.
    `available_from_ms` is Unix time; 0 for what was never held back.
    """

    kind: EntityKind
    id: uuid.UUID
    title: str
    artists: tuple[str, ...] = ()
    artist_ids: tuple[uuid.UUID, ...] = ()
    aliases: tuple[str, ...] = ()
    album: str = ""
    genres: tuple[str, ...] = ()
    genre_ids: tuple[uuid.UUID, ...] = ()
    year: int = 0
    score: float = 0.0
    available_from_ms: int = 0
