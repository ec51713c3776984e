"""All that one balancer knows, changed by one synchronous call at a time. No I/O, no clock: `now` is monotonic seconds.

Ties membership, ledger, standings, orders and replica sets together so that they never disagree between two calls: an edge has
a standing exactly while it may be picked, and the orders are those of the current epoch and its ramps, or in a large mesh
those of a tenth of a second before.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.ejection import Ejections
from balancer.ledger import Ledger, Pending
from balancer.membership import Edge, Membership, State
from balancer.orders import Orders
from balancer.picking import Pick, Picker, Play, Rng
from balancer.policy import DEFAULT, Policy
from balancer.ramp import Ramps, weights
from balancer.replicas import Prefill, Replicas
from balancer.standings import Standing, Standings
from balancer.utilisation import committed, is_full, strain, utilisation

IDLE = EdgeLoad(sequence=0)
# How often what changes by itself is looked at: ramps, the age of reports, replica sets that shrink.
LOOK_S = 1.0
# A mesh of more edges gathers changes of who is alive for so long before it weighs all again: after a restart of the balancer
# every edge is a change, and each would cost a look at all others.
AT_ONCE_MAX, GATHER_S = 64, 0.1


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
    ramp: float
    # For how long listeners' reports keep it out of routing; 0 when they do not.
    ejected_s: float = 0.0


@dataclass(frozen=True, slots=True)
class RegionLoad:
    """One region as the pick sees it."""

    region: str
    load: float
    # Of new sessions, the part that is sent elsewhere.
    spill_share: float
    panic: bool


class Mesh:
    """Edges, what they carry, and which of them a rendition should go to."""

    def __init__(self, epoch: int, now: float, rng: Rng, policy: Policy = DEFAULT) -> None:
        self._policy = policy
        self._members = Membership(epoch, now)
        self._standings = Standings(policy)
        self._orders = Orders()
        self._replicas = Replicas(self._orders, self._zone_of, policy)
        self._picker = Picker(self._standings, self._orders, self._replicas, rng, policy)
        self._ejections = Ejections()
        self._ramps = Ramps(now, policy)
        self._ramp: dict[str, float] = {}
        self._epoch_of_orders = epoch
        self._reshaped_at = self._looked_at = now
        # Orders and ramps are not those of the current epoch yet.
        self._stale = False
        self._on_view: list[Callable[[], None]] = []
        self.ledger = Ledger(policy.pending_s, policy.start_burst)

    @property
    def epoch(self) -> int:
        return self._members.epoch

    @property
    def vouched_count(self) -> int:
        """Edges that may take listeners now."""
        return self._standings.vouched_count

    @property
    def patience_s(self) -> float:
        """How much longer than usual edges may take to answer a probe, because this balancer itself is late."""
        return self._members.patience_s

    @property
    def doubting(self) -> bool:
        """Whether edges would count as dead if this balancer did not doubt itself."""
        return self._members.doubting

    @property
    def ejections(self) -> Ejections:
        """For those who count."""
        return self._ejections

    @property
    def replicas(self) -> Replicas:
        """For those who count."""
        return self._replicas

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
            self._forget_load(identity.edge_id)
        stream = self._members.hello(identity, now)
        self._ramps.saw(identity.edge_id, identity.boot_id, now)
        self._settle(identity.edge_id, now)
        return stream

    def report(self, edge_id: str, stream: int, load: EdgeLoad, now: float) -> bool:
        """Takes a report; False when it is not from the edge's newest stream."""
        taken = self._members.report(edge_id, stream, load, now)
        if taken:
            self.ledger.saw(edge_id, load.seen_grant_ids, now)
            self._ejections.note_counts(edge_id, load.started_plays, load.failed_plays, now)
            self._settle(edge_id, now)
            self._replicas.heard(edge_id, self.edge(edge_id).identity.region, load.heat, now)
        return taken

    def lost(self, edge_id: str, stream: int, now: float) -> None:
        """A report stream ended."""
        self._members.lost(edge_id, stream, now)
        self._settle(edge_id, now)

    def restore(self, identity: EdgeIdentity, now: float) -> None:
        """An edge that was known before this balancer started."""
        self._members.restore(identity, now)
        self._ramps.knew(identity.edge_id, identity.boot_id)
        self._settle(identity.edge_id, now)

    def tick(self, now: float, lag_s: float = 0.0) -> list[EdgeIdentity]:
        """To be called every 0.1 s or so; returns the edges to probe now, each to be answered by `probed`.

        `lag_s` is how late this call comes.
        """
        before = {edge.identity.edge_id: edge.state for edge in self._members}
        due = [edge.identity for edge in self._members.tick(now, lag_s)]
        for edge_id, state in before.items():
            edge = self._members.get(edge_id)
            if edge is None or edge.state is not state:
                self._settle(edge_id, now)
        for edge_id in self._ejections.tick(now):
            self._settle(edge_id, now)
        self._expire(now)
        if now - self._looked_at >= LOOK_S:
            self._looked_at = now
            self._reshape(now)
            self._replicas.tick(now)
        elif self._stale:
            self._reshape(now)
        return due

    def probed(self, identity: EdgeIdentity, *, answered: bool, now: float) -> None:
        """The outcome of a probe."""
        self._members.probed(identity.edge_id, identity.boot_id, answered=answered, now=now)
        self._settle(identity.edge_id, now)

    def pick(self, play: Play, now: float) -> list[Pick]:
        """At most three candidates, best first; empty when no edge can take the listener."""
        self._expire(now)
        return self._picker.pick(play, now)

    def keeps(self, edge_id: str) -> bool:
        """Whether listeners who hear a song from this edge should go on there; no edge "" keeps anybody."""
        standing = self._standings.of(edge_id)
        return standing is not None and standing.vouched and not standing.full

    def assign(self, edge_id: str, rendition_id: str, grant_id: str, bitrate_bps: int, now: float) -> None:
        """A grant for this edge was given to a listener as the first choice."""
        self.ledger.add(edge_id, grant_id, bitrate_bps, now)
        self._settle(edge_id, now)
        edge = self._members.get(edge_id)
        if edge is not None:
            region = edge.identity.region
            self._replicas.assigned(edge_id, rendition_id, region, bitrate_bps, self.ledger.balancers, now)

    def note_play(
        self, edge_id: str, session_id: str, ok: bool, now: float, *, grant_id: str = "", bitrate_bps: int = 0
    ) -> None:
        """What a listener says of a play on an edge. A failed one counts as load for a while, and may eject the edge."""
        self._ejections.note_play(edge_id, session_id, ok=ok, now=now)
        edge = self._members.get(edge_id)
        if not ok and grant_id and edge is not None and edge.state is not State.DEAD:
            self.ledger.failed(edge_id, grant_id, bitrate_bps, now)
            self._settle(edge_id, now)

    def homes(self, rendition_id: str, region: str, count: int) -> Sequence[str]:
        """The first `count` edges of the rendition's order in a region, its home first."""
        return self._orders.of(rendition_id, region, count)[:count]

    def due_prefills(self) -> list[Prefill]:
        """What edges should be told to prefill since the last call; each is answered by `prefilled`, if it works."""
        return self._replicas.due_prefills()

    def prefilled(self, edge_id: str, rendition_id: str) -> None:
        """The edge has the beginning of the rendition."""
        self._replicas.prefilled(edge_id, rendition_id)

    def views(self, now: float) -> list[EdgeView]:
        """Every edge, the dead of the last ten minutes included."""
        return [self._view(edge, now) for edge in self._members]

    def region_names(self) -> list[str]:
        """The regions that have an edge."""
        return [region.name for region in self._standings.regions()]

    def regions(self) -> list[RegionLoad]:
        """Every region with an edge that is neither dead nor draining."""
        picker = self._picker
        return [
            RegionLoad(region.name, region.load, picker.spill_share(region), picker.is_in_panic(region))
            for region in self._standings.regions()
        ]

    def _view(self, edge: Edge, now: float) -> EdgeView:
        edge_id = edge.identity.edge_id
        used = utilisation(edge.identity, edge.load or IDLE, self.ledger.expected(edge_id))
        age_s, ramp = now - edge.heard_at, self._ramp.get(edge_id, 1.0)
        return EdgeView(
            identity=edge.identity,
            state=edge.state,
            draining=edge.draining,
            load=edge.load,
            report_age_s=age_s,
            utilisation=used,
            pending=self.ledger.of(edge_id),
            ramp=ramp,
            ejected_s=max(0.0, self._ejections.until(edge_id, now) - now),
        )

    def _expire(self, now: float) -> None:
        for edge_id in self.ledger.expire(now):
            self._settle(edge_id, now)

    def _forget_load(self, edge_id: str) -> None:
        self.ledger.clear(edge_id)
        self._replicas.forget(edge_id)

    def _settle(self, edge_id: str, now: float) -> None:
        """Brings standing and orders of one edge in line after anything about it changed."""
        edge = self._members.get(edge_id)
        if edge is None or edge.state is State.DEAD:
            self._forget_load(edge_id)
        if edge is None:
            self._ramps.forget(edge_id)
            self._ejections.forget(edge_id)
        else:
            serving = edge.state is State.READY and not edge.draining
            self._ejections.serves(edge_id, edge.identity.region, serving=serving, now=now)
        if edge is None or edge.state is State.DEAD or edge.draining:
            self._standings.drop(edge_id)
        else:
            self._standings.put(self._standing(edge, now))
        if self.epoch != self._epoch_of_orders:
            self._epoch_of_orders = self.epoch
            self._stale = True
            for call in self._on_view:
                call()
        if self._stale and (len(self._members) <= AT_ONCE_MAX or now - self._reshaped_at >= GATHER_S):
            self._reshape(now)

    def _standing(self, edge: Edge, now: float) -> Standing:
        identity, load = edge.identity, edge.load or IDLE
        expected = self.ledger.expected(identity.edge_id)
        return Standing(
            edge_id=identity.edge_id,
            region=identity.region,
            utilisation=utilisation(identity, load, expected),
            committed=committed(identity, load, expected),
            strain=strain(load),
            full=is_full(identity, load),
            vouched=edge.state is State.READY and not self._ejections.until(identity.edge_id, now),
            old=now - edge.heard_at > self._policy.old_report_s,
            ramp=self._ramp.get(identity.edge_id, 1.0),
            zone=identity.zone,
            capacity_bps=identity.nic_capacity_bps,
            first_byte_ms=load.first_byte_ms,
        )

    def _zone_of(self, edge_id: str) -> str:
        edge = self._members.get(edge_id)
        return edge.identity.zone if edge else ""

    def _reshape(self, now: float) -> None:
        """Weighs the edges of every region by capacity and ramp. A suspect keeps its place: a short absence moves no song."""
        self._reshaped_at, self._stale = now, False
        regions: dict[str, list[Edge]] = {region: [] for region in self._orders.regions()}
        for edge in self.alive():
            if not edge.draining:
                regions.setdefault(edge.identity.region, []).append(edge)
        self._ramp = {}
        for region, edges in regions.items():
            capacities = {edge.identity.edge_id: edge.identity.nic_capacity_bps for edge in edges}
            ramps = self._ramps.of_region({edge.identity.edge_id: _held_bytes(edge) for edge in edges}, now)
            self._ramp |= ramps
            self._orders.weigh(region, weights(capacities, ramps))
            self._replicas.resize(region, list(capacities.values()))
            for edge in edges:
                self._standings.put(self._standing(edge, now))


def _held_bytes(edge: Edge) -> int:
    counters = (edge.load or IDLE).counters
    return counters.ram_bytes + counters.disk_bytes
