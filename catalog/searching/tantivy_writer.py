"""Writes a Tantivy index: one writer at a time, without yielding, for a thread or process of its own.

Invariants: an entry takes the place of the one with its id; nothing is visible before `commit`; the checkpoint is as durable as
what it stands for.
"""

import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path

import tantivy

from catalog.model import EntityKind
from catalog.searching import documents, vocabulary
from catalog.searching import tantivy_schema as ts
from catalog.searching.documents import Entry
from catalog.searching.tiers import Field
from reprise.errors import Conflict, DataCorrupt

WRITER_BYTES = 192 << 20
_KNOWN_STEMS_MAX = 1 << 20
_FRESH_MAX = 1 << 21


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class TantivyWriter:
    """The index in the folder `path`, which exists; made when there is none in it.

    Raises NotReady when it was made by other versions, DataCorrupt when it cannot be read, Conflict when another one writes.
    """

    def __init__(self, path: Path, now_ms: Callable[[], int] = _now_ms) -> None:
        self._now_ms = now_ms
        self._schema = ts.schema()
        exists, self._index = _open(path, self._schema)
        self._index.config_reader("manual")
        try:
            self._writer = self._index.writer(WRITER_BYTES, 1)
        except ValueError:
            raise Conflict(f"the search index in {path.name} is being written by another process") from None
        self._searcher = self._index.searcher()
        self._checkpoint = ""
        if exists:
            self._checkpoint = ts.check(ts.read_stamp(self._searcher, self._index.schema), path).checkpoint
        # Of a new index, the ids that are in it: others need no deletion. None when that is not known.
        self._fresh: set[bytes] | None = None if exists else set()
        self._known_stems: set[str] = set()

    @property
    def checkpoint(self) -> str:
        return self._checkpoint

    def apply(self, entries: Sequence[Entry], gone: Sequence[tuple[EntityKind, uuid.UUID]]) -> None:
        """Puts entries in place of what their ids were, and takes out what is gone."""
        for _, entity_id in gone:
            self._delete(entity_id.bytes)
        new_stems: set[str] = set()
        now_ms = self._now_ms()
        for entry in entries:
            self._delete(entry.id.bytes)
            terms = documents.terms(entry)
            self._writer.add_document(_document(entry, terms, now_ms))
            new_stems.update(self._unknown_stems(terms))
        if new_stems:
            self._writer.add_document(_stems_document(new_stems))

    def commit(self, checkpoint: str) -> None:
        self._writer.delete_documents_by_query(ts.stamp_query(self._schema))
        self._writer.add_document(ts.stamp_document(ts.Stamp(checkpoint)))
        self._writer.commit()
        self._index.reload()
        self._searcher = self._index.searcher()
        self._checkpoint = checkpoint

    def close(self) -> None:
        self._writer.rollback()
        self._writer.wait_merging_threads()

    def _delete(self, entity_id: bytes) -> None:
        if self._fresh is not None and entity_id not in self._fresh:
            self._fresh.add(entity_id)
            if len(self._fresh) > _FRESH_MAX:
                self._fresh = None
        else:
            self._writer.delete_documents_by_query(ts.id_query(self._schema, entity_id))

    def _unknown_stems(self, terms: documents.Terms) -> list[str]:
        """Stems of words, and of whole names in case a space in them is the mistake, that the index has not got yet."""
        wanted = {stem for word in terms.words | terms.anywhere for stem in vocabulary.stems(word)}
        if len(self._known_stems) > _KNOWN_STEMS_MAX:
            self._known_stems.clear()
        unknown = wanted - self._known_stems
        self._known_stems |= wanted
        return [stem for stem in unknown if not self._searcher.doc_freq(ts.NEAR, vocabulary.entry(stem))]


def _open(path: Path, schema: tantivy.Schema) -> tuple[bool, tantivy.Index]:
    """Whether there is an index, and it, or a new one. Raises DataCorrupt."""
    try:
        if tantivy.Index.exists(str(path)):
            return True, tantivy.Index.open(str(path))
        return False, tantivy.Index(schema, str(path), sort_by_field=ts.RANK, sort_order=tantivy.Order.Desc)
    except ValueError as error:
        raise DataCorrupt(f"the search index in {path.name} cannot be read: {error}") from None


def _document(entry: Entry, terms: documents.Terms, now_ms: int) -> tantivy.Document:
    document = tantivy.Document()
    document.add_bytes(ts.ID, entry.id.bytes)
    high, low = ts.columns_of(entry.id)
    rank = documents.rank(entry)
    numbers = {ts.ID_HIGH: high, ts.ID_LOW: low, ts.RANK: rank, ts.YEAR: entry.year}
    for name, value in (numbers | {ts.AVAILABLE_FROM: entry.available_from_ms}).items():
        document.add_integer(name, value)
    for field, names in ((Field.EXACT_TITLE, terms.exact_titles), (Field.EXACT_NAME, terms.exact_names)):
        for name in names:
            document.add_bytes(field.value, ts.hashed_term(entry.kind, name))
    texts = {Field.BEGINNING: terms.beginnings, Field.WORD: terms.words, Field.START: terms.starts}
    for field, values in (texts | {Field.ANYWHERE: terms.anywhere}).items():
        column = field.value
        for text in values:
            document.add_text(column, ts.text_term(entry.kind, text))
    document.add_text(ts.BAND, ts.text_term(entry.kind, f"{documents.band(rank):04d}"))
    for term in map(ts.artist_term, entry.artist_ids):
        document.add_text(ts.OF, term)
    for term in map(ts.genre_term, entry.genre_ids):
        document.add_text(ts.OF, term)
    if entry.available_from_ms > now_ms:
        document.add_text(ts.OF, ts.HELD_BACK)
    return document


def _stems_document(stems: set[str]) -> tantivy.Document:
    """A document that nothing but its terms is asked of."""
    document = tantivy.Document()
    document.add_integer(ts.RANK, -1)
    for stem in stems:
        for entry in vocabulary.entries(stem):
            document.add_text(ts.NEAR, entry)
    return document
