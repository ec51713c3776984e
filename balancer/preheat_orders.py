"""Operators' preheats: now, or in time for a moment."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from balancer.calendar import Calendar
from balancer.commands import Answer
from balancer.preheat import Preheater
from balancer.preheat_plan import EDGES_PER_REGION, Wish
from balancer.song_lookup import SongLookup
from reprise.errors import InvalidRequest, NotFound

SONGS_MAX = 1000
AHEAD_S_MAX = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class PreheatOrder:
    """What an operator asks for; no regions are all, moment 0 is now, 0 edges are as many as a release needs."""

    song_ids: tuple[str, ...]
    regions: tuple[str, ...]
    at_unix_ms: int
    whole: bool
    edges_per_region: int


@dataclass(frozen=True, slots=True)
class Ordered:
    """What the edges answered, or when it will begin."""

    answers: Sequence[Answer]
    begins_unix_ms: int = 0


class PreheatOrders:
    """Takes orders; callers have been checked already."""

    def __init__(
        self, lookup: SongLookup, preheater: Preheater, calendar: Calendar, unix_s: Callable[[], float]
    ) -> None:
        self._lookup = lookup
        self._preheater = preheater
        self._calendar = calendar
        self._unix_s = unix_s

    async def order(self, wanted: PreheatOrder) -> Ordered:
        """Carries it out or remembers it. Raises InvalidRequest, NotFound, QuotaExceeded, Unavailable (the catalog)."""
        at_unix_s = wanted.at_unix_ms / 1000
        if not 0 <= at_unix_s <= self._unix_s() + AHEAD_S_MAX:
            raise InvalidRequest(f"release_unix_ms {wanted.at_unix_ms} is negative or over 30 days away")
        known = self._preheater.members()
        for region in wanted.regions:
            if region not in known:
                raise NotFound(f"no edge is alive in region {region!r}: there are {', '.join(sorted(known)) or 'none'}")
        renditions = await self._lookup.renditions(wanted.song_ids, SONGS_MAX)
        wish = Wish(
            name=f"{len(wanted.song_ids)} songs for an operator",
            renditions=renditions,
            at_unix_s=at_unix_s,
            regions=wanted.regions,
            whole=wanted.whole,
            edges_per_region=wanted.edges_per_region or EDGES_PER_REGION,
        )
        begins_unix_s = self._calendar.order(wish)
        if begins_unix_s:
            return Ordered((), int(begins_unix_s * 1000))
        return Ordered(await self._preheater.run(wish))
