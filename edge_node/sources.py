"""From whom a fill reads, in order. Pure.

A miss goes to the region's home edge, which relays its own fill while it runs, so one origin read feeds every edge of the
region. If the home is dead or slow, the next edge in hash order takes its place for everyone alike; then the origins. A relay
request is never relayed again (hop limit one), so two edges with different views of the mesh cannot wait for each other.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from reprise.placement import rank

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


def live_ids(peers: Iterable[Peer]) -> list[str]:
    """Those among whom homes are shared out."""
    return [peer.edge_id for peer in peers if not peer.draining]


def order(rendition_id: str, self_id: str, peers: list[Peer], origins: tuple[str, ...], hops: int) -> list[Source]:
    """Sources for a fill of `rendition_id` on `self_id`. `peers` are the live edges of the region without ourselves."""
    sources: list[Source] = []
    if hops < HOPS_MAX:
        known = {peer.edge_id: peer for peer in peers}
        for edge_id in rank(rendition_id, [*live_ids(peers), self_id])[:PEERS_MAX]:
            # Whoever stands behind us in the order asks us, so asking them would be a circle.
            if edge_id == self_id:
                break
            sources.append(PeerSource(edge_id, known[edge_id].address, known[edge_id].grant))
    # All edges ask the same origin first, so that it can coalesce regions too.
    sources += [OriginSource(address) for address in rank(rendition_id, origins)]
    return sources
