"""Purges of the last day, and which edges still owe them. Pure.

A purge must reach edges that were away when it was ordered: their disks would bring the song back. So each is remembered with
the edges that said it is done, and an edge owes what it has not confirmed, whichever balancer ordered it.

Invariants: a purge is owed by each edge that it is for until that edge confirms it or a day has passed; confirming or adding
one twice changes nothing; over PURGES_MAX the oldest is forgotten, and counted.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from reprise.errors import InvalidRequest
from reprise.ids import check_id, check_sha256

KEPT_S = 24 * 3600.0
PURGES_MAX = 1_000
# Of one purge: a hundred songs of a few renditions.
RENDITIONS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class PurgeOrder:
    """One purge as it was ordered. No `edge_ids` means every edge."""

    purge_id: str
    unix_s: float
    rendition_ids: tuple[str, ...]
    edge_ids: tuple[str, ...] = ()


def check_order(order: PurgeOrder) -> PurgeOrder:
    """Returns `order` when every field is usable; raises InvalidRequest that names the first that is not."""
    check_id(order.purge_id, "purge_id")
    if not math.isfinite(order.unix_s):
        raise InvalidRequest(f"a purge has a time, not {order.unix_s}")
    for edge_id in order.edge_ids:
        check_id(edge_id, "edge_id")
    if not 0 < len(order.rendition_ids) <= RENDITIONS_MAX:
        raise InvalidRequest(f"a purge has 1 to {RENDITIONS_MAX} renditions, not {len(order.rendition_ids)}")
    for rendition_id in order.rendition_ids:
        check_sha256(rendition_id, "rendition_id")
    return order


@dataclass(slots=True)
class _Kept:
    order: PurgeOrder
    done_by: set[str] = field(default_factory=set)

    def owed_by(self, edge_id: str) -> bool:
        return edge_id not in self.done_by and (not self.order.edge_ids or edge_id in self.order.edge_ids)


class PurgeLog:
    """Purges by id, oldest first."""

    def __init__(self, on_forgotten: Callable[[], None], purges_max: int = PURGES_MAX) -> None:
        """`on_forgotten` is called for each purge that had to make room."""
        self._on_forgotten = on_forgotten
        self._purges_max = purges_max
        self._kept: dict[str, _Kept] = {}
        # Grows with every purge: an edge that owed nothing at this revision owes nothing until the next.
        self.revision = 0

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, order: PurgeOrder, unix_s: float) -> bool:
        """Remembers a purge; False when it is known or older than a day. A clock ahead of ours makes none last longer."""
        if order.purge_id in self._kept or order.unix_s <= unix_s - KEPT_S:
            return False
        self._kept[order.purge_id] = _Kept(replace(order, unix_s=min(order.unix_s, unix_s)))
        self.revision += 1
        if len(self._kept) > self._purges_max:
            del self._kept[min(self._kept, key=lambda purge_id: self._kept[purge_id].order.unix_s)]
            self._on_forgotten()
        return True

    def done(self, purge_id: str, edge_id: str) -> None:
        """The edge confirmed it."""
        if purge_id in self._kept:
            self._kept[purge_id].done_by.add(edge_id)

    def owed(self, edge_id: str, unix_s: float) -> list[PurgeOrder]:
        """What the edge has to drop, oldest first, as much of it as one command carries."""
        owed: list[PurgeOrder] = []
        room = RENDITIONS_MAX
        for kept in self._kept.values():
            if kept.order.unix_s > unix_s - KEPT_S and kept.owed_by(edge_id):
                room -= len(kept.order.rendition_ids)
                if room < 0:
                    break
                owed.append(kept.order)
        return owed

    def expire(self, unix_s: float) -> None:
        """Forgets what is older than a day."""
        for purge_id in [p for p, kept in self._kept.items() if kept.order.unix_s <= unix_s - KEPT_S]:
            del self._kept[purge_id]
