"""The rendezvous order of each rendition in each region, remembered until the region's weights change. Pure.

A weight is an edge's capacity times its ramp. While nobody ramps the order is the one that edges compute for themselves to find
a song's home (`reprise.placement`).

Invariant: a change of one edge's weight moves only what it gains or loses.
"""

from collections.abc import Mapping, Sequence

from cachetools import LRUCache

from reprise.placement import Members

ENTRIES_MAX = 50_000
# How much of an order is kept: more than this many crowded edges in a row are a region without room.
LENGTH = 16


class Orders:
    """Which edges a rendition prefers, in each region."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._weights: dict[str, dict[str, float]] = {}
        self._members: dict[str, Members] = {}
        self._known: LRUCache[tuple[str, str], tuple[Members, tuple[str, ...]]] = LRUCache(entries_max)

    def weigh(self, region: str, weights: Mapping[str, float]) -> None:
        """Takes the weights of a region's edges; without any the region is gone."""
        if self._weights.get(region, {}) == weights:
            return
        if weights:
            self._weights[region] = dict(weights)
            self._members[region] = Members(weights)
        else:
            del self._weights[region], self._members[region]

    def regions(self) -> list[str]:
        return list(self._weights)

    def of(self, rendition_id: str, region: str, count: int = LENGTH) -> Sequence[str]:
        """At least the first `count` of the region's edges; the same object until the order changes or more is asked for."""
        members = self._members.get(region)
        if members is None:
            return ()  # nor is it remembered: what listeners make up must not fill the memory
        key = (rendition_id, region)
        known = self._known.get(key)
        if known is not None and known[0] is members and len(known[1]) >= min(count, len(members)):
            return known[1]
        order = tuple(members.order(rendition_id, max(count, LENGTH)))
        self._known[key] = (members, order)
        return order
