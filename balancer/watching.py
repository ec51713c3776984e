"""What operators watch: the mesh as it is, what happened since they last looked, and how many edges each region should have.

Looks at the mesh five times a second whoever watches, so that events are told from the start, and once in a while adds the
regions up. A snapshot is made once for all watchers, and for a large mesh not more often than the listeners can spare: of 5,000
edges once a second. Watchers and events have a bound.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass

from balancer.events import Event, EventLog, Kind, Sight, changes
from balancer.membership import Edge
from balancer.mesh import EdgeView, Mesh
from balancer.metrics import BalancerMetrics
from balancer.purges import PurgeOrder
from balancer.regions import RegionView, figures_of, region_views
from balancer.scaling import Scaling
from reprise.errors import InvalidRequest, QuotaExceeded, Unavailable

LOOK_S = 0.2
# Whoever scales by the numbers asks every 15 s or so.
SCALING_S = 5.0
# Making a snapshot and its message costs some 20 µs per edge: at most a tenth of a core goes into it, whoever watches.
SNAPSHOT_S_PER_EDGE = 0.0002
WATCHERS_MAX = 32
WATCHERS_RETRY_S = 10
INTERVAL_S_MIN, INTERVAL_S_MAX = 0.1, 60.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The mesh at one moment."""

    unix_ms: int
    edges: list[EdgeView]
    epoch: int
    regions: list[RegionView]


@dataclass(frozen=True, slots=True)
class Look:
    """One message to a watcher; the events are those since the message before."""

    snapshot: Snapshot
    events: list[Event]


class Watching:
    """Watches one mesh for any number of operators."""

    def __init__(
        self, mesh: Mesh, metrics: BalancerMetrics, clock: Callable[[], float], unix_s: Callable[[], float]
    ) -> None:
        self._mesh = mesh
        self._metrics = metrics
        self._clock = clock
        self._unix_s = unix_s
        self._events = EventLog()
        self._sights: dict[str, Sight] = {}
        # Replica sets that (grew, shrank) so far.
        self._replicas = (0, 0)
        self._scaling = Scaling()
        self._snapshot = (0.0, Snapshot(0, [], 0, []))
        self._watchers: set[asyncio.Event] = set()
        self._stopping = False
        mesh.on_view(self._wake)

    async def run(self) -> None:
        """Until cancelled."""
        scaled_at = -SCALING_S
        while True:
            self._look()
            if self._clock() - scaled_at >= SCALING_S:
                scaled_at = self._clock()
                self._scale()
            await asyncio.sleep(LOOK_S)

    def note(self, kind: Kind, edge_id: str, detail: str) -> None:
        """Something happened that cannot be seen by looking at the edges."""
        self._metrics.events.labels(kind).inc()
        self._events.add(Event(self._unix_ms(), kind, edge_id, detail))

    def purge_elsewhere(self, order: PurgeOrder) -> None:
        """Another balancer was asked for a purge."""
        self.note(Kind.COMMAND, "", f"purge {len(order.rendition_ids)} renditions, ordered at another balancer")

    def snapshot(self, age_s_max: float = 0.0) -> Snapshot:
        """The mesh as it is, or was at most so long ago in the same epoch."""
        now = self._clock()
        made_at, kept = self._snapshot
        if kept.epoch != self._mesh.epoch or now - made_at >= age_s_max:
            edges = self._mesh.views(now)
            regions = region_views(figures_of(edges), self._scaling.of, self._mesh.regions())
            kept = Snapshot(self._unix_ms(), edges, self._mesh.epoch, regions)
            self._snapshot = (now, kept)
        return kept

    async def watch(self, interval_s: float) -> AsyncGenerator[Look]:
        """A look at once, then one every interval, and at once when the epoch changes; ends when this balancer stops."""
        if not INTERVAL_S_MIN <= interval_s <= INTERVAL_S_MAX:
            raise InvalidRequest(f"interval_ms must be from 100 to 60000, not {interval_s * 1000:.0f}")
        if self._stopping:
            raise Unavailable("this balancer is stopping")
        if len(self._watchers) >= WATCHERS_MAX:
            self._metrics.watches_refused.inc()
            raise QuotaExceeded(f"{WATCHERS_MAX} watch this balancer already", retry_after_s=WATCHERS_RETRY_S)
        changed = asyncio.Event()
        self._watchers.add(changed)
        self._metrics.watchers.inc()
        read_to = self._events.next
        try:
            while not self._stopping:
                changed.clear()
                self._look()
                read_to, events = self._events.next, self._events.since(read_to)
                pause_s = max(INTERVAL_S_MIN, SNAPSHOT_S_PER_EDGE * len(self._sights))
                yield Look(self.snapshot(pause_s), events)
                # A mesh that flaps is told of ten times a second, not more.
                await asyncio.sleep(pause_s)
                await _wait(changed, interval_s - pause_s)
        finally:
            self._metrics.watchers.dec()
            self._watchers.discard(changed)

    def stop(self) -> None:
        """Ends every watch after its last look."""
        self._stopping = True
        self._wake()

    def _unix_ms(self) -> int:
        return int(self._unix_s() * 1000)

    def _wake(self) -> None:
        for changed in self._watchers:
            changed.set()

    def _look(self) -> None:
        """Tells what happened since the last look."""
        now = self._clock()
        sights = {edge.identity.edge_id: self._sight(edge, now) for edge in self._mesh.edges()}
        for edge_id, sight in sights.items():
            before = self._sights.get(edge_id)
            if before != sight:
                for kind, detail in changes(before, sight):
                    self.note(kind, edge_id, detail)
        self._sights = sights
        self._look_at_replicas()

    def _look_at_replicas(self) -> None:
        """Sets grow by the dozen in a storm: one event tells of all that did since the last look."""
        replicas, (grown, shrunk) = self._mesh.replicas, self._replicas
        self._replicas = (replicas.grown, replicas.shrunk)
        for kind, count in (
            (Kind.REPLICAS_GREW, replicas.grown - grown),
            (Kind.REPLICAS_SHRANK, replicas.shrunk - shrunk),
        ):
            if count:
                self.note(kind, "", f"songs: {count}; with more than one edge in a region now: {replicas.wide}")

    def _sight(self, edge: Edge, now: float) -> Sight:
        identity = edge.identity
        ejected = self._mesh.ejections.until(identity.edge_id, now) > now
        return Sight(identity.region, identity.boot_id, edge.state, draining=edge.draining, ejected=ejected)

    def _scale(self) -> None:
        figures = figures_of(self._mesh.views(self._clock()))
        self._scaling.look(figures, self._clock())
        self._metrics.edges_desired.clear()
        for region in figures:
            self._metrics.edges_desired.labels(region.region).set(self._scaling.of(region.region).edges)


async def _wait(changed: asyncio.Event, seconds_max: float) -> None:
    try:
        async with asyncio.timeout(seconds_max):
            await changed.wait()
    except TimeoutError:
        pass
