"""Which songs are hot on this edge: what is played now, and a past that fades. Pure.

What is played now is known exactly. What was played until a moment ago is kept in space-saving counters (Metwally, Agrawal and
El Abbadi, "Efficient computation of frequent and top-k elements in data streams", ICDT 2005), whose weights fade by forward
decay (Cormode et al., ICDE 2009): so heat rises at once, halves in HALF_LIFE_S, and a few hundred counters do.

Invariants of the counters, for weights as faded by now: never more than `counters_max` keys; of a key that is kept, `count` is
at least its weight and `count - error` at most that; an error is at most total / counters_max, and whoever has more than that
is kept.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush, heapreplace, nlargest

HALF_LIFE_S = 10.0
REPORTED_MAX = 64
# What a waiting reader counts in the order of songs: one listener. It may be an edge, with many behind it.
FOLLOWER_BPS = 96_000
# Scaled weights grow by 2 ** (age / half-life); a double has room for 2 ** 1023.
_RESCALE_AT = 256.0


@dataclass(frozen=True, slots=True)
class Count:
    """An upper bound of a key's weight, and by how much it may be too high."""

    count: float
    error: float

    @property
    def sure(self) -> float:
        """So much it is at least."""
        return self.count - self.error


@dataclass(frozen=True, slots=True)
class SongHeat:
    """One of the hottest renditions."""

    rendition_id: str
    live_bps: int
    waiting: int


class FadingCounts:
    """See the module."""

    def __init__(self, counters_max: int, half_life_s: float = HALF_LIFE_S) -> None:
        self._counters_max = counters_max
        self._half_life_s = half_life_s
        # Weights are scaled to what they would have been at this moment, so that fading moves no counter against another.
        self._origin = 0.0
        self._counts: dict[str, float] = {}
        self._errors: dict[str, float] = {}
        # One entry per key, with its count when it was last looked at: the counts only grow.
        self._least: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._counts)

    def __contains__(self, key: str) -> bool:
        return key in self._counts

    def add(self, key: str, weight: float, now: float) -> None:
        """`key` gets `weight`, which fades from now on."""
        weight *= self._scale(now)
        count = self._counts.get(key)
        if count is not None:
            self._counts[key] = count + weight
            return
        # Whoever comes in place of another inherits its count, as the most that this key may have had before.
        error = self._drop_least() if len(self._counts) >= self._counters_max else 0.0
        self._counts[key] = error + weight
        self._errors[key] = error
        heappush(self._least, (error + weight, key))

    def counts(self, now: float) -> dict[str, Count]:
        """Every key that is kept."""
        scale = self._scale(now)
        return {key: Count(count / scale, self._errors[key] / scale) for key, count in self._counts.items()}

    def _scale(self, now: float) -> float:
        halvings = (now - self._origin) / self._half_life_s
        if halvings > _RESCALE_AT:
            self._rescale(now, 2.0**-halvings)
            halvings = 0.0
        return float(2.0**halvings)

    def _rescale(self, now: float, factor: float) -> None:
        self._origin = now
        self._counts = {key: count * factor for key, count in self._counts.items()}
        self._errors = {key: error * factor for key, error in self._errors.items()}
        self._least = sorted((count, key) for key, count in self._counts.items())

    def _drop_least(self) -> float:
        while True:
            known, key = self._least[0]
            count = self._counts[key]
            if count == known:
                heappop(self._least)
                del self._counts[key], self._errors[key]
                return count
            heapreplace(self._least, (count, key))


def hottest(live: Mapping[str, int], past: FadingCounts, waiting: Mapping[str, int], now: float) -> list[SongHeat]:
    """The hottest renditions, first the hottest. `live` is bits per second by rendition, `past` those of who has just left."""
    fading = {key: int(count.sure) for key, count in past.counts(now).items()}
    candidates = {*nlargest(REPORTED_MAX, live, key=live.__getitem__), *fading, *waiting}
    songs = (SongHeat(r, live.get(r, 0) + fading.get(r, 0), waiting.get(r, 0)) for r in candidates)
    return nlargest(
        REPORTED_MAX,
        (song for song in songs if song.live_bps or song.waiting),
        key=lambda song: (song.live_bps + song.waiting * FOLLOWER_BPS, song.rendition_id),
    )
