"""One state of a Tantivy index, and how a search reads it. Safe on any number of threads: nothing in it changes.

Within a tier the order is by rank. A term that fits hundreds of thousands of songs is not read to its end for twenty: first
only the songs of the highest bands are looked at, and more only when these give too few. What comes out is the same.
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

import tantivy
from tantivy import Occur, Query

from catalog import query
from catalog.model import EntityKind
from catalog.searching import tantivy_schema as ts
from catalog.searching import tiers, vocabulary
from catalog.searching.backend import BEST_COUNT, DEPTH_MAX, Ask, Found, Hit, Place, Tier
from catalog.searching.tiers import All, Any, Begins, Expression, Field, Guess, Term
from reprise.errors import DataCorrupt

# About how many songs the highest bands hold that are looked at first, and next.
_HEADS = (1 << 12, 1 << 16)
# Below so many matches all are looked at.
_MATCHES_FEW = 1 << 13
# Some more than are wanted are expected in a head, or it is not worth looking.
_MARGIN = 3
_TERMS_MAX = 1024
_CORRECTABLE_MAX = 10
_RESPACED_MAX = 6


@dataclass(frozen=True, slots=True)
class _Match:
    """A query of the engine, and about how many entries match it at most."""

    query: Query
    about: int


@dataclass(frozen=True, slots=True)
class _Head:
    """The entries of the highest bands."""

    query: Query
    entries: int


class Reading:
    """A searcher and what is worked out once for it."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self._searcher = searcher
        self._schema = schema
        bands = searcher.terms_with_prefix(ts.BAND, "")
        self._bands = sorted((band, count) for band, count in bands if band[0].isdigit())[::-1]
        self._songs = sum(count for _, count in self._bands)
        self._heads = [self._head(size) for size in _HEADS if size * 2 < self._songs]

    @classmethod
    def open(cls, path: Path) -> Self:
        """The index in `path` as it was committed last. Raises NotReady (other versions made it) or DataCorrupt."""
        try:
            index = tantivy.Index.open(str(path))
            index.config_reader("manual")
            searcher = index.searcher()
        except ValueError as error:
            raise DataCorrupt(f"the search index in {path.name} cannot be read: {error}") from None
        ts.check(ts.read_stamp(searcher, index.schema), path)
        return cls(searcher, index.schema)

    def find(self, ask: Ask, count: int, after: Place | None) -> Found:
        """At most `count` songs behind `after`; on the first page also artists and releases."""
        shown = after.shown if after else 0
        hits = self._songs_of(ask, min(count, DEPTH_MAX - shown), after)
        if after is not None:
            return Found(hits)
        guessed = not hits or hits[0].place.tier in tiers.GUESSES
        return Found(
            hits,
            artists=self._best(ask, EntityKind.ARTIST, guessed=guessed),
            releases=self._best(ask, EntityKind.RELEASE, guessed=guessed),
        )

    def _songs_of(self, ask: Ask, count: int, after: Place | None) -> tuple[Hit, ...]:
        hits: list[Hit] = []
        earlier: list[Query] = []
        expressions = tiers.as_typed(ask.query)
        shown = after.shown if after else 0
        for tier in Tier:
            if len(hits) >= count:
                break
            if tier is Tier.CORRECTED_NAME:
                if not (after and after.tier in tiers.GUESSES) and self._is_enough(ask, shown + len(hits)):
                    break
                expressions |= self._corrected(ask)
            match = self._match(expressions[tier], EntityKind.SONG) if tier in expressions else None
            if match is None:
                continue
            if after is None or tier >= after.tier:
                below = after.rank if after and tier is after.tier else None
                for rank, entity_id in self._ranked(match, ask, count - len(hits), earlier, below):
                    hits.append(Hit(entity_id, Place(tier, rank, entity_id, shown + len(hits) + 1)))
            earlier.append(match.query)
        return tuple(hits)

    def _best(self, ask: Ask, kind: EntityKind, *, guessed: bool) -> tuple[uuid.UUID, ...]:
        """The artists or releases that match best; only as typed, unless the songs were guessed too."""
        found: dict[uuid.UUID, None] = {}
        expressions = tiers.as_typed(ask.query)
        if guessed:
            expressions |= self._corrected(ask)
        for tier, expression in expressions.items():
            match = None if tier is Tier.MENTION else self._match(expression, kind)
            if match is not None and len(found) < BEST_COUNT:
                hits = self._ranked(match, Ask(ask.query, ask.now_ms), BEST_COUNT, (), None)
                found.update((entity_id, None) for _, entity_id in hits)
        return tuple(islice(found, BEST_COUNT))

    def _is_enough(self, ask: Ask, shown: int) -> bool:
        """Whether what matches as typed makes us sure that the query was meant as typed."""
        if shown >= tiers.EVIDENCE_ENOUGH:
            return True
        exact = (tiers.as_typed(ask.query)[tier] for tier in (Tier.EXACT_TITLE, Tier.EXACT_NAME))
        return any(self._match(expression, EntityKind.SONG) for expression in exact)

    def _corrected(self, ask: Ask) -> dict[Tier, Expression]:
        asked = ask.query
        known = vocabulary.Dictionary(
            near=lambda text: self._searcher.terms_with_prefix(ts.NEAR, text),
            words=lambda text: self._searcher.terms_with_prefix(Field.WORD.value, text),
            count=self._count,
        )
        words = asked.words[:_CORRECTABLE_MAX]
        guesses = {word: vocabulary.guess(word, known, last=at == len(words) - 1) for at, word in enumerate(words)}
        if asked.joined not in guesses:
            guesses[asked.joined] = Guess(vocabulary.guess(asked.joined, known, last=False).words)
        respaced = (words for words, new in query.respaced(words) if all(map(self._count, new)))
        return tiers.corrected(asked, guesses, list(islice(respaced, _RESPACED_MAX)))

    def _count(self, word: str) -> int:
        return self._searcher.doc_freq(Field.WORD.value, word) or self._searcher.doc_freq(Field.MENTION.value, word)

    def _ranked(
        self, match: _Match, ask: Ask, count: int, excluded: Sequence[Query], below: int | None
    ) -> list[tuple[int, uuid.UUID]]:
        """The first `count` matches below a rank, as (rank, id) in the order of rank."""
        clauses = [(Occur.Must, match.query), *self._filters(ask)]
        clauses += [(Occur.MustNot, query) for query in excluded]
        if below is not None:
            clauses.append((Occur.Must, self._range(ts.RANK, None, below - 1)))
        if match.about > _MATCHES_FEW and below is None:
            for head in self._heads:
                if head.entries * match.about >= _MARGIN * count * self._songs:
                    found = self._search([(Occur.Must, head.query), *clauses], count)
                    if len(found) == count:
                        return found
        return self._search(clauses, count)

    def _search(self, clauses: list[tuple[Occur, Query]], count: int) -> list[tuple[int, uuid.UUID]]:
        asked = clauses[0][1] if len(clauses) == 1 else Query.boolean_query(clauses)
        hits = self._searcher.search(asked, count, count=False, order_by_field=ts.RANK).hits
        addresses = [address for _, address in hits]
        highs = self._searcher.fast_field_values(ts.ID_HIGH, addresses)
        lows = self._searcher.fast_field_values(ts.ID_LOW, addresses)
        return [(rank, ts.id_of(high, low)) for (rank, _), high, low in zip(hits, highs, lows, strict=True)]  # type: ignore[arg-type]

    def _filters(self, ask: Ask) -> list[tuple[Occur, Query]]:
        clauses, only = [], ask.filters
        if only.artist_id:
            clauses.append((Occur.Must, self._term(ts.OF, ts.artist_term(only.artist_id))))
        if only.genre_id:
            clauses.append((Occur.Must, self._term(ts.OF, ts.genre_term(only.genre_id))))
        if only.year_from or only.year_to:
            clauses.append((Occur.Must, self._range(ts.YEAR, only.year_from or 1, only.year_to or None)))
        if self._searcher.doc_freq(ts.OF, ts.HELD_BACK):
            to_come = self._range(ts.AVAILABLE_FROM, ask.now_ms + 1, None)
            held_back = [(Occur.Must, self._term(ts.OF, ts.HELD_BACK)), (Occur.Must, to_come)]
            clauses.append((Occur.MustNot, Query.boolean_query(held_back)))
        return clauses

    def _match(self, expression: Expression, kind: EntityKind) -> _Match | None:
        """The engine's query for an expression; None when nothing can match."""
        match expression:
            case Term(field, text) if field in ts.HASHED_FIELDS:
                return self._counted(field.value, ts.hashed_term(kind, text))
            case Term(field, text):
                return self._counted(field.value, ts.text_term(kind, text))
            case Begins(field, text):
                found = self._searcher.terms_with_prefix(field.value, ts.text_term(kind, text), limit=_TERMS_MAX)
                return self._any_term(field.value, found)
            case All(parts):
                every = [self._match(part, kind) for part in parts]
                return None if None in every else _all([match for match in every if match])
            case Any(parts):
                return _any([match for part in parts if (match := self._match(part, kind))])

    def _counted(self, field: str, term: str | bytes) -> _Match | None:
        count = self._searcher.doc_freq(field, term)
        return _Match(self._term(field, term), count) if count else None

    def _any_term(self, field: str, found: Sequence[tuple[str, int]]) -> _Match | None:
        if not found:
            return None
        about = sum(count for _, count in found)
        if len(found) == 1:
            return _Match(self._term(field, found[0][0]), about)
        return _Match(Query.term_set_query(self._schema, field, [term for term, _ in found]), about)

    def _term(self, field: str, term: str | bytes) -> Query:
        return Query.term_query(self._schema, field, term, index_option="basic")

    def _range(self, field: str, low: int | None, high: int | None) -> Query:
        return Query.range_query(self._schema, field, tantivy.FieldType.Integer, low, high)

    def _head(self, size: int) -> _Head:
        bands, entries = [], 0
        for band, count in self._bands:
            bands.append(band)
            entries += count
            if entries >= size:
                break
        return _Head(Query.boolean_query([(Occur.Should, self._term(ts.BAND, band)) for band in bands]), entries)


def _all(matches: Sequence[_Match]) -> _Match:
    if len(matches) == 1:
        return matches[0]
    clauses = [(Occur.Must, match.query) for match in matches]
    return _Match(Query.boolean_query(clauses), min(match.about for match in matches))


def _any(matches: Iterable[_Match]) -> _Match | None:
    options = list(matches)
    if len(options) <= 1:
        return options[0] if options else None
    clauses = [(Occur.Should, match.query) for match in options]
    return _Match(Query.boolean_query(clauses), sum(match.about for match in options))
