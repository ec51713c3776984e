"""How terms and entries lie in a Tantivy index. What writes and what reads agree here and nowhere else.

One index holds songs, artists and releases: the terms of the latter two begin with a sign of their own, so none of them ever
meets a song's. Segments are sorted by rank, so the most popular ones of any list of postings come first.

Nothing is stored but the stamp: one document that says which versions made the index and how far it has come. It is part of
each commit, so the index and its checkpoint cannot disagree. An id is two signed columns: unsigned ones stop the indexing
thread on integers of Python.
"""

import hashlib
import json
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import tantivy

from catalog import normalise
from catalog.model import EntityKind
from catalog.searching import documents
from catalog.searching.tiers import Field
from reprise.errors import DataCorrupt, NotReady

ID, ID_HIGH, ID_LOW, RANK, YEAR, AVAILABLE_FROM = "id", "id_high", "id_low", "rank", "year", "available_from"
BAND, OF, NEAR, STAMP = "band", "of", "near", "stamp"
TEXT_FIELDS = (Field.BEGINNING, Field.WORD, Field.START, Field.ANYWHERE)
HASHED_FIELDS = (Field.EXACT_TITLE, Field.EXACT_NAME)
# Not out yet when it was indexed.
HELD_BACK = "held back"
_KIND_SIGNS = {EntityKind.SONG: "", EntityKind.ARTIST: "\x02", EntityKind.RELEASE: "\x03"}
_HASH_BYTES = 6
_STAMP_ID = bytes(16)


@dataclass(frozen=True, slots=True)
class Stamp:
    """What made an index, and what its last commit was given."""

    checkpoint: str = ""
    schema: int = documents.VERSION
    normaliser: int = normalise.VERSION


def schema() -> tantivy.Schema:
    builder = tantivy.SchemaBuilder()
    builder.add_bytes_field(ID, indexed=True)
    for name in (ID_HIGH, ID_LOW, RANK, YEAR, AVAILABLE_FROM):
        builder.add_integer_field(name, fast=True)
    for field in HASHED_FIELDS:
        builder.add_bytes_field(field.value, indexed=True)
    for name in (*(field.value for field in TEXT_FIELDS), BAND, OF, NEAR):
        builder.add_text_field(name, tokenizer_name="raw", index_option="basic")
    builder.add_text_field(STAMP, tokenizer_name="raw", index_option="basic", stored=True)
    return builder.build()


def text_term(kind: EntityKind, text: str) -> str:
    """A term of one of TEXT_FIELDS or BAND."""
    return _KIND_SIGNS[kind] + text


def hashed_term(kind: EntityKind, name: str) -> bytes:
    """A term of one of HASHED_FIELDS: whole names are long, many, and only compared."""
    return hashlib.blake2b(text_term(kind, name).encode(), digest_size=_HASH_BYTES).digest()


def artist_term(artist_id: uuid.UUID) -> str:
    return f"a{artist_id.hex}"


def genre_term(genre_id: uuid.UUID) -> str:
    return f"g{genre_id.hex}"


def columns_of(entity_id: uuid.UUID) -> tuple[int, int]:
    """An id as (high, low) signed integers."""
    return (
        int.from_bytes(entity_id.bytes[:8], signed=True),
        int.from_bytes(entity_id.bytes[8:], signed=True),
    )


def id_of(high: int, low: int) -> uuid.UUID:
    """The reverse of `columns_of`."""
    return uuid.UUID(bytes=high.to_bytes(8, signed=True) + low.to_bytes(8, signed=True))


def id_query(index_schema: tantivy.Schema, entity_id: bytes) -> tantivy.Query:
    return tantivy.Query.term_query(index_schema, ID, entity_id, index_option="basic")


def stamp_query(index_schema: tantivy.Schema) -> tantivy.Query:
    return id_query(index_schema, _STAMP_ID)


def stamp_document(stamp: Stamp) -> tantivy.Document:
    document = tantivy.Document()
    document.add_bytes(ID, _STAMP_ID)
    # Segments are sorted by rank, so each document has one.
    document.add_integer(RANK, -1)
    document.add_text(STAMP, json.dumps(asdict(stamp)))
    return document


def read_stamp(searcher: tantivy.Searcher, index_schema: tantivy.Schema) -> Stamp:
    """The stamp of an index. Raises DataCorrupt when there is none that can be read."""
    hits = searcher.search(stamp_query(index_schema), 1, count=False).hits
    try:
        return Stamp(**json.loads(searcher.doc(hits[0][1]).get_first(STAMP)))  # type: ignore[arg-type]
    except (IndexError, TypeError, ValueError):
        raise DataCorrupt("the search index does not say what made it: rebuild it") from None


def check(stamp: Stamp, path: Path) -> Stamp:
    """`stamp`, when this build understands such an index. Raises NotReady."""
    ours = Stamp(stamp.checkpoint)
    if stamp != ours:
        raise NotReady(
            f"the search index in {path.name} was made by other versions "
            f"(schema {stamp.schema}, normaliser {stamp.normaliser}; this is {ours.schema} and {ours.normaliser}): "
            "a rebuild is needed"
        )
    return stamp
