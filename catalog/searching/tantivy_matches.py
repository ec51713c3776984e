"""Expressions as queries of Tantivy, each with about how many entries it matches. Safe on any number of threads."""

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import tantivy
from tantivy import Occur, Query

from catalog.model import EntityKind
from catalog.searching import tantivy_schema as ts
from catalog.searching.backend import Filters
from catalog.searching.tiers import All, Any, Begins, Expression, Field, Term
from catalog.searching.vocabulary import Dictionary

# A start that fits more words is read as far as its most frequent ones go.
_TERMS_MAX = 1024
# So many terms are walked side by side, which lets others lead; all songs of more are gathered before.
_UNION_MAX = 64
Clause = tuple[Occur, Query]


@dataclass(frozen=True, slots=True)
class Match:
    """A query of the engine, and how many entries match it at most, deleted ones counted."""

    query: Query
    at_most: int


class Matches:
    """What can be asked of one state of an index."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self._searcher = searcher
        self._schema = schema
        self.dictionary = Dictionary(
            near=lambda text: searcher.terms_with_prefix(ts.NEAR, text),
            words=lambda text: searcher.terms_with_prefix(Field.WORD.value, text),
            count=lambda word: searcher.doc_freq(Field.WORD.value, word),
        )

    def match(self, expression: Expression, kind: EntityKind) -> Match | None:
        """The query for an expression; None when nothing can match."""
        match expression:
            case Term(field, text) if field in ts.HASHED_FIELDS:
                return self._counted(field.value, ts.hashed_term(kind, text))
            case Term(field, text):
                return self._counted(field.value, ts.text_term(kind, text))
            case Begins(field, text):
                found = self._searcher.terms_with_prefix(field.value, ts.text_term(kind, text), limit=_TERMS_MAX)
                return self._any_term(field.value, found)
            case All(parts):
                return self._all(parts, kind)
            case Any(parts):
                return _any([match for part in parts if (match := self.match(part, kind))])

    def filters(self, filters: Filters, now_ms: int) -> list[Clause]:
        """What narrows a query to songs that may be shown."""
        clauses: list[Clause] = []
        if filters.artist_id:
            clauses.append((Occur.Must, self.term(ts.OF, ts.artist_term(filters.artist_id))))
        if filters.genre_id:
            clauses.append((Occur.Must, self.term(ts.OF, ts.genre_term(filters.genre_id))))
        if filters.year_from or filters.year_to:
            clauses.append((Occur.Must, self.between(ts.YEAR, filters.year_from or 1, filters.year_to or None)))
        if self._searcher.doc_freq(ts.OF, ts.HELD_BACK):
            to_come = self.between(ts.AVAILABLE_FROM, now_ms + 1, None)
            held_back = [(Occur.Must, self.term(ts.OF, ts.HELD_BACK)), (Occur.Must, to_come)]
            clauses.append((Occur.MustNot, Query.boolean_query(held_back)))
        return clauses

    def term(self, field: str, term: str | bytes) -> Query:
        return Query.term_query(self._schema, field, term, index_option="basic")

    def between(self, field: str, low: int | None, high: int | None) -> Query:
        """Values from `low` to `high`, both included."""
        return Query.range_query(self._schema, field, tantivy.FieldType.Integer, low, high)

    def most_popular(self, clauses: Sequence[Clause], count: int) -> list[tuple[int, uuid.UUID]]:
        """The first `count` entries that match, as (rank, id) in the order of rank."""
        asked = clauses[0][1] if len(clauses) == 1 else Query.boolean_query(clauses)
        hits = self._searcher.search(asked, count, count=False, order_by_field=ts.RANK).hits
        addresses = [address for _, address in hits]
        highs = self._searcher.fast_field_values(ts.ID_HIGH, addresses)
        lows = self._searcher.fast_field_values(ts.ID_LOW, addresses)
        columns = zip(hits, highs, lows, strict=True)
        return [(rank, ts.id_of(high, low)) for (rank, _), high, low in columns]  # type: ignore[arg-type]

    def _all(self, parts: Sequence[Expression], kind: EntityKind) -> Match | None:
        matches = []
        for part in _flat(parts):
            match = self.match(part, kind)
            if match is None:
                return None
            matches.append(match)
        if len(matches) == 1:
            return matches[0]
        query = Query.boolean_query([(Occur.Must, match.query) for match in matches])
        return Match(query, min(match.at_most for match in matches))

    def _counted(self, field: str, term: str | bytes) -> Match | None:
        count = self._searcher.doc_freq(field, term)
        return Match(self.term(field, term), count) if count else None

    def _any_term(self, field: str, found: Sequence[tuple[str, int]]) -> Match | None:
        at_most = sum(count for _, count in found)
        if len(found) <= _UNION_MAX:
            return _any([Match(self.term(field, term), count) for term, count in found])
        return Match(Query.term_set_query(self._schema, field, [term for term, _ in found]), at_most)


def _flat(parts: Sequence[Expression]) -> Iterator[Expression]:
    """The parts with those of nested ones in their place: of one intersection the rarest part leads."""
    for part in parts:
        if isinstance(part, All):
            yield from _flat(part.parts)
        else:
            yield part


def _any(matches: Sequence[Match]) -> Match | None:
    if len(matches) <= 1:
        return matches[0] if matches else None
    query = Query.boolean_query([(Occur.Should, match.query) for match in matches])
    return Match(query, sum(match.at_most for match in matches))
