"""Who plays which song when, on the real mesh as in the simulator, and what is compared. Pure.

Times are those of the simulator, whose warm-up ends at WARM_UP_S; the real run leaves out its first, empty part. All songs are
heard as Opus, which is class 0 of the simulated ones.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate

from bench.balancer.catalog import BITRATES, CLASSES, Catalog
from bench.balancer.workload import WARM_UP_S, Turn, Workload
from bench.report import median

BITRATE_BPS = BITRATES[0]
REGION = "region-0"
BEGIN_S, ARRIVAL_S = WARM_UP_S - 30.0, 15.0
KILL_S, END_S = WARM_UP_S + 45.0, WARM_UP_S + 60.0
SKIPPED_SHARE, SKIPPED_S_MAX = 0.25, 10.0
LEAVING_SHARE = 0.1
# It dies at KILL_S. Edges have numbers from 1 on, as in their names.
VICTIM = 5


@dataclass(frozen=True, eq=False)
class RealCatalog(Catalog):
    """Songs by popularity, with the rendition ids of the real ones: both sides hash the same."""

    rendition_ids: Sequence[str]

    @cached_property
    def ids(self) -> list[str]:
        return [
            f"{known}-{number}" if number else known for known in self.rendition_ids for number in range(len(CLASSES))
        ]


@dataclass(slots=True)
class Outcome:
    """What one side measured. Peaks by second and plays until the kill."""

    # The edge that carries most, over the mean.
    peaks: list[float] = field(default_factory=list)
    starts: int = 0
    hits: int = 0
    on_the_dead: int = 0
    moved: int = 0
    # Who left another edge.
    strays: int = 0
    listeners: int = 0
    failed: int = 0

    def carried(self, listeners_by_edge: Sequence[int]) -> None:
        """One second's sample. All NICs are alike, and so are all listeners."""
        self.peaks.append(max(listeners_by_edge) * len(listeners_by_edge) / max(sum(listeners_by_edge), 1))

    def figures(self) -> dict[str, float]:
        return {
            "max/mean utilisation": median(self.peaks),
            "hit ratio": self.hits / max(self.starts, 1),
            "share of sessions on the edge that dies": self.on_the_dead / max(self.listeners, 1),
            "of these moved": self.moved / max(self.on_the_dead, 1),
            "moved from other edges": self.strays,
            "failed plays": self.failed,
        }


def make_workload(catalog: RealCatalog, edges: int, nic_bps: int, load: float, seed: int) -> Workload:
    """A constant number of listeners, each with one song after the other; a quarter of the songs is skipped."""
    rng = random.Random(seed)
    listeners = int(load * edges * nic_bps / BITRATE_BPS)
    due = [(BEGIN_S + rng.uniform(0, ARRIVAL_S), listener) for listener in range(listeners)]
    heapq.heapify(due)
    started = [False] * listeners
    turns = []
    while due[0][0] < END_S:
        now, listener = due[0]
        song = rng.choices(range(catalog.songs), cum_weights=catalog.popularity)[0]
        new = not started[listener] or rng.random() < LEAVING_SHARE
        turns.append(Turn(now, listener, song * len(CLASSES), new))
        stays_s = rng.uniform(1, SKIPPED_S_MAX) if rng.random() < SKIPPED_SHARE else catalog.lengths_s[song]
        # Whoever comes first is in the middle of a song.
        stays_s *= 1.0 if started[listener] else rng.random()
        started[listener] = True
        heapq.heapreplace(due, (now + stays_s, listener))
    # The simulator's edges count from 0; its first one is taken away at once.
    return Workload(catalog, turns, [0] * listeners, [nic_bps] * (edges + 1), END_S)


def popularity(songs: int, alpha: float) -> list[float]:
    """Running sum of Zipf weights."""
    return list(accumulate((rank + 1) ** -alpha for rank in range(songs)))
