"""Who is home to a rendition: by rendezvous hashing as production does, or on a ring. Pure.

Edges relay what they lack from its home, so a rule that goes by hashes is given the homes that it hashes to; all others have
production's.
"""

from bisect import bisect
from collections.abc import Mapping
from hashlib import blake2b
from typing import Protocol

from reprise.placement import Members

VNODES = 160
# Nobody looks further down an order.
ORDER_MAX = 16


class Homes(Protocol):
    """The order of the edges for each rendition of one region; the first is its home."""

    def order(self, rendition_id: str) -> list[int]: ...


class Rendezvous:
    """Weighted by capacity."""

    def __init__(self, capacities_bps: Mapping[int, int]) -> None:
        self._members = Members({edge_name(edge): bps for edge, bps in capacities_bps.items()})
        self._known: dict[str, list[int]] = {}

    def order(self, rendition_id: str) -> list[int]:
        order = self._known.get(rendition_id)
        if order is None:
            order = [edge_number(name) for name in self._members.order(rendition_id, ORDER_MAX)]
            self._known[rendition_id] = order
        return order


class Ring:
    """Consistent hashing, as many points for each edge as its capacity has shares of the smallest one's."""

    def __init__(self, capacities_bps: Mapping[int, int]) -> None:
        least = min(capacities_bps.values(), default=1)
        points = sorted(
            (_hash(f"{edge_name(edge)}#{number}"), edge)
            for edge, bps in capacities_bps.items()
            for number in range(VNODES * bps // least)
        )
        self._points = [point for point, _ in points]
        self._edges = [edge for _, edge in points]
        self._order_max = min(ORDER_MAX, len(capacities_bps))
        self._known: dict[str, list[int]] = {}

    def order(self, rendition_id: str) -> list[int]:
        order = self._known.get(rendition_id)
        if order is None:
            order = self._known[rendition_id] = self._walk(_hash(rendition_id))
        return order

    def _walk(self, place: int) -> list[int]:
        order: list[int] = []
        at = bisect(self._points, place)
        while len(order) < self._order_max:
            edge = self._edges[at % len(self._edges)]
            if edge not in order:
                order.append(edge)
            at += 1
        return order


def edge_name(edge: int) -> str:
    """What the balancer calls an edge."""
    return f"edge-{edge}"


def edge_number(name: str) -> int:
    return int(name.removeprefix("edge-"))


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")
