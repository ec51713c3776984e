"""A small index in a folder: entries written down briefly, found by what is typed."""

import hashlib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from catalog import query
from catalog.model import EntityKind
from catalog.searching.backend import NO_FILTERS, Ask, Filters, Found, Place, Tier
from catalog.searching.documents import Entry
from catalog.searching.tantivy_reading import Reading
from catalog.searching.tantivy_writer import TantivyWriter


def id_for(text: str) -> uuid.UUID:
    """An id that `text` decides."""
    return uuid.UUID(bytes=hashlib.sha256(text.encode()).digest()[:16])


def song(title: str, artist: str = "Nobody", **fields: Any) -> Entry:
    """A song; equal names are the same song."""
    facts: dict[str, Any] = {
        "artists": (artist,),
        "artist_ids": (id_for(f"artist {artist}"),),
        "id": id_for(f"{title} by {artist}"),
    }
    return Entry(kind=EntityKind.SONG, title=title, **(facts | fields))


def artist(name: str, **fields: Any) -> Entry:
    return Entry(kind=EntityKind.ARTIST, id=id_for(f"artist {name}"), title=name, **fields)


def release(title: str, by: str, **fields: Any) -> Entry:
    key = id_for(f"release {title} by {by}")
    return Entry(kind=EntityKind.RELEASE, id=key, title=title, artists=(by,), **fields)


class Library:
    """An index of entries, read again after every change."""

    def __init__(self, path: Path, entries: Iterable[Entry] = ()) -> None:
        self._path = path
        self._known: dict[uuid.UUID, Entry] = {}
        self.change(entries)

    def change(self, entries: Iterable[Entry] = (), gone: Iterable[Entry] = ()) -> None:
        entries, gone = list(entries), list(gone)
        writer = TantivyWriter(self._path, now_ms=lambda: 0)
        writer.apply(entries, [(entry.kind, entry.id) for entry in gone])
        writer.commit("done")
        writer.close()
        self._known |= {entry.id: entry for entry in entries}
        self._reading = Reading.open(self._path)

    def find(
        self, text: str, count: int = 20, after: Place | None = None, filters: Filters = NO_FILTERS, now_ms: int = 0
    ) -> Found:
        return self._reading.find(Ask(query.parse(text), now_ms, filters), count, after)

    def songs(self, text: str, count: int = 20) -> list[Entry]:
        return [self._known[hit.id] for hit in self.find(text, count).hits]

    def titles(self, text: str, count: int = 20) -> list[str]:
        return [entry.title for entry in self.songs(text, count)]

    def names(self, ids: Iterable[uuid.UUID]) -> list[str]:
        return [self._known[entity_id].title for entity_id in ids]

    def tiers(self, text: str) -> list[Tier]:
        return [hit.place.tier for hit in self.find(text).hits]
