"""One state of a Tantivy index, and how a search reads it. Safe on any number of threads: nothing in it changes.

Within a tier the order is by rank. A term that fits hundreds of thousands of songs is not read to its end for twenty: first
only the songs of the highest bands are looked at, and more only when these give too few. What comes out is the same.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

import tantivy
from tantivy import Occur, Query

from catalog import query
from catalog.model import EntityKind
from catalog.searching import tantivy_schema as ts
from catalog.searching import tiers, vocabulary
from catalog.searching.backend import BEST_COUNT, DEPTH_MAX, NO_FILTERS, Ask, Found, Hit, Place, Tier
from catalog.searching.tantivy_matches import Clause, Match, Matches
from catalog.searching.tiers import Expression
from catalog.searching.vocabulary import Dictionary
from reprise.errors import DataCorrupt

# About how many songs the highest bands hold that are looked at first, and next.
_HEADS = (1 << 12, 1 << 16)
# Below so many matches all are looked at.
_MATCHES_FEW = 1 << 13
# Some more than are wanted are expected in a head, or it is not worth looking.
_MARGIN = 3
_RESPACED_MAX = 6


@dataclass(frozen=True, slots=True)
class _Head:
    """The songs of the highest bands."""

    query: Query
    songs: int


class _Asked:
    """An ask with its tiers; those that guess are worked out when they are needed."""

    def __init__(self, ask: Ask, known: Dictionary) -> None:
        self.ask = ask
        self._known = known
        self.as_typed = tiers.as_typed(ask.query)

    @cached_property
    def corrected(self) -> dict[Tier, Expression]:
        asked = self.ask.query
        guesses = vocabulary.guesses(asked, self._known)
        respaced = (words for words, new in query.respaced(asked.words) if all(map(self._known.count, new)))
        return tiers.corrected(asked, guesses, list(islice(respaced, _RESPACED_MAX)))


class Reading:
    """A searcher and what is worked out once for it."""

    def __init__(self, searcher: tantivy.Searcher, schema: tantivy.Schema) -> None:
        self._matches = Matches(searcher, schema)
        terms = searcher.terms_with_prefix(ts.BAND, "")
        bands = sorted(((band, count) for band, count in terms if band[0].isdigit()), reverse=True)
        self._songs = sum(count for _, count in bands)
        self._heads = [self._head(bands, size) for size in _HEADS if size * 2 < self._songs]

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
        asked = _Asked(ask, self._matches.dictionary)
        shown = after.shown if after else 0
        hits = self._songs_of(asked, min(count, DEPTH_MAX - shown), after)
        if after is not None:
            return Found(hits)
        # Only as typed, unless the songs were guessed too.
        expressions = asked.as_typed | (asked.corrected if not hits or hits[0].place.tier in tiers.GUESSES else {})
        return Found(
            hits,
            artists=self._best(expressions, EntityKind.ARTIST, ask.now_ms),
            releases=self._best(expressions, EntityKind.RELEASE, ask.now_ms),
        )

    def _songs_of(self, asked: _Asked, count: int, after: Place | None) -> tuple[Hit, ...]:
        hits: list[Hit] = []
        earlier: list[Clause] = []
        narrowed = self._matches.filters(asked.ask.filters, asked.ask.now_ms)
        shown = after.shown if after else 0
        for tier in Tier:
            last = hits[-1].place.tier if hits else after.tier if after else None
            begins = tier in tiers.GUESSES and (last is None or tier > last)
            if len(hits) >= count or (begins and self._is_enough(asked, last, shown + len(hits))):
                break
            expressions = asked.corrected if tier in tiers.GUESSES else asked.as_typed
            match = self._matches.match(expressions[tier], EntityKind.SONG) if tier in expressions else None
            if match is None:
                continue
            if after is None or tier >= after.tier:
                below = after.rank if after and tier is after.tier else None
                for rank, entity_id in self._ranked(match, [*narrowed, *earlier], count - len(hits), below):
                    hits.append(Hit(entity_id, Place(tier, rank, entity_id, shown + len(hits) + 1)))
            earlier.append((Occur.MustNot, match.query))
        return tuple(hits)

    def _is_enough(self, asked: _Asked, last: Tier | None, found: int) -> bool:
        if tiers.is_enough(asked.ask.query, last, found):
            return True
        exact = (asked.as_typed[tier] for tier in (Tier.EXACT_TITLE, Tier.EXACT_NAME))
        return any(self._matches.match(expression, EntityKind.SONG) for expression in exact)

    def _best(self, expressions: dict[Tier, Expression], kind: EntityKind, now_ms: int) -> tuple[uuid.UUID, ...]:
        """The artists or releases that match best."""
        found: dict[uuid.UUID, None] = {}
        narrowed = self._matches.filters(NO_FILTERS, now_ms)
        for tier, expression in expressions.items():
            if len(found) >= BEST_COUNT or (found and tier in tiers.GUESSES):
                break
            match = self._matches.match(expression, kind)
            if match is not None and tier is not Tier.MENTION:
                hits = self._matches.most_popular([(Occur.Must, match.query), *narrowed], BEST_COUNT)
                found.update((entity_id, None) for _, entity_id in hits)
        return tuple(islice(found, BEST_COUNT))

    def _ranked(
        self, match: Match, narrowed: Sequence[Clause], count: int, below: int | None
    ) -> list[tuple[int, uuid.UUID]]:
        """The first `count` songs that match, below a rank."""
        clauses = [(Occur.Must, match.query), *narrowed]
        if below is not None:
            clauses.append((Occur.Must, self._matches.between(ts.RANK, None, below - 1)))
        elif match.at_most > _MATCHES_FEW:
            for head in self._heads:
                if head.songs * match.at_most >= _MARGIN * count * self._songs:
                    found = self._matches.most_popular([(Occur.Must, head.query), *clauses], count)
                    if len(found) == count:
                        return found
        return self._matches.most_popular(clauses, count)

    def _head(self, bands: Sequence[tuple[str, int]], size: int) -> _Head:
        clauses, songs = [], 0
        for band, count in bands:
            clauses.append((Occur.Should, self._matches.term(ts.BAND, band)))
            songs += count
            if songs >= size:
                break
        return _Head(Query.boolean_query(clauses), songs)
