"""Reads the search index in an OpenSearch cluster: one request for all tiers as typed, one more when guesses are needed."""

import uuid
from typing import Any

from catalog.model import EntityKind
from catalog.searching import opensearch_schema as schema
from catalog.searching import tiers
from catalog.searching.backend import BEST_COUNT, DEPTH_MAX, NO_FILTERS, Ask, Found, Hit, Place
from catalog.searching.opensearch_client import failures
from reprise.errors import Conflict, NotFound, Unavailable


class OpenSearchIndex:
    """A SearchIndex. `client` is an AsyncOpenSearch; `alias` names the index in use."""

    def __init__(self, client: Any, alias: str) -> None:
        self._client = client
        self._alias = alias

    async def find(self, ask: Ask, count: int, after: Place | None) -> Found:
        """At most `count` songs behind `after`; on the first page also artists and releases. Raises Unavailable."""
        shown = after.shown if after else 0
        count = min(count, DEPTH_MAX - shown)
        guessing = after is not None and after.tier in tiers.GUESSES
        first = [] if guessing else [self._songs(ask, count, after)]
        if after is None:
            first += [self._best(ask, kind) for kind in (EntityKind.ARTIST, EntityKind.RELEASE)]
        songs, *best = await self._ask(first) if first else ([],)
        hits = _hits(songs, shown)
        last = hits[-1].place.tier if hits else after.tier if after else None
        if len(hits) < count and (guessing or not tiers.is_enough(ask.query, last, shown + len(hits))):
            (more,) = await self._ask([self._guesses(ask, count - len(hits), after if guessing else None)])
            hits += _hits(more, shown + len(hits))
        return Found(tuple(hits), *(tuple(uuid.UUID(hit["_id"]) for hit in found) for found in best))

    def _songs(self, ask: Ask, count: int, after: Place | None) -> dict[str, Any]:
        narrowed = schema.filters(ask.filters, ask.now_ms)
        return schema.search(EntityKind.SONG, schema.as_typed(ask.query), narrowed, count, after=_behind(after))

    def _guesses(self, ask: Ask, count: int, after: Place | None) -> dict[str, Any]:
        narrowed = schema.filters(ask.filters, ask.now_ms)
        typed = list(schema.as_typed(ask.query).values())
        corrected = schema.corrected(ask.query)
        return schema.search(EntityKind.SONG, corrected, narrowed, count, without=typed, after=_behind(after))

    def _best(self, ask: Ask, kind: EntityKind) -> dict[str, Any]:
        return schema.search(kind, schema.as_typed(ask.query), schema.filters(NO_FILTERS, ask.now_ms), BEST_COUNT)

    async def _ask(self, bodies: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
        """The hits of each search; one request for all."""
        lines = [line for body in bodies for line in ({"index": self._alias}, body)]
        try:
            with failures("searching"):
                answers = (await self._client.msearch(body=lines))["responses"]
        except (NotFound, Conflict) as error:
            raise Unavailable(error.message, retry_after_s=1) from None
        for answer in answers:
            # A cluster that lost a part of the index says so: less would look like all.
            if "error" in answer or answer["timed_out"] or answer["_shards"]["failed"]:
                raise Unavailable("the OpenSearch cluster answers in part only, or has no such index", retry_after_s=1)
        return [answer["hits"]["hits"] for answer in answers]


def _behind(after: Place | None) -> tuple[float, int] | None:
    return (schema.score_of(after.tier), after.rank) if after else None


def _hits(found: list[dict[str, Any]], shown: int) -> list[Hit]:
    hits = []
    for number, hit in enumerate(found, shown + 1):
        score, rank = hit["sort"]
        id_ = uuid.UUID(hit["_id"])
        hits.append(Hit(id_, Place(schema.tier_of(score), int(rank), id_, number)))
    return hits
