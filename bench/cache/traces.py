"""Synthetic listening: who asks for which part of which song, in which order. Pure; the same seed gives the same trace.

No public trace of a music service has sizes and order, so these are made, from what is published about Spotify (P2P'10: 61 % of
plays follow the one before, 39 % are jumps; a tenth of the songs takes most plays; a quarter is skipped at the start). The
ingredients can be had one by one, because each breaks another kind of policy:

    plain     listeners walk along albums and jump by Zipf
    storms    each hour three songs come out and a third of all listeners turn to them at once; interest halves in 30 minutes
    churn     each hour two thirds of the most popular tenth change places with songs that nobody knew
    scans     devices download whole playlists that nobody else wants
    all       all of that
"""

import heapq
import random
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, compress

from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS

KINDS = ("plain", "storms", "churn", "scans", "all")
# What listeners ask for, and what reaches an edge behind players that keep songs themselves.
ALPHAS = (1.03, 0.88)
ALBUM_TRACKS = 12
LISTENERS = 2000
SEQUENTIAL_SHARE = 0.61
SKIPPED_SHARE = 0.25
HOUR_S = 3600.0
STORM_SONGS, STORM_SHARE, STORM_HALF_S = 3, 0.33, 1800.0
CHURN_TOP_SHARE, CHURN_SHARE = 0.1, 2 / 3
SCAN_EVERY_S, SCAN_TRACKS, SCAN_TRACK_S = 60.0, 100, 2.0
# bits/s and how common they are: Opus twice, AAC, FLAC.
BITRATES = ((96_000, 45), (160_000, 40), (320_000, 10), (900_000, 5))


@dataclass(frozen=True)
class Trace:
    """Requests in order. Object 2n is the prefix of track n, object 2n+1 its tail; `sizes` is by object, 0 for no tail;
    `durations_s` is by track."""

    name: str
    objects: Sequence[int]
    listeners: Sequence[int]
    times_s: Sequence[float]
    sizes: tuple[int, ...]
    durations_s: tuple[float, ...]

    @property
    def footprint_bytes(self) -> int:
        """What a cache that evicts nothing would hold at the end."""
        return sum(self.sizes[item] for item in set(self.objects))

    @property
    def requested_bytes(self) -> int:
        return sum(self.sizes[item] for item in self.objects)

    def where(self, chosen: Sequence[bool]) -> "Trace":
        """The requests for which `chosen` is true."""
        objects, listeners = array("Q", compress(self.objects, chosen)), array("L", compress(self.listeners, chosen))
        return replace(self, objects=objects, listeners=listeners, times_s=array("d", compress(self.times_s, chosen)))


def make_trace(kind: str, alpha: float, plays: int, tracks: int, seed: int = 1) -> Trace:
    """About `plays` plays of a catalog of `tracks`."""
    world = _World(kind, alpha, tracks, random.Random(f"{kind} {alpha} {seed}"))
    while world.plays < plays:
        world.step()
    sizes, durations_s = tuple(world.sizes), tuple(world.durations_s)
    return Trace(f"{kind} {alpha}", world.objects, world.listeners, world.times_s, sizes, durations_s)


