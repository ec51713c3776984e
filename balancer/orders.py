"""The rendezvous order of each rendition, computed once per membership and remembered. Pure."""

from collections.abc import Iterator, Mapping, Sequence

from cachetools import LRUCache

from reprise import placement

ENTRIES_MAX = 50_000


class Orders:
    """Which edges a rendition prefers, region by region."""

    def __init__(self, entries_max: int = ENTRIES_MAX) -> None:
        self._members: dict[str, dict[str, int]] = {}
        self._known: LRUCache[tuple[str, str, str], tuple[str, ...]] = LRUCache(entries_max)

    def reset(self, members: Mapping[str, Mapping[str, int]]) -> None:
        """Takes a new membership: region -> edge id -> capacity. An edge is home to a share proportional to it."""
        self._members = {region: dict(edges) for region, edges in members.items()}
        self._known.clear()

    def of(self, rendition_id: str, region: str) -> Iterator[tuple[str, Sequence[str]]]:
        """(region, its edges in this rendition's order): `region` first, then the others.

        The others come in the rendition's own order too: what one region spills lands on all others, not on one.
        """
        if region in self._members:
            yield region, self._edges(rendition_id, region)
        else:
            yield region, ()
            region = ""  # what listeners make up must not fill the memory
        for other in self._other_regions(rendition_id, region):
            yield other, self._edges(rendition_id, other)

    def _edges(self, rendition_id: str, region: str) -> tuple[str, ...]:
        key = (rendition_id, "edges", region)
        if key not in self._known:
            self._known[key] = tuple(placement.rank_by_capacity(rendition_id, self._members[region]))
        return self._known[key]

    def _other_regions(self, rendition_id: str, region: str) -> tuple[str, ...]:
        key = (rendition_id, "regions", region)
        if key not in self._known:
            self._known[key] = tuple(placement.rank(rendition_id, (r for r in self._members if r != region)))
        return self._known[key]
