"""Terms, entries and questions in the words of OpenSearch: its mapping, documents and query language. Pure.

What a tier asks for is the same expression as for Tantivy, over the same terms. Fields hold terms as they are (`keyword`): the
engine neither splits nor folds. A document's score is that of its first tier, so one search gives all tiers in their order.

Two things are left to the engine's own means, and so differ a little: corrections are its fuzzy queries, of whole words alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any as Json

from catalog import query, spelling
from catalog.model import EntityKind
from catalog.query import Query
from catalog.searching import documents, tiers
from catalog.searching.backend import Filters, Tier
from catalog.searching.documents import Entry, Terms
from catalog.searching.tiers import All, Any, Begins, Expression, Field, Term

KIND, RANK, YEAR, AVAILABLE_FROM, ARTIST, GENRE = "kind", "rank", "year", "available_from", "artist", "genre"
_KEYWORD = {"type": "keyword", "doc_values": False}
_RESPACED_MAX = 24
_EXPANSIONS_MAX = 50

Clause = dict[str, Json]
INDEX_BODY: Mapping[str, Json] = {
    # Searchers see what is committed, and then all of it: the indexer asks for each refresh.
    "settings": {"index": {"refresh_interval": "-1"}},
    "mappings": {
        "dynamic": "strict",
        "_source": {"enabled": False},
        "properties": {
            **{field.value: _KEYWORD for field in Field},
            **dict.fromkeys((ARTIST, GENRE), _KEYWORD),
            KIND: {"type": "byte"},
            RANK: {"type": "long"},
            YEAR: {"type": "short"},
            AVAILABLE_FROM: {"type": "long"},
        },
    },
}


def document(entry: Entry) -> dict[str, Json]:
    """An entry as it is indexed."""
    terms = documents.terms(entry)
    return {
        **{_field_of(name).value: sorted(getattr(terms, name)) for name in (field.name for field in fields(Terms))},
        KIND: int(entry.kind),
        RANK: documents.rank(entry),
        YEAR: entry.year,
        AVAILABLE_FROM: entry.available_from_ms,
        ARTIST: [artist_id.hex for artist_id in entry.artist_ids],
        GENRE: [genre_id.hex for genre_id in entry.genre_ids],
    }


def search(
    kind: EntityKind,
    by_tier: Mapping[Tier, Clause],
    narrowed: Sequence[Clause],
    count: int,
    *,
    without: Sequence[Clause] = (),
    after: tuple[float, int] | None = None,
) -> dict[str, Json]:
    """The body of a search: the best `count` of a kind, by tier and rank, behind `after`."""
    scored = [{"constant_score": {"filter": clause, "boost": score_of(tier)}} for tier, clause in by_tier.items()]
    asked: dict[str, Json] = {
        "must": [{"dis_max": {"queries": scored}}],
        "filter": [{"term": {KIND: int(kind)}}, *narrowed],
    }
    if without:
        asked["must_not"] = list(without)
    body: dict[str, Json] = {
        "query": {"bool": asked},
        "sort": [{"_score": "desc"}, {RANK: "desc"}],
        "size": count,
        "track_total_hits": False,
    }
    return body if after is None else body | {"search_after": list(after)}


def score_of(tier: Tier) -> float:
    """What a document scores that matches in this tier first."""
    return float(len(Tier) - tier)


def tier_of(score: float) -> Tier:
    """The reverse of `score_of`."""
    return Tier(len(Tier) - round(score))


def as_typed(asked: Query) -> dict[Tier, Clause]:
    """The tiers that take the query as it was typed."""
    return {tier: _clause(expression) for tier, expression in tiers.as_typed(asked).items()}


def corrected(asked: Query) -> dict[Tier, Clause]:
    """The tiers that guess: the whole query as a name, and each word, with as many edits as its length forgives."""
    names = [_near(field, asked.joined) for field in (Field.EXACT_TITLE, Field.EXACT_NAME)]
    words = [_any([_near(Field.WORD, word), _term(Field.ANYWHERE, word)]) for word in asked.words]
    respaced = [words for words, _ in query.respaced(asked.words)][:_RESPACED_MAX]
    spaced = [_all([_term(Field.WORD, word) for word in words]) for words in respaced]
    return {Tier.CORRECTED_NAME: _any(names), Tier.CORRECTED_WORDS: _any([_all(words), *spaced])}


def filters(asked: Filters, now_ms: int) -> list[Clause]:
    """What narrows a search; what is not out yet is never found."""
    clauses: list[Clause] = [{"range": {AVAILABLE_FROM: {"lte": now_ms}}}]
    for name, wanted in ((ARTIST, asked.artist_id), (GENRE, asked.genre_id)):
        if wanted is not None:
            clauses.append({"term": {name: wanted.hex}})
    if asked.year_from or asked.year_to:
        upper = {"lte": asked.year_to} if asked.year_to else {}
        clauses.append({"range": {YEAR: {"gte": asked.year_from or 1, **upper}}})
    return clauses


def _field_of(name: str) -> Field:
    """The field of terms that `Terms` calls by a plural."""
    return Field(name.removesuffix("s"))


def _clause(expression: Expression) -> Clause:
    match expression:
        case Term(field, text):
            return _term(field, text)
        case Begins(field, text):
            return {"prefix": {field.value: {"value": text}}}
        case All(parts):
            return _all([_clause(part) for part in parts])
        case Any(parts):
            return _any([_clause(part) for part in parts])


def _term(field: Field, text: str) -> Clause:
    return {"term": {field.value: text}}


def _near(field: Field, text: str) -> Clause:
    if not spelling.correctable(text):
        return _term(field, text)
    near = {
        "value": text,
        "fuzziness": spelling.edits_max(text),
        "max_expansions": _EXPANSIONS_MAX,
        "transpositions": True,
    }
    return {"fuzzy": {field.value: near}}


def _all(clauses: list[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"bool": {"filter": clauses}}


def _any(clauses: list[Clause]) -> Clause:
    return clauses[0] if len(clauses) == 1 else {"bool": {"should": clauses, "minimum_should_match": 1}}
