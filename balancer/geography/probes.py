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
        # By region, each with the edge that it is at.
        self._probes: dict[str, list[tuple[str, Probe]]] = {}
        mesh.on_view(self._renew)

    def near(self, nearness: Nearness, session_id: str) -> tuple[Probe, ...]:
        """One of each of the nearest regions that have an edge to ask."""
        if len(self._probes) < 2:
            return ()
        start = zlib.crc32(session_id.encode())
        found = (self._of(region, start) for region, _ in nearness.regions[:REGIONS_MAX])
        return tuple(probe for probe in found if probe is not None)

    def _of(self, region: str, start: int) -> Probe | None:
        probes = self._probes.get(region, [])
        for step in range(min(len(probes), TRIES_MAX)):
            edge_id, probe = probes[(start + step) % len(probes)]
            edge = self._mesh.edge(edge_id)
            if edge.state is State.READY and not edge.draining:
                return probe
        return None

    def _renew(self) -> None:
        self._probes = {}
        for edge in self._mesh.alive():
            known = edge.identity
            probe = Probe(known.region, f"{known.http_url}/healthz")
            self._probes.setdefault(known.region, []).append((known.edge_id, probe))
