"""The mesh as the ranking sees it, kept edge by edge, so that a route costs the few edges it looks at. Pure.

Invariant: a region's mean is over its vouched edges, exactly those that may take work.
"""

from dataclasses import dataclass

# An edge above SLACK times its region's mean is skipped. Below FLOOR nobody is crowded, whatever the mean, so that an idle
# mesh keeps each song at home; above CEILING everybody is.
BOUND_SLACK = 1.25
BOUND_FLOOR = 0.35
BOUND_CEILING = 0.92


@dataclass(frozen=True, slots=True)
class Standing:
    """One edge that is neither draining nor dead. `vouched`: its reports are fresh."""

    edge_id: str
    region: str
    utilisation: float
    full: bool = False
    vouched: bool = True


@dataclass(slots=True)
class _Region:
    vouched: int = 0
    utilisation_sum: float = 0.0


class Standings:
    """Standings by edge, with each region's mean kept as they change."""

    def __init__(self) -> None:
        self._standings: dict[str, Standing] = {}
        self._regions: dict[str, _Region] = {}
        self.vouched_count = 0

    def of(self, edge_id: str) -> Standing | None:
        return self._standings.get(edge_id)

    def put(self, standing: Standing) -> None:
        """Adds the edge, or replaces what is known of it."""
        self.drop(standing.edge_id)
        self._standings[standing.edge_id] = standing
        if standing.vouched:
            region = self._regions.setdefault(standing.region, _Region())
            region.vouched += 1
            region.utilisation_sum += standing.utilisation
            self.vouched_count += 1

    def drop(self, edge_id: str) -> None:
        """Forgets the edge, if it is known."""
        old = self._standings.pop(edge_id, None)
        if old is None or not old.vouched:
            return
        self.vouched_count -= 1
        region = self._regions[old.region]
        region.vouched -= 1
        region.utilisation_sum -= old.utilisation
        if region.vouched == 0:
            del self._regions[old.region]  # also ends the drift of the running sum

    def bound(self, region_id: str) -> float:
        """The utilisation above which an edge of this region is crowded."""
        region = self._regions.get(region_id)
        mean = region.utilisation_sum / region.vouched if region else 0.0
        return min(max(BOUND_FLOOR, BOUND_SLACK * mean), BOUND_CEILING)