class _World:
    """Listeners and devices on one clock."""

    def __init__(self, kind: str, alpha: float, tracks: int, rng: random.Random) -> None:
        self.objects, self.listeners, self.times_s = array("Q"), array("L"), array("d")
        self.sizes: list[int] = []
        self.durations_s: list[float] = []
        self.plays = 0
        self._kind = kind
        self._rng = rng
        for _ in range(tracks):
            self._add_track()
        self._by_rank = rng.sample(range(tracks), tracks)
        self._weights = list(accumulate(1 / rank**alpha for rank in range(1, tracks + 1)))
        self._now_s = 0.0
        self._storm: range = range(0)
        self._storm_at_s = 0.0
        # (when, order, listener, track, object to ask for): -1 chooses the next track.
        self._due: list[tuple[float, int, int, int, int]] = []
        self._order = 0
        for listener in range(LISTENERS):
            self._at(rng.uniform(0, 300), listener, self._jump(), -1)
        self._next_hour_s, self._next_scan_s = HOUR_S, SCAN_EVERY_S

    def step(self) -> None:
        """The next event: a request for a tail, or a listener's next song."""
        when, _, listener, track, item = heapq.heappop(self._due)
        self._now_s = when
        self._wake_world()
        if item >= 0:
            self._ask(listener, item)
        elif listener < LISTENERS:
            self._play(listener, self._next(track))

    def _wake_world(self) -> None:
        if self._now_s >= self._next_hour_s:
            self._next_hour_s += HOUR_S
            if self._kind in ("churn", "all"):
                self._churn()
            if self._kind in ("storms", "all"):
                self._release()
        if self._now_s >= self._next_scan_s and self._kind in ("scans", "all"):
            self._next_scan_s += SCAN_EVERY_S
            self._scan()

    def _play(self, listener: int, track: int) -> None:
        self.plays += 1
        self._ask(listener, 2 * track)
        skipped = self._rng.random() < SKIPPED_SHARE
        stays_s = self._rng.uniform(2, 30) if skipped else self.durations_s[track]
        if not skipped and self.sizes[2 * track + 1]:
            self._at(self._now_s + self._rng.uniform(1, 5), listener, track, 2 * track + 1)
        self._at(self._now_s + stays_s, listener, track, -1)

    def _next(self, track: int) -> int:
        if self._rng.random() < SEQUENTIAL_SHARE and (track + 1) % ALBUM_TRACKS and track + 1 < len(self._by_rank):
            return track + 1
        return self._jump()

    def _jump(self) -> int:
        if self._storm and self._rng.random() < STORM_SHARE * 0.5 ** ((self._now_s - self._storm_at_s) / STORM_HALF_S):
            return self._rng.choice(self._storm)
        return self._by_rank[self._rng.choices(range(len(self._by_rank)), cum_weights=self._weights)[0]]

    def _release(self) -> None:
        """New songs, and a third of the listeners leave what they hear for them within a second."""
        self._storm = range(len(self.durations_s), len(self.durations_s) + STORM_SONGS)
        self._storm_at_s = self._now_s
        for _ in self._storm:
            self._add_track()
        turning = set(self._rng.sample(range(LISTENERS), int(STORM_SHARE * LISTENERS)))
        self._due = [event for event in self._due if event[2] not in turning]
        heapq.heapify(self._due)
        for listener in sorted(turning):
            track = self._rng.choice(self._storm)
            self._at(self._now_s + self._rng.random(), listener, track, 2 * track)
            self._at(self._now_s + 1 + self._rng.uniform(1, 5), listener, track, 2 * track + 1)
            self._at(self._now_s + self.durations_s[track], listener, track, -1)

    def _churn(self) -> None:
        top = int(CHURN_TOP_SHARE * len(self._by_rank))
        for rank in self._rng.sample(range(top), int(CHURN_SHARE * top)):
            other = self._rng.randrange(top, len(self._by_rank))
            self._by_rank[rank], self._by_rank[other] = self._by_rank[other], self._by_rank[rank]

    def _scan(self) -> None:
        device = LISTENERS + self._rng.randrange(LISTENERS)
        for number, track in enumerate(self._rng.choices(range(len(self._by_rank)), k=SCAN_TRACKS)):
            when = self._now_s + number * SCAN_TRACK_S
            for item in (2 * track, 2 * track + 1):
                self._at(when, device, track, item)

    def _ask(self, listener: int, item: int) -> None:
        if self.sizes[item]:
            self.objects.append(item)
            self.listeners.append(listener)
            self.times_s.append(self._now_s)

    def _at(self, when: float, listener: int, track: int, item: int) -> None:
        self._order += 1
        heapq.heappush(self._due, (when, self._order, listener, track, item))

    def _add_track(self) -> None:
        duration_s = min(max(self._rng.lognormvariate(5.35, 0.35), 30.0), 900.0)
        bitrate_bps = self._rng.choices([bps for bps, _ in BITRATES], [share for _, share in BITRATES])[0]
        size_bytes = int(duration_s * bitrate_bps / 8)
        prefix_bytes = min(size_bytes, PREFIX_CHUNKS * CHUNK_BYTES)
        self.durations_s.append(duration_s)
        self.sizes += [prefix_bytes, size_bytes - prefix_bytes]
