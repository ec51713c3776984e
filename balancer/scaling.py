"""How many edges each region should have for its load. Pure: it says a number, others start and stop machines.

    desired = max(1,
                  ceil((committed + expected) / (capacity of an edge x 0.60)),     bandwidth
                  ceil((streams + pending) / (stream limit of an edge x 0.70)),    streams
                  n + 1 where the 90th percentile of utilisation was 0.80 or more for 15 s)  imbalance

`expected` are the pending grants at the mean bit rate of the live streams. 0.60 leaves room to lose a fifth of the edges with
the busiest a quarter above the mean: 0.9 x 0.8 / 1.25 = 0.58. The last row is what a mean cannot see: a few hot edges;
it waits, because loop lag and CPU are utilisation too, and jump.

Invariants: more edges are asked for at once, fewer only when every look of the last 300 s would do with fewer; a region none
of whose edges reports keeps its number, because no figures are not a small load.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

BANDWIDTH_SHARE = 0.60
STREAMS_SHARE = 0.70
CROWDED_P90 = 0.80
CROWDED_S = 15.0
SCALE_IN_AFTER_S = 300.0
REGIONS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class RegionFigures:
    """One region's ready edges, added up."""

    region: str
    # One for each ready edge, ascending.
    utilisations: tuple[float, ...]
    active_streams: int
    stream_limit: int
    pending_grants: int
    committed_bps: int
    capacity_bps: int

    @property
    def edges_ready(self) -> int:
        return len(self.utilisations)

    @property
    def mean(self) -> float:
        return sum(self.utilisations) / len(self.utilisations) if self.utilisations else 0.0

    @property
    def p90(self) -> float:
        """By the nearest rank: of fewer than ten edges it is the busiest."""
        return self.utilisations[math.ceil(0.9 * len(self.utilisations)) - 1] if self.utilisations else 0.0

    @property
    def busiest(self) -> float:
        return self.utilisations[-1] if self.utilisations else 0.0


@dataclass(frozen=True, slots=True, order=True)
class Desired:
    """A number of edges, and which row of the formula gave it."""

    edges: int
    reason: str


NONE_KNOWN = Desired(1, "idle")


def desired(figures: RegionFigures, crowded_s: float) -> Desired:
    """What this one look asks for; at least one edge is ready in it. `crowded_s`: for how long its 90th percentile was high."""
    ready = figures.edges_ready
    bps_each = figures.committed_bps / figures.active_streams if figures.active_streams else 0.0
    expected_bps = figures.committed_bps + bps_each * figures.pending_grants
    streams = figures.active_streams + figures.pending_grants
    rows = (
        Desired(_ceil(expected_bps, figures.capacity_bps / ready * BANDWIDTH_SHARE), "bandwidth"),
        Desired(_ceil(streams, figures.stream_limit / ready * STREAMS_SHARE), "streams"),
        Desired(ready + 1 if crowded_s >= CROWDED_S else 0, "imbalance"),
    )
    most = max(rows, key=lambda row: row.edges)
    return most if most.edges > 1 else NONE_KNOWN


def _ceil(load: float, share_of_an_edge: float) -> int:
    return math.ceil(load / share_of_an_edge) if share_of_an_edge > 0 else 0


class Scaling:
    """The numbers of all regions over time: each is the highest of the last 300 s."""

    def __init__(self) -> None:
        # Looks that may still be the highest: each is higher than all after it.
        self._looks: dict[str, deque[tuple[float, Desired]]] = {}
        self._crowded_since: dict[str, float] = {}

    def of(self, region: str) -> Desired:
        looks = self._looks.get(region)
        return looks[0][1] if looks else NONE_KNOWN

    def look(self, regions: Sequence[RegionFigures], now: float) -> None:
        """Takes the figures of all regions that have edges, dead ones included; forgets the others."""
        named = {figures.region for figures in regions[:REGIONS_MAX]}
        self._looks = {region: looks for region, looks in self._looks.items() if region in named}
        crowded = {figures.region for figures in regions[:REGIONS_MAX] if figures.p90 >= CROWDED_P90}
        self._crowded_since = {region: self._crowded_since.get(region, now) for region in crowded}
        for figures in regions[:REGIONS_MAX]:
            if figures.edges_ready:
                crowded_s = now - self._crowded_since.get(figures.region, now)
                self._take(self._looks.setdefault(figures.region, deque()), desired(figures, crowded_s), now)

    def _take(self, looks: deque[tuple[float, Desired]], new: Desired, now: float) -> None:
        while looks and looks[-1][1].edges <= new.edges:
            looks.pop()
        looks.append((now, new))
        while looks[0][0] <= now - SCALE_IN_AFTER_S:
            looks.popleft()
