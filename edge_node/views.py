"""What several balancers say of our region's edges, as one view. Pure.

Balancers do not talk to each other. One that has just started has heard of few edges, and one with a broken network misses
some; if the latest word counted, songs would change their homes with each word. So an edge is there while any balancer says so:
a peer that is gone costs one failed read, one that is wrongly missed has its songs read from the origin again.

Invariants: the view has every peer that a balancer on an open line named last, and no other; after the last line it stays.
"""

from dataclasses import dataclass, replace

from edge_node.sources import Peer


@dataclass(frozen=True, slots=True)
class View:
    """The live edges of our region without ourselves, as balancers last told us."""

    epoch: int = 0
    peers: tuple[Peer, ...] = ()


class Views:
    """The last word of each balancer, by its address."""

    def __init__(self) -> None:
        self._said: dict[str, View] = {}
        self._broken: set[str] = set()

    def said(self, balancer: str, view: View) -> View:
        """A balancer's word on an open line; returns what now holds."""
        self._broken.discard(balancer)
        for gone in self._broken:
            self._said.pop(gone, None)
        self._broken.clear()
        self._said[balancer] = view
        return self._merged()

    def lost(self, balancer: str) -> View:
        """A line broke; returns what now holds."""
        if len(self._said) > 1:
            self._said.pop(balancer, None)
        elif balancer in self._said:
            self._broken.add(balancer)
        return self._merged()

    def _merged(self) -> View:
        peers: dict[str, Peer] = {}
        for view in self._said.values():
            for peer in view.peers:
                known = peers.get(peer.edge_id, peer)
                peers[peer.edge_id] = replace(peer, draining=peer.draining or known.draining)
        in_order = tuple(peers[edge_id] for edge_id in sorted(peers))
        return View(max((view.epoch for view in self._said.values()), default=0), in_order)
