"""The songs of the simulated world: how long, how large, how popular. Pure; the same arguments give the same songs.

A rendition is a number: song x 4 + its class of bit rate. Songs are numbered by popularity, the most popular first; the last
few are not released yet, so no edge holds them when a run begins.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import accumulate

# Bits/s and how many listeners hear them: Opus twice, AAC, lossless.
CLASSES = ((96_000, 0.25), (160_000, 0.40), (320_000, 0.25), (1_000_000, 0.10))
BITRATES = tuple(bps for bps, _ in CLASSES)
MEAN_BPS = sum(bps * share for bps, share in CLASSES)
# A song of 3.5 minutes in the middle.
MEDIAN_S, SPREAD = 210.0, 0.35
SHORTEST_S, LONGEST_S = 30.0, 900.0
RELEASES = 4


@dataclass(frozen=True, eq=False)
class Catalog:
    """`lengths_s` is by song, `popularity` the running sum of Zipf weights over the released ones."""

    lengths_s: Sequence[float]
    popularity: Sequence[float]

    @property
    def songs(self) -> int:
        """How many are released; the numbers from here on are the releases to come."""
        return len(self.popularity)

    @cached_property
    def ids(self) -> list[str]:
        """Rendition ids as the balancer knows them."""
        return [f"{rendition:x}" for rendition in range(len(self.lengths_s) * len(CLASSES))]

    @cached_property
    def sizes_bytes(self) -> list[int]:
        return [int(length_s * bps / 8) for length_s in self.lengths_s for bps in BITRATES]

    @cached_property
    def by_demand(self) -> list[int]:
        """Released renditions, those that are asked for most first."""
        weights = [b - a for a, b in zip((0.0, *self.popularity), self.popularity, strict=False)]
        demand = [weight * share for weight in weights for _, share in CLASSES]
        return sorted(range(len(demand)), key=demand.__getitem__, reverse=True)

    @property
    def bytes(self) -> int:
        return sum(self.sizes_bytes)


@cache
def make_catalog(songs: int, alpha: float) -> Catalog:
    """Songs whose popularity falls with rank ** -alpha."""
    rng = random.Random(songs)
    lengths = [MEDIAN_S * rng.lognormvariate(0.0, SPREAD) for _ in range(songs + RELEASES)]
    clamped = [min(max(length, SHORTEST_S), LONGEST_S) for length in lengths]
    return Catalog(clamped, list(accumulate((rank + 1) ** -alpha for rank in range(songs))))
