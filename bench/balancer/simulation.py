"""One run: the turns of a workload, the edges of a world, and the rule that brings them together. Discrete events.

Turns come from the workload in order of time; what else happens waits in a heap of plain tuples. The same arguments give the
same run, to the last figure. Invariants: a listener plays on one edge at most; an edge's committed rate is the sum of
what plays on it.
"""

import heapq
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from bench.balancer.catalog import BITRATES
from bench.balancer.rules import Ask, Report, Rule
from bench.balancer.scenarios import Scenario
from bench.balancer.tally import Tally
from bench.balancer.workload import ARRIVAL_S, WARM_UP_S, Turn, Workload
from bench.balancer.world import COMMON_SHARE, HELD_MS, RELAY_SPEED, World

REPORT_S, WAKE_S, SAMPLE_S = 1.0, 0.1, 1.0
# The route itself and the way to the balancer; a round trip to an edge in the region, and what another region adds.
ROUTE_MS, RTT_MS, FAR_MS = 15.0, (5.0, 40.0), 60.0
# Without an answer a player tries its next candidate: a dead edge, or audio that does not come.
DEAD_MS, PATIENCE_MS = 300.0, 3000.0
HEAT_ROWS = 16
WARM_EDGES = 2
NOWHERE = -1


class Simulation:
    """Listeners by number; edges by number."""

    def __init__(self, scenario: Scenario, workload: Workload, kind: type[Rule], seed: int) -> None:
        self.workload, self.catalog = workload, workload.catalog
        cache_bytes = int(scenario.cache_share * self.catalog.bytes)
        regions = len(scenario.regions)
        self.world = World(self.catalog, workload.capacities_bps, regions, cache_bytes, kind.homes)
        self.world.hold(0.0 if kind.affine else COMMON_SHARE)
        self.rng = random.Random(f"{seed} {kind.name}")
        self.rules = [kind(self.world, self.rng, scenario.balancers) for _ in range(scenario.balancers)]
        self.tally, self.now = Tally(), 0.0
        self.delay_s = scenario.report_delay_s
        listeners = len(workload.regions)
        self.places = [NOWHERE] * listeners
        self.playing = [0] * listeners
        self.asks = [0] * listeners
        self._warm: list[tuple[int, ...]] = [()] * listeners
        # What does not depend on the rule.
        self.own = random.Random(seed)
        self._rtts_ms = [self.own.uniform(*RTT_MS) for _ in range(listeners)]
        self.draining: set[int] = set()
        self.sinks: set[int] = set()
        self._number = 0
        self._events: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self.event_count = 0
        self._unseen: dict[int, list[int]] = {}
        self._starts: Counter[int] = Counter()
        self._assigned: Counter[int] = Counter()
        self._waiting: Counter[tuple[int, int]] = Counter()
        self._live: dict[int, Counter[int]] = {}
        self._wants_heat = kind.wants_heat

    def run(self) -> Tally:
        """Plays the whole workload."""
        for edge in range(len(self.world.up)):
            self.at(REPORT_S * self.rng.random(), self.report, edge)
        self.at(0.0, self._wake)
        self.at(WARM_UP_S, self._begin)
        events = self._events
        for turn in self.workload.turns:
            while events[0][0] <= turn.at_s:
                self._step()
            self._turn(turn)
        self.tally.origin_fetches += self.world.origin_fetches.total()
        return self.tally

    def at(self, when: float, action: Callable[..., None], *arguments: object) -> None:
        """Has `action` called at that time."""
        self._number += 1
        heapq.heappush(self._events, (when, self._number, action, arguments))

    def start(
        self, listener: int, rendition: int, failed: frozenset[int] = frozenset(), waited_ms: float = 0.0
    ) -> None:
        """A listener asks for a song, or again for the rest of one."""
        self._number += 1
        region, bitrate_bps = self.workload.regions[listener], BITRATES[rendition % len(BITRATES)]
        warm = self._warm[listener]
        ask = Ask(self._number, listener, rendition, bitrate_bps, region, self.now, failed, warm)
        rule = self.rules[listener % len(self.rules)]
        self.tally.plays += 1
        candidates = rule.choose(ask)
        if not candidates:
            self.tally.shed += 1
            return
        self._assigned[candidates[0]] += 1
        waited_ms += ROUTE_MS
        for edge in candidates:
            took_ms, ok = self._try(ask, edge)
            waited_ms += took_ms
            rule.told(ask, edge, ok=ok)
            if ok:
                self._play(ask, edge)
                self.tally.latencies_ms.append(waited_ms)
                return
        self.tally.failed += 1

    def stop(self, listener: int) -> None:
        """The listener's play is over."""
        edge = self.places[listener]
        if edge != NOWHERE:
            self.places[listener] = NOWHERE
            rendition = self.playing[listener]
            self.world.active[edge] -= 1
            self.world.committed_bps[edge] -= BITRATES[rendition % len(BITRATES)]
            if self._wants_heat:
                self._cool(edge, rendition)

    def report(self, edge: int) -> None:
        """The edge says how it is, now and each second until it stops."""
        if self.world.up[edge]:
            self.tell(edge)
            self.at(self.now + REPORT_S, self.report, edge)

    def tell(self, edge: int) -> None:
        """The edge says how it is."""
        self.at(self.now + self.delay_s, self._hear, self._said(edge))

    def _step(self) -> None:
        self.now, _, action, arguments = heapq.heappop(self._events)
        self.event_count += 1
        action(*arguments)

    def _turn(self, turn: Turn) -> None:
        self.now, listener, rendition, new = turn
        self.event_count += 1
        self.stop(listener)
        if new:
            self._warm[listener] = ()
        self.start(listener, rendition)

    def _try(self, ask: Ask, edge: int) -> tuple[float, bool]:
        """How long a candidate takes to the first audio, or to be given up."""
        world = self.world
        rtt_ms = self._rtts_ms[ask.listener] + (0.0 if world.regions[edge] == ask.region else FAR_MS)
        if not world.up[edge]:
            return DEAD_MS, False
        connected_ms = rtt_ms if edge in ask.warm else 3 * rtt_ms
        if edge in self.sinks:
            return connected_ms, False
        source, source_ms, relay = world.fetch(edge, ask.rendition, self.now)
        if relay is not None:
            self._relay(relay, ask.rendition)
        if self._wants_heat and source_ms > HELD_MS:
            self._waiting[edge, ask.rendition] += 1
        audio_ms = world.first_audio_ms(edge, ask.bitrate_bps)
        if audio_ms > PATIENCE_MS:
            return PATIENCE_MS, False
        self.tally.sources[source] += 1
        return connected_ms + source_ms + audio_ms, True

    def _play(self, ask: Ask, edge: int) -> None:
        listener = ask.listener
        self.places[listener], self.playing[listener], self.asks[listener] = edge, ask.rendition, ask.number
        self._warm[listener] = (edge, *(e for e in ask.warm if e != edge))[:WARM_EDGES]
        self.world.active[edge] += 1
        self.world.committed_bps[edge] += ask.bitrate_bps
        self._unseen.setdefault(edge, []).append(ask.number)
        self._starts[edge] += 1
        if self._wants_heat:
            self._live.setdefault(edge, Counter())[ask.rendition] += ask.bitrate_bps

    def _relay(self, home: int, rendition: int) -> None:
        """The home's NIC carries the song once more; not while all listeners come at once, which no mesh in service sees."""
        if self.now < ARRIVAL_S:
            return
        rate_bps = RELAY_SPEED * BITRATES[rendition % len(BITRATES)]
        self.world.relayed_bps[home] += rate_bps
        length_s = self.catalog.lengths_s[rendition // len(BITRATES)]
        self.at(self.now + length_s / RELAY_SPEED, self._relayed, home, rate_bps)

    def _relayed(self, home: int, rate_bps: int) -> None:
        self.world.relayed_bps[home] -= rate_bps

    def _cool(self, edge: int, rendition: int) -> None:
        live = self._live[edge]
        live[rendition] -= BITRATES[rendition % len(BITRATES)]
        if not live[rendition]:
            del live[rendition]

    def _said(self, edge: int) -> Report:
        world = self.world
        tx_bps = min(world.committed_bps[edge] + world.relayed_bps[edge], world.usable_bps[edge])
        active, committed_bps = world.active[edge], world.committed_bps[edge]
        seen, starts = tuple(self._unseen.pop(edge, ())), self._starts.pop(edge, 0)
        heat = self._heat(edge) if self._wants_heat else ()
        held = world.held_bytes(edge)
        return Report(
            edge, self.now, active, committed_bps, int(tx_bps), edge in self.draining, seen, heat, starts, held
        )

    def _heat(self, edge: int) -> tuple[tuple[int, int, int], ...]:
        """The hottest rows, with who began to wait since the last report."""
        live = self._live.get(edge, Counter())
        rows = heapq.nlargest(HEAT_ROWS, live, key=live.__getitem__)
        return tuple((rendition, live[rendition], self._waiting.pop((edge, rendition), 0)) for rendition in rows)

    def _hear(self, report: Report) -> None:
        if self.world.up[report.edge]:
            for rule in self.rules:
                rule.heard(report, self.now)

    def _wake(self) -> None:
        for rule in self.rules:
            for edge, rendition in rule.wake(self.now):
                self._fill_ahead(rule, edge, rendition)
        self.at(self.now + WAKE_S, self._wake)

    def _fill_ahead(self, rule: Rule, edge: int, rendition: int) -> None:
        if not self.world.up[edge]:
            return
        _, first_byte_ms, relay = self.world.fetch(edge, rendition, self.now)
        if relay is not None:
            self._relay(relay, rendition)
        self.at(self.now + first_byte_ms / 1000.0, rule.filled, edge, rendition)

    def _begin(self) -> None:
        """The warm-up is over."""
        self.tally = Tally(origin_fetches=-self.world.origin_fetches.total())
        self._assigned.clear()
        self._sample()
        self._count_herd()

    def _sample(self) -> None:
        world = self.world
        taking = [edge for edge, up in enumerate(world.up) if up and edge not in self.draining]
        self.tally.second(
            [world.utilisation(edge) for edge in taking],
            [world.capacities_bps[edge] for edge in taking],
            [world.active[edge] for edge in taking],
        )
        self.at(self.now + SAMPLE_S, self._sample)

    def _count_herd(self) -> None:
        self.tally.interval(self._assigned, len(self.world.up))
        self._assigned.clear()
        self.at(self.now + REPORT_S, self._count_herd)
