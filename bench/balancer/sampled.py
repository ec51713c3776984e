"""Rules of others that measure: Prequal (Wydrowski et al., NSDI 2024) and gRPC's weighted round robin (gRFC A58). No clock."""

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from bench.balancer.rules import Ask, Report, Rule
from bench.balancer.world import World

POOL, PROBES, HOT_QUANTILE, PROBE_AGE_S = 16, 3, 0.84, 1.0
# How often a probe may be used: (1 + delta) / ((1 - m/n) x probes - removed), with delta and removed 1.
SURPLUS, REMOVED = 1.0, 1.0
WEIGHT_WINDOW_S, WEIGHT_EVERY_S = 10.0, 1.0
# An edge without figures yet, or idle, does not get all plays.
USED_MIN = 0.05


@dataclass(slots=True)
class Probe:
    """What an edge answered: requests in flight, here streams by capacity, and its latency."""

    edge: int
    at: float
    in_flight: float
    latency_ms: float
    uses: float


class Prequal(Rule):
    """Hot or cold by requests in flight; among cold probes the least latency. Each probe is a fresh look at the world."""

    name = "Prequal"

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self._pools: list[list[Probe]] = [[] for _ in range(world.region_count)]

    def decide(self, ask: Ask, members: Sequence[int]) -> int:
        pool = [p for p in self._pools[ask.region] if ask.now - p.at <= PROBE_AGE_S and p.edge in members]
        picked = self._best(pool) if len(pool) > 1 else None
        if picked is not None:
            self._use(pool, picked, ask)
        # Their answers are there for the next one who asks.
        uses = max(1.0, (1 + SURPLUS) / (max(1 - POOL / len(members), 0.5) * PROBES - REMOVED))
        pool += [self._probe(edge, ask, uses) for edge in self.rng.choices(members, k=PROBES)]
        self._pools[ask.region] = pool[-POOL:]
        return picked.edge if picked is not None else self.rng.choice(members)

    def _best(self, pool: list[Probe]) -> Probe:
        hot = sorted(probe.in_flight for probe in pool)[min(int(HOT_QUANTILE * len(pool)), len(pool) - 1)]
        cold = [probe for probe in pool if probe.in_flight < hot]
        return min(cold, key=lambda probe: probe.latency_ms) if cold else min(pool, key=lambda probe: probe.in_flight)

    def _use(self, pool: list[Probe], picked: Probe, ask: Ask) -> None:
        """A used probe counts what it was used for; one probe goes, the worst, for the best ones are used up first."""
        picked.in_flight += ask.bitrate_bps / self.world.capacities_bps[picked.edge]
        picked.uses -= 1.0
        if self.rng.random() >= picked.uses:
            pool.remove(picked)
        if pool:
            pool.remove(max(pool, key=lambda probe: probe.in_flight))

    def _probe(self, edge: int, ask: Ask, uses: float) -> Probe:
        in_flight = self.world.committed_bps[edge] / self.world.capacities_bps[edge]
        return Probe(edge, ask.now, in_flight, self.world.first_audio_ms(edge, ask.bitrate_bps), uses)


class OrcaWeighted(Rule):
    """Weights are starts/s over utilisation, as every edge reports both out of band; taken anew each second."""

    name = "ORCA weighted round robin"

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self._reports: dict[int, deque[Report]] = {}
        self._weights: dict[int, float] = {}
        self._weighed_at = 0.0

    def heard(self, report: Report, now: float) -> None:
        window = self._reports.setdefault(report.edge, deque())
        window.append(report)
        while window[0].made_at < now - WEIGHT_WINDOW_S:
            window.popleft()
        if now >= self._weighed_at + WEIGHT_EVERY_S:
            self._weighed_at = now
            self._weights = {edge: self._weight(edge, reports) for edge, reports in self._reports.items() if reports}

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        known = [self._weights[edge] for edge in members if edge in self._weights]
        usual = sum(known) / len(known) if known else 1.0
        weights = [self._weights.get(edge, usual) for edge in members]
        return self.rng.choices(members, weights)[0] if any(weights) else self.rng.choice(members)

    def _weight(self, edge: int, reports: Sequence[Report]) -> float:
        starts_s = sum(report.starts for report in reports) / len(reports)
        used = reports[-1].tx_bps / self.world.capacities_bps[edge]
        return starts_s / max(used, USED_MIN)
