"""Who starts which song when: made once for a scenario and a seed, and the same for every rule. Pure.

The number of listeners is constant, so the load is what the scenario says: who leaves is followed by somebody new. A quarter
of the songs is skipped within seconds. Nothing that an edge does changes when a listener starts the next song.
"""

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from bench.balancer.catalog import CLASSES, MEAN_BPS, Catalog, make_catalog
from bench.balancer.scenarios import FLASH_AT_S, Scenario

WARM_UP_S = 120.0
# All listeners come within this time, in the middle of a song.
ARRIVAL_S = 60.0
SKIPPED_SHARE, SKIPPED_S_MAX = 0.25, 20.0
# A listener hears ten songs on average.
LEAVING_SHARE = 0.1
FLASH_GROWTH_S = 10.0


class Turn(NamedTuple):
    """A listener ends what they hear, if anything, and starts `rendition`. `new`: somebody else in their place."""

    at_s: float
    listener: int
    rendition: int
    new: bool


@dataclass(frozen=True, slots=True)
class Workload:
    """`turns` in order of time; `regions` is by listener."""

    catalog: Catalog
    turns: list[Turn]
    regions: list[int]
    capacities_bps: list[int]
    ends_at_s: float


@lru_cache(maxsize=2)
def make_workload(scenario: Scenario, edges: int, measured_s: float, seed: int) -> Workload:
    """The listening of one run."""
    count = max(len(scenario.regions), round(edges * scenario.edges_share))
    capacities = [scenario.nics_bps[edge % len(scenario.nics_bps)] for edge in range(count)]
    listeners = int(scenario.load * sum(capacities) / MEAN_BPS)
    catalog = make_catalog(scenario.songs, scenario.alpha)
    rng = random.Random(seed)
    regions = rng.choices(range(len(scenario.regions)), scenario.regions, k=listeners)
    ends_at_s = WARM_UP_S + measured_s
    return Workload(catalog, _turns(scenario, catalog, listeners, ends_at_s, rng), regions, capacities, ends_at_s)


def _turns(scenario: Scenario, catalog: Catalog, listeners: int, ends_at_s: float, rng: random.Random) -> list[Turn]:
    songs = _draws(catalog, rng)
    shares = list(accumulate(share for _, share in CLASSES))
    classes = rng.choices(range(len(CLASSES)), cum_weights=shares, k=listeners)
    due = [(rng.uniform(0, ARRIVAL_S), listener) for listener in range(listeners)]
    heapq.heapify(due)
    started = [False] * listeners
    turns = []
    while due[0][0] < ends_at_s:
        now, listener = due[0]
        new = not started[listener] or rng.random() < LEAVING_SHARE
        song = catalog.songs if rng.random() < _flash(scenario, now) else next(songs)
        turns.append(Turn(now, listener, song * len(CLASSES) + classes[listener], new))
        stays_s = _stays(catalog.lengths_s[song], rng)
        if not started[listener]:
            started[listener], stays_s = True, stays_s * rng.random()
        heapq.heapreplace(due, (now + stays_s, listener))
    return turns


def _stays(length_s: float, rng: random.Random) -> float:
    return rng.uniform(1.0, SKIPPED_S_MAX) if rng.random() < SKIPPED_SHARE else length_s


def _flash(scenario: Scenario, now: float) -> float:
    """The share of the release among plays that begin now."""
    return scenario.flash_share * min(max((now - WARM_UP_S - FLASH_AT_S) / FLASH_GROWTH_S, 0.0), 1.0)


def _draws(catalog: Catalog, rng: random.Random) -> Iterator[int]:
    while True:
        yield from rng.choices(range(catalog.songs), cum_weights=catalog.popularity, k=10_000)
