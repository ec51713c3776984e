"""Search in PostgreSQL: runs the tiers of `query` until the page is full.

Each tier is one statement that an index answers; a song that matched in an earlier tier is left out of later ones, so pages
neither repeat nor skip songs. Within a tier songs are in the order of the name that matched.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY, TSQUERY
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import cursors, normalise, query, spelling
from catalog import tables as t
from catalog.availability import is_out
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.model import Song
from catalog.query import Query, Tier
from catalog.songs import load_songs

# With this many matches as typed there is no need to guess; a name that is exactly the query is enough by itself.
EVIDENCE_ENOUGH = 10
_CANDIDATES_MAX = 2000
_SIMILAR_MAX = 50
# The last code point: no key that starts with x sorts behind x + _LAST.
_LAST = "\U0010ffff"
_Predicate = sa.ColumnElement[bool]
_Rows = sa.Select[tuple[str, uuid.UUID]]


@dataclass(frozen=True, slots=True)
class Page:
    """Songs, best first, and the cursor of the next page or empty."""

    songs: list[Song]
    next_cursor: str


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page starts: behind the song (`at`, `song_id`) of `tier`; `evidence` is of the songs shown before."""

    tier: Tier = Tier.EXACT_TITLE
    evidence: int = 0
    at: str = ""
    song_id: uuid.UUID | None = None


@dataclass(frozen=True, slots=True)
class _Hit:
    tier: Tier
    at: str
    song_id: uuid.UUID


@dataclass(frozen=True, slots=True)
class _Lane:
    """Songs that fit, in the order of one key. `walks_index`: the predicate is a stretch of that key's index."""

    predicate: _Predicate
    order: sa.Column[str]
    walks_index: bool = False


class Search:
    """Answers queries. Holds no state but the key that signs cursors."""

    def __init__(self, database: Database, cursor_key: bytes, metrics: CatalogMetrics) -> None:
        self._database = database
        self._cursor_key = cursor_key
        self._metrics = metrics

    async def search(self, text: str, page_size: int, cursor: str) -> Page:
        """A page of songs that match `text`. Raises InvalidRequest or Unavailable."""
        asked = query.parse(text)
        scope = ("search", normalise.VERSION, asked.text, query.tsquery(asked))
        start = _place(cursors.unseal(self._cursor_key, scope, cursor)) if cursor else _Place()
        hits, songs = await self._database.read(lambda connection: _page(connection, asked, start, page_size))
        if not cursor:
            self._metrics.searches.labels(hits[0].tier.name.lower() if hits else "none").inc()
        if len(hits) <= page_size:
            return Page(songs, "")
        last = hits[page_size - 1]
        position = (int(last.tier), start.evidence + _evidence(hits[:page_size]), last.at, str(last.song_id))
        return Page(songs, cursors.seal(self._cursor_key, scope, position))


async def _page(
    connection: AsyncConnection, asked: Query, start: _Place, page_size: int
) -> tuple[list[_Hit], list[Song]]:
    """One hit more than the page, if there is one, and the songs of the page."""
    hits = await _hits(connection, asked, start, page_size + 1)
    return hits, await load_songs(connection, [hit.song_id for hit in hits[:page_size]])


async def _hits(connection: AsyncConnection, asked: Query, start: _Place, count: int) -> list[_Hit]:
    hits: list[_Hit] = []
    earlier: list[_Predicate] = []
    tiers = _tiers_as_typed(asked)
    for tier in Tier:
        if tier == Tier.CORRECTED_EXACT:
            if start.tier < tier and start.evidence + _evidence(hits) >= EVIDENCE_ENOUGH:
                break
            tiers |= await _tiers_corrected(connection, asked)
        lanes = tiers.get(tier, [])
        if tier >= start.tier and lanes:
            statement = _statement(lanes, earlier, start if tier == start.tier else _Place(), count - len(hits))
            hits += [_Hit(tier, row.at, row.recording_id) for row in await connection.execute(statement)]
            if len(hits) == count:
                break
        earlier += [lane.predicate for lane in lanes]
    return hits


def _tiers_as_typed(asked: Query) -> dict[Tier, list[_Lane]]:
    s = t.song_search.c
    return {
        Tier.EXACT_TITLE: [_Lane(_any_of(s.exact_titles, asked.spellings), s.title_key)],
        Tier.EXACT_NAME: [_Lane(_any_of(s.exact_names, asked.spellings), s.title_key)],
        Tier.PREFIX: [_Lane(_starts(column, asked.text), column, True) for column in (s.title_key, s.artist_key)],
        Tier.WORDS: [_Lane(_matches(query.tsquery(asked)), s.title_key)],
    }


