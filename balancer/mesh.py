"""All that one balancer knows, changed by one synchronous call at a time. No I/O, no clock: `now` is monotonic seconds.

Ties membership, ledger, standings and orders together so that they never disagree between two calls: an edge has a standing
exactly while it may be picked, and the orders are those of the current epoch.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from balancer import scoring
from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.ledger import Ledger, Pending
from balancer.membership import Edge, Membership, State
from balancer.orders import Orders
from balancer.scoring import Pick
from balancer.standings import Standing, Standings

IDLE = EdgeLoad(sequence=0)


@dataclass(frozen=True, slots=True)
class EdgeView:
    """One edge for operators."""

    identity: EdgeIdentity
    state: State
    draining: bool
    load: EdgeLoad | None
    report_age_s: float
    utilisation: float
    pending: Pending


class Mesh:
    """Edges, what they carry, and which of them a rendition should go to."""

    def __init__(self, epoch: int, now: float) -> None:
        self._members = Membership(epoch, now)
        self._ledger = Ledger()
        self._standings = Standings()
        self._orders = Orders()
        self._epoch_of_orders = epoch
        self._on_view: list[Callable[[], None]] = []

    @property
    def epoch(self) -> int:
        return self._members.epoch

    @property
    def vouched_count(self) -> int:
        """Edges that may take listeners now."""
        return self._standings.vouched_count

    @property
    def pending_count(self) -> int:
        return self._ledger.grants

    def on_view(self, call: Callable[[], None]) -> None:
        """Has `call` called after every change of the epoch."""
        self._on_view.append(call)

    def edge(self, edge_id: str) -> Edge:
        """The edge, or NotFound."""
        return self._members.edge(edge_id)

    def alive(self) -> list[Edge]:
        """The edges that the mesh view names."""
        return self._members.alive()

    def edges(self) -> Iterator[Edge]:
        """Every edge, the dead of the last ten minutes included."""
        return iter(self._members)

    def ready(self) -> list[EdgeIdentity]:
        """The edges whose reports are fresh."""
        return [edge.identity for edge in self._members if edge.state is State.READY]

    def states(self) -> list[State]:
        return [edge.state for edge in self._members]

    def hello(self, identity: EdgeIdentity, now: float) -> int:
        """An edge opened a report stream; returns the stream's number."""
        old = self._members.get(identity.edge_id)
        if old is not None and old.identity.boot_id != identity.boot_id:
            self._ledger.clear(identity.edge_id)
        stream = self._members.hello(identity, now)
        self._settle(identity.edge_id)
        return stream

    def report(self, edge_id: str, stream: int, load: EdgeLoad, now: float) -> bool:
        """Takes a report; False when it is not from the edge's newest stream."""
        taken = self._members.report(edge_id, stream, load, now)
        if taken:
            self._ledger.retire(edge_id, load.seen_grant_ids)
            self._settle(edge_id)
        return taken

    def lost(self, edge_id: str, stream: int, now: float) -> None:
        """A report stream ended."""
        self._members.lost(edge_id, stream, now)
        self._settle(edge_id)

    def restore(self, identity: EdgeIdentity, now: float) -> None:
        """An edge that was known before this balancer started."""
        self._members.restore(identity, now)
        self._settle(identity.edge_id)

    def tick(self, now: float) -> list[EdgeIdentity]:
        """To be called every 0.1 s or so; returns the edges to probe now, each to be answered by `probed`."""
        before = {edge.identity.edge_id: edge.state for edge in self._members}
        due = [edge.identity for edge in self._members.tick(now)]
        for edge_id, state in before.items():
            edge = self._members.get(edge_id)
            if edge is None or edge.state is not state:
                self._settle(edge_id)
        self._expire(now)
        return due

    def probed(self, identity: EdgeIdentity, *, answered: bool, now: float) -> None:
        """The outcome of a probe."""
        self._members.probed(identity.edge_id, identity.boot_id, answered=answered, now=now)
        self._settle(identity.edge_id)

    def rank(self, rendition_id: str, region: str, failed: frozenset[str], now: float) -> list[Pick]:
        """Candidates for a rendition, best first; empty when there is none."""
        self._expire(now)
        return scoring.rank(self._orders.of(rendition_id, region), self._standings, failed)

    def assign(self, edge_id: str, grant_id: str, bitrate_bps: int, now: float) -> None:
        """A grant for this edge was given to a listener as the first choice."""
        self._ledger.add(edge_id, grant_id, bitrate_bps, now)
        self._settle(edge_id)

    def views(self, now: float) -> list[EdgeView]:
        """Every edge, the dead of the last ten minutes included."""
        return [self._view(edge, now) for edge in self._members]

    def _view(self, edge: Edge, now: float) -> EdgeView:
        pending = self._ledger.of(edge.identity.edge_id)
        used = scoring.utilisation(edge.identity, edge.load or IDLE, pending)
        return EdgeView(edge.identity, edge.state, edge.draining, edge.load, now - edge.heard_at, used, pending)

    def _expire(self, now: float) -> None:
        for edge_id in self._ledger.expire(now):
            self._settle(edge_id)

    def _settle(self, edge_id: str) -> None:
        """Brings standing and orders of one edge in line after anything about it changed."""
        edge = self._members.get(edge_id)
        if edge is None or edge.state is State.DEAD:
            self._ledger.clear(edge_id)
        if edge is None or edge.state is State.DEAD or edge.draining:
            self._standings.drop(edge_id)
        else:
            self._standings.put(self._standing(edge))
        if self.epoch != self._epoch_of_orders:
            self._epoch_of_orders = self.epoch
            self._orders.reset(self._capacities())
            for call in self._on_view:
                call()

    def _standing(self, edge: Edge) -> Standing:
        identity, load = edge.identity, edge.load or IDLE
        pending = self._ledger.of(identity.edge_id)
        return Standing(
            edge_id=identity.edge_id,
            region=identity.region,
            utilisation=scoring.utilisation(identity, load, pending),
            full=scoring.is_full(identity, load),
            vouched=edge.state is State.READY,
        )

    def _capacities(self) -> dict[str, dict[str, int]]:
        """Region -> edge -> capacity. A suspect keeps its place, so that a short absence moves no song."""
        capacities: dict[str, dict[str, int]] = {}
        for edge in self.alive():
            if not edge.draining:
                identity = edge.identity
                capacities.setdefault(identity.region, {})[identity.edge_id] = identity.nic_capacity_bps
        return capacities
