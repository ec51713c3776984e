"""What the balancer must reach, and whether it did: met or missed when the whole interval says so, else open. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench.balancer.hashing import RendezvousHash
from bench.balancer.intervals import Interval, differences, interval, ratios
from bench.balancer.production import Reprise
from bench.balancer.rules import LeastFresh

# Scenario and rule -> figure -> its value by seed.
Figures = Mapping[tuple[str, str], Mapping[str, Sequence[float]]]
OURS, HITS, BALANCE = Reprise.name, RendezvousHash.name, LeastFresh.name


@dataclass(frozen=True, slots=True)
class Bar:
    """`value` gives one number for each seed; `at_most` says on which side of `limit` they have to be."""

    what: str
    scenario: str
    rules: tuple[str, ...]
    value: Callable[[Figures, str], Sequence[float]]
    limit: float
    at_most: bool = True

    def judge(self, figures: Figures) -> tuple[Interval, str] | None:
        """The value and the verdict; None when a run that it needs was not made."""
        if any((self.scenario, rule) not in figures for rule in self.rules):
            return None
        found = interval(self.value(figures, self.scenario))
        if not self.at_most:
            low, high, limit = -found.high, -found.low, -self.limit
        else:
            low, high, limit = found.low, found.high, self.limit
        return found, "met" if high <= limit else "missed" if low > limit else "open"


def _peak(figures: Figures, scenario: str) -> Sequence[float]:
    return figures[scenario, OURS]["peak"]


def _hit_points(figures: Figures, scenario: str) -> Sequence[float]:
    return differences(figures[scenario, OURS]["hit_percent"], figures[scenario, HITS]["hit_percent"])


def _origin(figures: Figures, scenario: str) -> Sequence[float]:
    return ratios(figures[scenario, OURS]["origin"], figures[scenario, HITS]["origin"])


def _start(figures: Figures, scenario: str) -> Sequence[float]:
    """Over the better of the two oracles."""
    oracles = (figures[scenario, rule]["start_p99_ms"] for rule in (HITS, BALANCE))
    return ratios(figures[scenario, OURS]["start_p99_ms"], list(map(min, *oracles)))


def _strays(figures: Figures, scenario: str) -> Sequence[float]:
    ours = figures[scenario, OURS]
    return [abs(a - b) for a, b in zip(ours["moved"], ours["on_the_dead"], strict=True)]


def _herd(figures: Figures, scenario: str) -> Sequence[float]:
    return figures[scenario, OURS]["herd_p99"]


BARS = (
    Bar("max/mean NIC utilisation, equal NICs", "steady-70", (OURS,), _peak, 1.25),
    Bar("max/mean NIC utilisation, NICs of 4:1", "mixed", (OURS,), _peak, 1.35),
    Bar("hit ratio, points against rendezvous", "steady-70", (OURS, HITS), _hit_points, -2.0, at_most=False),
    Bar("origin fetches x rendezvous", "steady-70", (OURS, HITS), _origin, 1.1),
    Bar("p99 start x the better oracle", "steady-70", (OURS, HITS, BALANCE), _start, 1.15),
    Bar("sessions moved by a death, less those on it", "death", (OURS,), _strays, 0.0),
    Bar("herd index, p99 of report intervals", "busy", (OURS,), _herd, 3.0),
)