async def _tiers_corrected(connection: AsyncConnection, asked: Query) -> dict[Tier, list[_Lane]]:
    alternatives = await _alternatives(connection, asked.correctable_words)
    if not any(alternatives.values()):
        return {}
    s = t.song_search.c
    spellings = query.corrected_spellings(asked, alternatives)
    exact = sa.or_(_any_of(s.exact_titles, spellings), _any_of(s.exact_names, spellings))
    return {
        Tier.CORRECTED_EXACT: [_Lane(exact, s.title_key)],
        Tier.CORRECTED_WORDS: [_Lane(_matches(query.corrected_tsquery(asked, alternatives)), s.title_key)],
    }


async def _alternatives(connection: AsyncConnection, words: Sequence[str]) -> dict[str, list[str]]:
    """For each word the known words that it may mean. Deletions find one edit; trigrams bring the candidates for two."""
    if not words:
        return {}
    v = t.vocabulary.c
    keys = sorted(set().union(*map(spelling.deletions, words)))
    # Materialised for the same reason as in `_lane_rows`.
    within = sa.select(v.word).where(_any_of(v.deletions, keys)).cte("within").prefix_with("MATERIALIZED")
    near = sa.select(within.c.word).limit(_CANDIDATES_MAX)
    known = set((await connection.execute(near)).scalars())
    for word in words:
        if spelling.edits_max(word) > 1:
            similar = sa.select(v.word).where(v.word.op("%", is_comparison=True)(word))
            nearest_first = similar.order_by(sa.func.similarity(v.word, word).desc(), v.word).limit(_SIMILAR_MAX)
            known.update((await connection.execute(nearest_first)).scalars())
    return {word: spelling.corrections(word, known) for word in words}


def _statement(lanes: Sequence[_Lane], earlier: Sequence[_Predicate], after: _Place, count: int) -> _Rows:
    """The next `count` songs of a tier."""
    parts = []
    excluded = list(earlier)
    for lane in lanes:
        parts.append(_lane_rows(lane, excluded, after, count))
        excluded.append(lane.predicate)
    if len(parts) == 1:
        return parts[0]
    union = sa.union_all(*(sa.select(part.subquery()) for part in parts)).subquery()
    return sa.select(union.c.at, union.c.recording_id).order_by(union.c.at, union.c.recording_id).limit(count)


def _lane_rows(lane: _Lane, excluded: Sequence[_Predicate], after: _Place, count: int) -> _Rows:
    song_id = t.song_search.c.recording_id
    seen = is_out(t.song_search.c.available_from)
    rows = sa.select(lane.order.label("at"), song_id).where(lane.predicate, seen, *map(sa.not_, excluded))
    if after.song_id is not None:
        place = sa.tuple_(sa.literal(after.at), sa.literal(after.song_id))
        rows = rows.where(sa.tuple_(lane.order, song_id) > place)
    if lane.walks_index:
        return rows.order_by(lane.order, song_id).limit(count)
    # Matches first, order after. Left to choose, the planner expects so many matches that it walks all songs in
    # order, and with few matches it walks to the end.
    matches = rows.cte("matches").prefix_with("MATERIALIZED")
    return sa.select(matches.c.at, matches.c.recording_id).order_by(matches.c.at, matches.c.recording_id).limit(count)


def _any_of(column: sa.ColumnElement[Sequence[str]], values: Sequence[str]) -> _Predicate:
    return column.op("&&", is_comparison=True)(sa.cast(list(values), ARRAY(sa.Text)))


def _starts(column: sa.Column[str], text: str) -> _Predicate:
    return sa.and_(column >= text, column < text + _LAST)


def _matches(tsquery: str) -> _Predicate:
    # By way of text: asyncpg knows no tsquery value.
    return t.song_search.c.words.op("@@", is_comparison=True)(sa.cast(sa.cast(tsquery, sa.Text), TSQUERY))


def _place(position: cursors.Position) -> _Place:
    tier, evidence, at, song_id = position
    return _Place(Tier(int(tier)), int(evidence), str(at), uuid.UUID(str(song_id)))


def _evidence(hits: Sequence[_Hit]) -> int:
    """How sure these hits make us that the query was meant as typed."""
    return sum(EVIDENCE_ENOUGH if hit.tier <= Tier.EXACT_NAME else 1 for hit in hits)
