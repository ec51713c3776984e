"""What each edge is told of the others: where they are, and a relay grant for each."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from balancer.membership import Edge
from balancer.minting import RELAY_TTL_S, Mint

# Relay grants are renewed at half their life, so that an edge never holds one about to expire.
RELAY_RENEW_S = RELAY_TTL_S / 2


@dataclass(frozen=True, slots=True)
class Peer:
    """One edge in a view. `relay_grant` is empty for the edge that the view is for."""

    edge_id: str
    region: str
    grpc_address: str
    relay_grant: str
    draining: bool
    nic_capacity_bps: int


@dataclass(frozen=True, slots=True)
class View:
    """The live edges, as one edge is told."""

    epoch: int
    peers: tuple[Peer, ...]


class ViewWriter:
    """Writes the views of one edge. Grants are kept while young, so that a changed view costs only its new peers."""

    def __init__(self, edge_id: str, mint: Mint) -> None:
        self._edge_id = edge_id
        self._mint = mint
        self._grants: dict[str, tuple[str, float]] = {}
        # When a grant in the last view is to be replaced.
        self.renew_at = math.inf

    def write(self, epoch: int, edges: Iterable[Edge], now: float) -> View:
        """The view of `edges`, with grants that last half an hour at least."""
        peers = tuple(self._peer(edge, now) for edge in edges)
        named = {peer.edge_id for peer in peers}
        self._grants = {edge_id: kept for edge_id, kept in self._grants.items() if edge_id in named}
        self.renew_at = min((renew_at for _, renew_at in self._grants.values()), default=math.inf)
        return View(epoch, peers)

    def _peer(self, edge: Edge, now: float) -> Peer:
        identity = edge.identity
        grant = "" if identity.edge_id == self._edge_id else self._relay_grant(identity.edge_id, now)
        return Peer(
            edge_id=identity.edge_id,
            region=identity.region,
            grpc_address=identity.grpc_address,
            relay_grant=grant,
            draining=edge.draining,
            nic_capacity_bps=identity.nic_capacity_bps,
        )

    def _relay_grant(self, serving_edge_id: str, now: float) -> str:
        grant, renew_at = self._grants.get(serving_edge_id, ("", -math.inf))
        if now >= renew_at:
            grant = self._mint.relay(serving_edge_id, self._edge_id).grant
            self._grants[serving_edge_id] = (grant, now + RELAY_RENEW_S)
        return grant
