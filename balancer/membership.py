"""Which edges there are and which of them may be trusted with listeners. Pure: says whom to probe, never probes.

    state    meaning                          leaves it by
    JOINING  said hello, no report yet        report -> READY; stream broken or silence -> SUSPECT
    READY    its reports are fresh            stream broken or silence -> SUSPECT
    SUSPECT  not vouched for, maybe alive     report -> READY; probe failed -> DEAD; probe answered -> SUSPECT, probed again
    DEAD     a probe failed                   report -> READY; after ten minutes forgotten

Silence is a phi of 5 (see `phi`: a bit over three seconds for an edge that is regular). With its stream still open a failed
probe decides from a phi of 8 on, without a stream at once. A hello leads from any state to JOINING. Draining is no state but a
fact from the last report: a draining edge may fall silent and die like any other, and gets no work in any state.

Invariants: only the newest stream of an edge counts, so a late word of an old boot changes nothing. `epoch` grows with every
change of who is alive, where it is reached, or whether it drains. While this balancer has reason to doubt itself
(`self_doubt`) nobody is declared dead, for up to half a minute.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum

from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.phi import Phi
from balancer.self_doubt import SelfDoubt
from reprise.errors import NotFound, QuotaExceeded

SUSPECT_PHI = 5.0
DEAD_PHI = 8.0
PROBE_AGAIN_S = 1.0
DEAD_KEPT_S = 600.0
EDGES_MAX = 5_000

# Failures this close together count as one event.
DOUBT_WINDOW_S = 10.0
# Probes alone have said so for this long: then it is true.
DOUBT_S_MAX = 30.0


class State(Enum):
    """How far an edge is vouched for."""

    JOINING = "joining"
    READY = "ready"
    SUSPECT = "suspect"
    DEAD = "dead"


@dataclass(slots=True)
class Edge:
    """One edge as this balancer knows it. Only `Membership` changes it."""

    identity: EdgeIdentity
    state: State
    heard_at: float
    since: float
    # The number of the report stream that counts; 0 when there is none.
    stream: int = 0
    load: EdgeLoad | None = None
    draining: bool = False
    # When to probe next; None when no probe is needed or one is under way.
    probe_at: float | None = None
    # When the first failed probe was not believed.
    doubted_since: float | None = None
    silence: Phi = field(default_factory=Phi)


class Membership:
    """All edges, by id."""

    def __init__(self, epoch: int, now: float) -> None:
        self.epoch = epoch
        self._edges: dict[str, Edge] = {}
        self._streams = 0
        self._doubt = SelfDoubt(now)

    @property
    def patience_s(self) -> float:
        """How much longer than usual edges may take to answer, because this balancer itself is late."""
        return self._doubt.patience_s

    @property
    def doubting(self) -> bool:
        """Whether an edge would count as dead if this balancer did not doubt itself."""
        return any(edge.doubted_since is not None for edge in self if edge.state is State.SUSPECT)

    def __len__(self) -> int:
        return len(self._edges)

    def __iter__(self) -> Iterator[Edge]:
        return iter(self._edges.values())

    def get(self, edge_id: str) -> Edge | None:
        return self._edges.get(edge_id)

    def edge(self, edge_id: str) -> Edge:
        """The edge, or NotFound."""
        if edge_id not in self._edges:
            raise NotFound(f"there is no edge {edge_id[:64]!r}: `reprise status` lists the edges")
        return self._edges[edge_id]

    def alive(self) -> list[Edge]:
        """The edges that the mesh view names: all that are not known to be dead."""
        return [edge for edge in self if edge.state is not State.DEAD]

    def hello(self, identity: EdgeIdentity, now: float) -> int:
        """An edge opened a report stream; returns the stream's number, which its later words must carry."""
        old = self._edges.get(identity.edge_id)
        self._check_room(old)
        edge = Edge(identity, State.JOINING, heard_at=now, since=now)
        if old is not None and old.identity.boot_id == identity.boot_id:
            edge.load, edge.draining = old.load, old.draining
        if old is None or old.state is State.DEAD or _public(old) != _public(edge):
            self.epoch += 1
        self._streams += 1
        edge.stream = self._streams
        self._edges[identity.edge_id] = edge
        return edge.stream

    def report(self, edge_id: str, stream: int, load: EdgeLoad, now: float) -> bool:
        """Takes a report; False when it is not from the edge's newest stream. Streams are ordered, so none is outdated."""
        edge = self._edges.get(edge_id)
        if edge is None or edge.stream != stream:
            return False
        if edge.state is State.DEAD or edge.draining != load.draining:
            self.epoch += 1
        edge.silence.heard(now - edge.heard_at)
        edge.load, edge.draining, edge.heard_at = load, load.draining, now
        edge.probe_at = edge.doubted_since = None
        _enter(edge, State.READY, now)
        return True

    def lost(self, edge_id: str, stream: int, now: float) -> None:
        """A report stream ended, in whatever way."""
        edge = self._edges.get(edge_id)
        if edge is not None and edge.stream == stream:
            edge.stream = 0
            self._suspect(edge, now)

    def restore(self, identity: EdgeIdentity, now: float) -> None:
        """An edge that was known before this balancer started; whatever it said itself since wins."""
        if identity.edge_id in self._edges or len(self._edges) >= EDGES_MAX:
            return
        self._edges[identity.edge_id] = Edge(identity, State.SUSPECT, heard_at=now, since=now, probe_at=now)
        self.epoch += 1

    def tick(self, now: float, lag_s: float = 0.0) -> list[Edge]:
        """Turns silence into suspicion and forgets the long dead; returns the edges to probe now.

        `lag_s` is how late this call comes.
        """
        self._forgive(self._doubt.tick(now, lag_s))
        due: list[Edge] = []
        for edge in list(self):
            if edge.state is State.DEAD:
                if now - edge.since >= DEAD_KEPT_S:
                    del self._edges[edge.identity.edge_id]
                continue
            if self._phi(edge, now) >= SUSPECT_PHI:
                self._suspect(edge, now)
            if edge.probe_at is not None and edge.probe_at <= now:
                edge.probe_at = None
                due.append(edge)
        return due

    def probed(self, edge_id: str, boot_id: str, *, answered: bool, now: float) -> None:
        """The outcome of a probe that `tick` asked for."""
        edge = self._edges.get(edge_id)
        if edge is None or edge.state is not State.SUSPECT or edge.identity.boot_id != boot_id:
            return  # it spoke for itself while the probe was under way
        if answered:
            edge.doubted_since = None
        elif (not edge.stream or self._phi(edge, now) >= DEAD_PHI) and not self._doubted(edge, now):
            _enter(edge, State.DEAD, now)
            self.epoch += 1
            return
        edge.probe_at = now + PROBE_AGAIN_S

    def _check_room(self, old: Edge | None) -> None:
        if old is None and len(self._edges) >= EDGES_MAX:
            raise QuotaExceeded(f"this balancer takes {EDGES_MAX} edges and has them all", retry_after_s=30)

    def _suspect(self, edge: Edge, now: float) -> None:
        if edge.state in (State.JOINING, State.READY):
            _enter(edge, State.SUSPECT, now)
            edge.probe_at = now

    def _phi(self, edge: Edge, now: float) -> float:
        return edge.silence.of(now - edge.heard_at - self._doubt.patience_s)

    def _doubted(self, edge: Edge, now: float) -> bool:
        """Whether too many edges fail at once to believe it. A draining edge that stops is no failure."""
        if edge.draining:
            return False
        window = now - DOUBT_WINDOW_S
        counted = [e for e in self if not e.draining and (e.state is not State.DEAD or e.since > window)]
        if not self._doubt.doubts([e.state in (State.SUSPECT, State.DEAD) for e in counted]):
            return False
        edge.doubted_since = now if edge.doubted_since is None else edge.doubted_since
        return now - edge.doubted_since < DOUBT_S_MAX

    def _forgive(self, pause_s: float) -> None:
        """After a pause of this process the reports of that time wait unread: edges were not silent, we were deaf."""
        for edge in self if pause_s else ():
            edge.heard_at += pause_s


def _enter(edge: Edge, state: State, now: float) -> None:
    if edge.state is not state:
        edge.state, edge.since = state, now


def _public(edge: Edge) -> tuple[object, ...]:
    """What other edges and the orders depend on."""
    identity = edge.identity
    return identity.region, identity.grpc_address, identity.http_url, identity.nic_capacity_bps, edge.draining
