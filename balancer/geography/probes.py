"""Where a listener can measure how near regions are: an edge of each. Pure.

Listeners are spread over a region's edges by their session. No probe is given where there is nothing to compare.
"""

import zlib
from dataclasses import dataclass

from balancer.geography.nearness import Nearness
from balancer.membership import State
from balancer.mesh import Mesh

REGIONS_MAX = 5
# Edges looked at for one that is ready: where four are not, the region is no good to measure.
TRIES_MAX = 4


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask for, and which region that measures."""

    region: str
    url: str


class Probes:
    """Knows the edges of each region as of the mesh's last view."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._edge_ids: dict[str, list[str]] = {}
        mesh.on_view(self._renew)

    def near(self, nearness: Nearness, session_id: str) -> tuple[Probe, ...]:
        """One of each of the nearest regions that have an edge to ask."""
        if len(self._edge_ids) < 2:
            return ()
        start = zlib.crc32(session_id.encode())
        found = (self._of(region, start) for region, _ in nearness.regions[:REGIONS_MAX])
        return tuple(probe for probe in found if probe is not None)

    def _of(self, region: str, start: int) -> Probe | None:
        edge_ids = self._edge_ids.get(region, [])
        for step in range(min(len(edge_ids), TRIES_MAX)):
            edge = self._mesh.edge(edge_ids[(start + step) % len(edge_ids)])
            if edge.state is State.READY and not edge.draining:
                return Probe(region, f"{edge.identity.http_url}/healthz")
        return None

    def _renew(self) -> None:
        self._edge_ids = {}
        for edge in self._mesh.alive():
            self._edge_ids.setdefault(edge.identity.region, []).append(edge.identity.edge_id)
