"""The balancer's own decision in the simulation: `Mesh` as the service runs it, with simulated reports, probes and plays."""

import random
from collections import deque
from collections.abc import Sequence

from balancer.edges import EdgeCounters, EdgeIdentity, EdgeLoad, SongHeat
from balancer.mesh import Mesh
from balancer.picking import Play
from balancer.policy import Policy
from bench.balancer.homes import edge_name, edge_number
from bench.balancer.rules import Ask, Report, Rule
from bench.balancer.world import ZONES, World

PROBE_S = 0.5
OWN_MS, FAR_MS = 10.0, 70.0
UNLIMITED = 1_000_000


class Reprise(Rule):
    """What ships."""

    name = "reprise"
    affine = True
    wants_heat = True
    policy = Policy()

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self.reasons: dict[str, int] = {}
        self._mesh = Mesh(1, 0.0, random.Random(rng.random()), self.policy)
        self._ids = world.catalog.ids
        self._numbers = {rendition_id: number for number, rendition_id in enumerate(self._ids)}
        self._boots: dict[int, int] = {}
        self._streams: dict[int, int] = {}
        self._sequence = 0
        self._probes: deque[tuple[float, EdgeIdentity]] = deque()
        self._regions = [_by_nearness(region, world.region_count) for region in range(world.region_count)]
        for edge, up in enumerate(world.up):
            if up:
                self.appeared(edge, 0.0)

    def choose(self, ask: Ask) -> Sequence[int]:
        play = Play(
            rendition_id=self._ids[ask.rendition],
            bitrate_bps=ask.bitrate_bps,
            regions=self._regions[ask.region],
            session_id=str(ask.listener),
            failed=frozenset(map(edge_name, ask.failed)) if ask.failed else frozenset(),
            warm=frozenset(map(edge_name, ask.warm)),
        )
        picks = self._mesh.pick(play, ask.now)
        if not picks:
            return ()
        first = picks[0]
        self.reasons[first.reason] = self.reasons.get(first.reason, 0) + 1
        self._mesh.assign(first.edge_id, play.rendition_id, str(ask.number), ask.bitrate_bps, ask.now)
        return [edge_number(pick.edge_id) for pick in picks]

    def heard(self, report: Report, now: float) -> None:
        self._sequence += 1
        load = EdgeLoad(
            sequence=self._sequence,
            active_streams=report.active,
            nic_tx_bps=report.tx_bps,
            committed_bps=report.committed_bps,
            draining=report.draining,
            seen_grant_ids=tuple(map(str, report.seen)),
            counters=EdgeCounters(disk_bytes=report.held_bytes),
            heat=tuple(SongHeat(self._ids[rendition], bps, waiting) for rendition, bps, waiting in report.heat),
        )
        self._mesh.report(edge_name(report.edge), self._streams[report.edge], load, now)

    def told(self, ask: Ask, edge: int, *, ok: bool) -> None:
        grant_id, session_id = str(ask.number), str(ask.listener)
        self._mesh.note_play(edge_name(edge), session_id, ok, ask.now, grant_id=grant_id, bitrate_bps=ask.bitrate_bps)

    def wake(self, now: float) -> Sequence[tuple[int, int]]:
        while self._probes and self._probes[0][0] <= now:
            _, identity = self._probes.popleft()
            self._mesh.probed(identity, answered=self.world.up[edge_number(identity.edge_id)], now=now)
        self._probes.extend((now + PROBE_S, identity) for identity in self._mesh.tick(now))
        due = self._mesh.due_prefills()
        return [(edge_number(prefill.edge_id), self._numbers[prefill.rendition_id]) for prefill in due]

    def filled(self, edge: int, rendition: int) -> None:
        self._mesh.prefilled(edge_name(edge), self._ids[rendition])

    def appeared(self, edge: int, now: float) -> None:
        self._boots[edge] = self._boots.get(edge, 0) + 1
        world = self.world
        identity = EdgeIdentity(
            edge_id=edge_name(edge),
            region=f"region-{world.regions[edge]}",
            grpc_address="127.0.0.1:1",
            http_url="http://127.0.0.1:1",
            boot_id=str(self._boots[edge]),
            nic_capacity_bps=world.capacities_bps[edge],
            stream_limit=UNLIMITED,
            zone=f"zone-{edge % ZONES}",
        )
        self._streams[edge] = self._mesh.hello(identity, now)

    def lost(self, edge: int, now: float) -> None:
        self._mesh.lost(edge_name(edge), self._streams[edge], now)

    def gone(self, edge: int, now: float) -> None:
        """It has probes of its own."""

    def drains(self, edge: int, now: float) -> None:
        """The report says so."""


def _by_nearness(region: int, regions: int) -> tuple[tuple[str, float], ...]:
    """The listener's own region, then the others."""
    others = [other for other in range(regions) if other != region]
    return ((f"region-{region}", OWN_MS), *((f"region-{other}", FAR_MS) for other in others))
