"""Which renditions are at home on an edge, so that the disks of a region hold a song once, not once per edge. Pure.

A rendition's home is the first of its rendezvous order over the region's live edges, ourselves included, weighted by their
NICs: where the balancer sends its listeners, and whom all other edges ask first (`sources`). What is at home elsewhere is a
*guest*: it stays in RAM for as long as listeners here want it, and when it is gone it comes from its home again, not from an
origin. So n edges hold nearly what one cache of n times the size would, and hot songs are still in the RAM of every edge that
is asked for them.

Invariants: edges that know the same members and capacities agree on one home; another membership moves only what was at home
on an edge that left, or is now on one that came; nothing is dropped for it. Before anybody has told us of others, everything
is at home.
"""

from collections.abc import Mapping

from cachetools import LRUCache

from reprise.placement import Members

RENDITIONS_MAX = 50_000


class Homes:
    """Answers for one edge. Remembers at most RENDITIONS_MAX answers."""

    def __init__(self) -> None:
        self._edge_id = ""
        self._members: dict[str, int] = {}
        self._order = Members({})
        self._known: LRUCache[str, bool] = LRUCache(RENDITIONS_MAX)

    def settle(self, edge_id: str, members: Mapping[str, int]) -> None:
        """We are `edge_id`; `members` are the edges of our region that live and do not drain, with us, and their capacities."""
        # Views come again with new grants and the same edges.
        if (edge_id, members) != (self._edge_id, self._members):
            self._edge_id, self._members = edge_id, dict(members)
            self._order = Members(members)
            self._known.clear()

    def here(self, rendition_id: str) -> bool:
        """Whether we are its home."""
        if len(self._members) <= 1:
            return True
        known = self._known.get(rendition_id)
        if known is None:
            home = self._order.order(rendition_id, 1)
            known = self._known[rendition_id] = home == [self._edge_id]
        return known
