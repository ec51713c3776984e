"""From whom a fill reads, in order. Pure.

A miss goes to the region's home edge, which relays its own fill while it runs, so one origin read feeds every edge of the
region. If the home is dead or slow, the next edge in hash order takes its place for everyone alike; then the origins. A relay
request is never relayed again (hop limit one), so two edges with different views of the mesh cannot wait for each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from reprise.placement import rank, rank_by_capacity

HOPS_MAX = 1
PEERS_MAX = 2


@dataclass(frozen=True, slots=True)
class PeerSource:
    """Another edge; `grant` lets us relay from it."""

    edge_id: str
    address: str
    grant: str


@dataclass(frozen=True, slots=True)
class OriginSource:
    """An origin."""

    address: str


Source = PeerSource | OriginSource


@dataclass(frozen=True, slots=True)
class Peer:
    """An edge of our region as the balancer's view names it."""

    edge_id: str
    address: str
    grant: str
    draining: bool = False
    # 0 when the balancer does not tell.
    nic_capacity_bps: int = 0


@dataclass(frozen=True, slots=True)
class Own:
    """What an edge knows of itself without a balancer."""

    edge_id: str
    nic_capacity_bps: int


def members(own: Own, peers: Iterable[Peer]) -> dict[str, int]:
    """The edges among whom homes are shared out, ourselves included, with their capacities: what the balancer ranks."""
    return {own.edge_id: own.nic_capacity_bps} | {p.edge_id: p.nic_capacity_bps for p in peers if not p.draining}


def order(rendition_id: str, own: Own, peers: list[Peer], origins: tuple[str, ...], hops: int) -> list[Source]:
    """Sources for a fill of `rendition_id` on ourselves. `peers` are the live edges of the region without us."""
    sources: list[Source] = []
    if hops < HOPS_MAX:
        known = {peer.edge_id: peer for peer in peers}
        for edge_id in rank_by_capacity(rendition_id, members(own, peers))[:PEERS_MAX]:
            # Whoever stands behind us in the order asks us, so asking them would be a circle.
            if edge_id == own.edge_id:
                break
            sources.append(PeerSource(edge_id, known[edge_id].address, known[edge_id].grant))
    # All edges ask the same origin first, so that it can coalesce regions too.
    sources += [OriginSource(address) for address in rank(rendition_id, origins)]
    return sources
