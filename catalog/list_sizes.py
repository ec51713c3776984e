"""About how long lists are, by the planner's statistics: never counted, and asked for once a minute for each list."""

import json
from typing import Any

import sqlalchemy as sa
from cachetools import TTLCache
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.listing import Filter, Listing

KEPT_S = 60.0
KEPT_MAX = 10_000
_SHELF = sa.text("EXPLAIN (FORMAT JSON) SELECT FROM shelf WHERE kind = :kind AND shelf_id = :id").bindparams(
    sa.bindparam("kind", type_=sa.SmallInteger), sa.bindparam("id", type_=sa.Uuid())
)
_TRACKS = sa.text("EXPLAIN (FORMAT JSON) SELECT FROM track WHERE release_id = :id").bindparams(
    sa.bindparam("id", type_=sa.Uuid())
)


class ListSizes:
    """Estimates of one catalog."""

    def __init__(self) -> None:
        self._kept: TTLCache[tuple[Any, ...], int] = TTLCache(KEPT_MAX, KEPT_S)

    async def estimate(self, connection: AsyncConnection, listing: Listing) -> int:
        """About how many entries the list has, in any order."""
        key = (listing.kind, listing.filter, listing.filter_id)
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = await _planned_rows(connection, listing)
        return kept


async def _planned_rows(connection: AsyncConnection, listing: Listing) -> int:
    asked: dict[str, Any] = {"id": listing.shelf_id}
    if listing.filter is not Filter.RELEASE:
        asked["kind"] = int(listing.kind)
    plan = (await connection.execute(_TRACKS if listing.filter is Filter.RELEASE else _SHELF, asked)).scalar_one()
    plans = json.loads(plan) if isinstance(plan, str) else plan
    return int(plans[0]["Plan"]["Plan Rows"])
