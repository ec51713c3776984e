"""What is counted in a run, and the figures made of it. Pure. Only what happens after the warm-up counts."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

from bench.balancer.world import Source
from bench.report import median, quantile

OVERLOADED = 0.95
BACK_WITHIN, BACK_FOR_S = 1.05, 10


@dataclass(slots=True)
class Tally:
    """One run. Lists by second, or by report interval."""

    peak_over_mean: list[float] = field(default_factory=list)
    p99_over_mean: list[float] = field(default_factory=list)
    herds: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)
    sources: Counter[Source] = field(default_factory=Counter)
    plays: int = 0
    shed: int = 0
    failed: int = 0
    origin_fetches: int = 0
    overloaded_s: int = 0
    stalled_s: float = 0.0
    listened_s: float = 0.0
    on_the_dead: int = 0
    moved: int = 0
    # When the first thing befell an edge, in seconds after the warm-up.
    shaken_at_s: float | None = None

    def second(self, used: list[float], capacities_bps: list[int], active: list[int]) -> None:
        """How the edges that take listeners stand now: what is wanted of each over what it gives."""
        carried = sum(share * bps for share, bps in zip(used, capacities_bps, strict=True))
        mean = carried / sum(capacities_bps)
        ordered = sorted(used)
        self.peak_over_mean.append(ordered[-1] / mean)
        self.p99_over_mean.append(ordered[min(int(0.99 * len(ordered)), len(ordered) - 1)] / mean)
        self.overloaded_s += len(ordered) - bisect_left(ordered, OVERLOADED)
        self.listened_s += sum(active)
        self.stalled_s += sum(count * (1 - 1 / share) for share, count in zip(used, active, strict=True) if share > 1)

    def interval(self, assigned: Counter[int], edges: int) -> None:
        """What was given out within one report interval."""
        if assigned:
            self.herds.append(max(assigned.values()) * edges / assigned.total())

    def figures(self) -> dict[str, float]:
        """Everything that the tables, the bars and the plots show."""
        started = max(len(self.latencies_ms), 1)
        return {
            "peak": median(self.peak_over_mean),
            "peak_p99": quantile(self.peak_over_mean, 0.99),
            "p99_mean": median(self.p99_over_mean),
            "overload_s": self.overloaded_s,
            "hit_percent": 100 * self.sources[Source.HELD] / started,
            "relay_percent": 100 * self.sources[Source.RELAY] / started,
            "origin": self.origin_fetches,
            "start_p50_ms": quantile(self.latencies_ms, 0.5),
            "start_p95_ms": quantile(self.latencies_ms, 0.95),
            "start_p99_ms": quantile(self.latencies_ms, 0.99),
            "stalled_s_h": 3600 * self.stalled_s / max(self.listened_s, 1),
            "failed": self.failed,
            "shed_percent": 100 * self.shed / max(self.plays, 1),
            "on_the_dead": self.on_the_dead,
            "moved": self.moved,
            "herd": median(self.herds),
            "herd_p99": quantile(self.herds, 0.99),
            "back_s": self._back_s(),
        }

    def _back_s(self) -> float:
        """Seconds from the first shock until max/mean stayed within 5 % of what it was before for ten seconds; -1: never."""
        if self.shaken_at_s is None:
            return 0.0
        at = int(self.shaken_at_s)
        limit = BACK_WITHIN * median(self.peak_over_mean[:at])
        calm = 0
        for second, peak in enumerate(self.peak_over_mean[at:]):
            calm = calm + 1 if peak <= limit else 0
            if calm == BACK_FOR_S:
                return float(second + 1 - BACK_FOR_S)
        return -1.0
