"""The mesh as the pick sees it, kept edge by edge, so that a route costs the few edges it looks at. Pure.

Invariant: a region's mean is over its vouched edges, exactly those that may take work. An edge that ramps counts in it by its
ramp, so that one that may not take much yet does not make the others look crowded, and some edge of a region is always within
its cap while the mean is below the ceiling.
"""

from collections.abc import Collection
from dataclasses import dataclass

from balancer.policy import DEFAULT, Policy


@dataclass(slots=True)
class Standing:
    """One edge that is neither draining nor dead. Replaced, never changed.

    `vouched`: its reports come and nobody's listeners say otherwise. `old`: its last report is not fresh.
    """

    edge_id: str
    region: str
    utilisation: float
    full: bool = False
    vouched: bool = True
    old: bool = False
    # The part of the utilisation that its own listeners make.
    committed: float = 0.0
    # The part of it that is not the NIC's.
    strain: float = 0.0
    ramp: float = 1.0
    zone: str = ""
    capacity_bps: int = 1
    first_byte_ms: int = 0


class Region:
    """One region's standings and what they add up to."""

    def __init__(self, name: str, policy: Policy) -> None:
        self.name = name
        self.edges: dict[str, Standing] = {}
        self.vouched = 0
        self.full = 0
        self._policy = policy
        self._forget_sums()

    @property
    def mean(self) -> float:
        """The mean utilisation, as if no edge ramped."""
        return self._used / self._ramps if self.vouched else 0.0

    @property
    def bound(self) -> float:
        """The utilisation above which an edge of this region is crowded; a ramping one already above its part of that."""
        policy = self._policy
        return min(max(policy.bound_floor, policy.bound_slack * self.mean), policy.bound_ceiling)

    @property
    def load(self) -> float:
        """The region's utilisation as a whole, larger edges counting for more; without an edge it is over."""
        return self._used_bps / self._capacity_bps if self.vouched else float("inf")

    @property
    def in_panic(self) -> bool:
        """Too few of its edges are in order."""
        return self.vouched < self._policy.panic_below * len(self.edges)

    @property
    def is_exhausted(self) -> bool:
        """So many of its edges are full that what the others have left is needed for their own songs."""
        return self.full >= self._policy.exhausted_from * self.vouched

    def free_bps(self, load_max: float) -> float:
        """What is left of its capacity below this load."""
        return max(0.0, load_max * self._capacity_bps - self._used_bps)

    def is_roomy(self, edge: Standing, bound: float) -> bool:
        """Whether the edge may take one more without being crowded."""
        if edge.full or not edge.vouched:
            return False
        used = edge.utilisation
        if edge.old:  # old news is not good news
            used = max(used, self.mean + self._policy.old_report_more)
        return used <= bound * edge.ramp

    def is_roomy_home(self, edge: Standing, bound: float) -> bool:
        """Whether the edge may take one more of a song that hardly anybody else hears, and that it is home to.

        Sent elsewhere the song would be relayed from here, byte for byte: the edge would not be relieved, look the more
        crowded, and send its next song away too, until a loaded region does little but relay. So only an edge that is full
        or out of breath sends such songs away.
        """
        if edge.full or not edge.vouched or edge.old:
            return self.is_roomy(edge, bound)
        return edge.committed <= edge.ramp and edge.strain <= self._policy.bound_ceiling

    def put(self, edge: Standing) -> None:
        self.edges[edge.edge_id] = edge
        if edge.vouched:
            self._add(edge, 1)

    def drop(self, edge: Standing) -> None:
        del self.edges[edge.edge_id]
        if edge.vouched:
            self._add(edge, -1)
        if self.vouched == 0:
            self._forget_sums()  # which drift a little

    def _add(self, edge: Standing, sign: int) -> None:
        self.vouched += sign
        self.full += sign * edge.full
        self._used += sign * edge.utilisation
        self._ramps += sign * edge.ramp
        self._used_bps += sign * edge.utilisation * edge.capacity_bps
        self._capacity_bps += sign * edge.ramp * edge.capacity_bps

    def _forget_sums(self) -> None:
        self._used = self._ramps = self._used_bps = self._capacity_bps = 0.0


class Standings:
    """Standings by edge, with each region's sums kept as they change."""

    def __init__(self, policy: Policy = DEFAULT) -> None:
        self._policy = policy
        self._standings: dict[str, Standing] = {}
        self._regions: dict[str, Region] = {}

    @property
    def vouched_count(self) -> int:
        return sum(region.vouched for region in self._regions.values())

    def of(self, edge_id: str) -> Standing | None:
        return self._standings.get(edge_id)

    def region(self, name: str) -> Region | None:
        return self._regions.get(name)

    def regions(self) -> Collection[Region]:
        """Those that have an edge."""
        return self._regions.values()

    def put(self, standing: Standing) -> None:
        """Adds the edge, or replaces what is known of it."""
        self.drop(standing.edge_id)
        self._standings[standing.edge_id] = standing
        region = self._regions.get(standing.region)
        if region is None:
            region = self._regions[standing.region] = Region(standing.region, self._policy)
        region.put(standing)

    def drop(self, edge_id: str) -> None:
        """Forgets the edge, if it is known."""
        old = self._standings.pop(edge_id, None)
        if old is None:
            return
        region = self._regions[old.region]
        region.drop(old)
        if not region.edges:
            del self._regions[old.region]
