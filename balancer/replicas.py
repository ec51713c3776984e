"""How many edges of a region serve a song, by how much it is in demand. Pure: says what to prefill, never does it.

    wanted = ceil(demand / (0.05 x median capacity of an edge)), at least 1, at most all edges that take listeners
    demand = live bit rate that edges report + listeners waiting for it there x bit rate + what was given out in the last 10 s

A set grows at once, but at most doubles in a second; it shrinks by one every 30 s, and only while half of it would do. It
consists of the first edges of the song's order, so growing keeps everyone where they are; the second is the first one of
another zone, if there is any. A new member is prefilled before it takes listeners, or takes them after 2 s as it is.

Invariants: an edge's report counts once, whatever it repeats; only so many songs are known, the ones that nobody asked for go
first; a song that is not known has one edge.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from balancer.edges import SongHeat
from balancer.orders import Orders
from balancer.policy import DEFAULT, Policy

SONGS_MAX = 10_000
PREFILLS_MAX = 1_000
# What an edge reports of a song counts from this part of a replica's worth on.
FLOOR = 1 / 50
# Of a song whose listeners wait on an edge before anyone asked here.
BITRATE_BPS = 160_000
# In bit rates of the song. A listener who came just now counts twice, as given out and as live: three are at least two.
POPULAR = 3
NOBODY: Mapping[str, float] = {}


@dataclass(frozen=True, slots=True)
class Prefill:
    """An edge should have the beginning of a song, because it will soon be asked for it."""

    edge_id: str
    rendition_id: str


@dataclass(slots=True)
class ReplicaSet:
    """One song as one region serves it."""

    # The edges that should serve it.
    own: Sequence[str]
    # Those that have it already.
    holders: Mapping[str, float]
    # Others hear it too, so that a further copy pays.
    popular: bool


@dataclass(slots=True)
class _Song:
    """One rendition in one region."""

    # Edge -> the bit rate of its last report; 0 when it only was sent a listener or a prefill. These have the song, likely.
    holders: dict[str, float] = field(default_factory=dict)
    live_bps: float = 0.0
    arrived_bps: float = 0.0
    arrived_at: float = 0.0
    bitrate_bps: int = BITRATE_BPS
    size: int = 1
    moved_at: float = -math.inf
    order: Sequence[str] = ()
    members: tuple[str, ...] = ()
    # New members -> when they take listeners at the latest.
    filling: dict[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Region:
    songs: OrderedDict[str, _Song] = field(default_factory=OrderedDict)
    # Songs with more than one edge.
    wide: dict[str, _Song] = field(default_factory=dict)
    # What one edge should carry of a song, and how many there are.
    portion_bps: float = math.inf
    edges: int = 1


class Replicas:
    """The replica sets of all songs in demand."""

    def __init__(
        self, orders: Orders, zone_of: Callable[[str], str], policy: Policy = DEFAULT, songs_max: int = SONGS_MAX
    ) -> None:
        self._orders = orders
        self._zone_of = zone_of
        self._policy = policy
        self._songs_max = songs_max
        self._regions: dict[str, _Region] = {}
        # Edge -> (its region, what it reported last).
        self._rows: dict[str, tuple[str, dict[str, float]]] = {}
        self._prefills: deque[Prefill] = deque(maxlen=PREFILLS_MAX)
        self.grown = 0
        self.shrunk = 0

    @property
    def wide(self) -> int:
        """Songs with more than one edge."""
        return sum(len(region.wide) for region in self._regions.values())

    def resize(self, region: str, capacities: Sequence[int]) -> None:
        """The capacities of the region's edges that take listeners."""
        if not capacities:
            self._regions.pop(region, None)
            return
        kept = self._regions.setdefault(region, _Region())
        kept.portion_bps = self._policy.replica_share * sorted(capacities)[len(capacities) // 2]
        kept.edges = len(capacities)

    def look(self, rendition_id: str, region: str, now: float) -> ReplicaSet:
        """Which edges should serve the song now."""
        kept = self._regions.get(region)
        song = kept.songs.get(rendition_id) if kept else None
        if song is None:
            return ReplicaSet(self._orders.of(rendition_id, region)[:1], NOBODY, popular=False)
        if song.size == 1:
            popular = song.live_bps + self._arrived_bps(song, now) >= POPULAR * song.bitrate_bps
            return ReplicaSet(self._orders.of(rendition_id, region)[:1], song.holders, popular)
        self._settle(rendition_id, region, song, now)
        if song.filling:
            song.filling = {edge_id: until for edge_id, until in song.filling.items() if now < until}
            ready = [edge_id for edge_id in song.members if edge_id not in song.filling]
            return ReplicaSet(ready or song.members, song.holders, popular=True)
        return ReplicaSet(song.members, song.holders, popular=True)

    def assigned(
        self, edge_id: str, rendition_id: str, region: str, bitrate_bps: int, balancers: float, now: float
    ) -> None:
        """A listener was sent to the edge by one of this many balancers, all of which do the same."""
        kept = self._regions.get(region)
        if kept is None:
            return
        song = self._song(kept, rendition_id)
        song.holders.setdefault(edge_id, 0.0)
        song.arrived_bps = self._arrived_bps(song, now) + bitrate_bps * balancers
        song.arrived_at = now
        song.bitrate_bps = bitrate_bps
        self._grow(rendition_id, region, kept, song, now)

    def heard(self, edge_id: str, region: str, heat: Iterable[SongHeat], now: float) -> None:
        """An edge's report: it replaces its last one."""
        kept = self._regions.get(region)
        if kept is None:
            return
        floor_bps = FLOOR * kept.portion_bps
        old = self._take_back(edge_id)
        rows: dict[str, float] = {}
        for row in heat:
            known = kept.songs.get(row.rendition_id)
            waiting_bps = row.waiting_followers * (known.bitrate_bps if known else BITRATE_BPS)
            if (bps := row.live_bps + waiting_bps) < floor_bps and row.rendition_id not in old:
                continue
            song = self._song(kept, row.rendition_id)
            song.live_bps += bps - song.holders.get(edge_id, 0.0)
            song.holders[edge_id] = rows[row.rendition_id] = bps
            song.filling.pop(edge_id, None)
            self._grow(row.rendition_id, region, kept, song, now)
        self._rows[edge_id] = (region, rows)

    def forget(self, edge_id: str) -> None:
        """The edge died or restarted: nothing plays there."""
        region, rows = self._rows.get(edge_id, ("", {}))
        self._take_back(edge_id)
        self._rows.pop(edge_id, None)
        kept = self._regions.get(region)
        for rendition_id in rows:
            if kept and (song := kept.songs.get(rendition_id)):
                song.holders.pop(edge_id, None)

    def prefilled(self, edge_id: str, rendition_id: str) -> None:
        """The edge has the beginning of the song."""
        for region in self._regions.values():
            song = region.wide.get(rendition_id)
            if song is not None and song.filling.pop(edge_id, None) is not None:
                song.holders.setdefault(edge_id, 0.0)

    def due_prefills(self) -> list[Prefill]:
        """What is to be prefilled since the last call."""
        due = list(self._prefills)
        self._prefills.clear()
        return due

    def tick(self, now: float) -> None:
        """To be called every second or so: sets shrink."""
        for region in self._regions.values():
            for rendition_id, song in list(region.wide.items()):
                if now - song.moved_at < self._policy.replicas_shrink_s:
                    continue
                if self._wanted(region, song, now) * 2 <= song.size:
                    song.size -= 1
                    song.moved_at = now
                    self.shrunk += 1
                if song.size == 1:
                    song.members, song.order, song.filling = (), (), {}
                    del region.wide[rendition_id]

    def _wanted(self, region: _Region, song: _Song, now: float) -> int:
        demand_bps = song.live_bps + self._arrived_bps(song, now)
        return min(max(1, math.ceil(demand_bps / region.portion_bps)), region.edges)

    def _arrived_bps(self, song: _Song, now: float) -> float:
        """What was given out lately, old news fading: a constant stream of arrivals counts for 10 s."""
        if song.arrived_bps == 0:
            return 0.0
        return song.arrived_bps * math.exp((song.arrived_at - now) / self._policy.arrivals_s)

    def _grow(self, rendition_id: str, region_name: str, region: _Region, song: _Song, now: float) -> None:
        if song.live_bps + song.arrived_bps <= region.portion_bps * song.size:  # as almost always
            return
        wanted = self._wanted(region, song, now)
        if wanted <= song.size or now - song.moved_at < self._policy.replicas_grow_s:
            return
        if song.size == 1:
            region.wide[rendition_id] = song
            song.members = tuple(self._orders.of(rendition_id, region_name)[:1])
        song.size = min(wanted, 2 * song.size)
        song.moved_at = now
        song.order = ()
        self.grown += 1
        self._settle(rendition_id, region_name, song, now)

    def _settle(self, rendition_id: str, region: str, song: _Song, now: float) -> None:
        """Brings the members in line with size and order; new ones are to be prefilled, if anyone else can serve meanwhile."""
        order = self._orders.of(rendition_id, region, song.size)
        if order is song.order and len(song.members) == min(song.size, len(order)):
            return
        members = self._first(order, song.size)
        if not set(members).isdisjoint(song.members):
            for edge_id in members:
                if edge_id not in song.members and edge_id not in song.holders:
                    song.filling[edge_id] = now + self._policy.prefill_s
                    self._prefills.append(Prefill(edge_id, rendition_id))
        song.order, song.members = order, members

    def _first(self, order: Sequence[str], size: int) -> tuple[str, ...]:
        """The first `size` of an order, with two zones among the first two where there are two."""
        if not order:
            return ()
        home_zone = self._zone_of(order[0])
        second = next((e for e in order[1:] if self._zone_of(e) != home_zone), None) if home_zone else None
        if second is None:
            return tuple(order[:size])
        return (order[0], second, *(edge_id for edge_id in order[1:size] if edge_id != second))[:size]

    def _song(self, region: _Region, rendition_id: str) -> _Song:
        song = region.songs.get(rendition_id)
        if song is not None:
            region.songs.move_to_end(rendition_id)
            return song
        if len(region.songs) >= self._songs_max:
            gone, _ = region.songs.popitem(last=False)
            region.wide.pop(gone, None)
        song = region.songs[rendition_id] = _Song()
        return song

    def _take_back(self, edge_id: str) -> dict[str, float]:
        """Counts the edge's last report no longer."""
        region, rows = self._rows.get(edge_id, ("", {}))
        kept = self._regions.get(region)
        for rendition_id in rows:
            song = kept.songs.get(rendition_id) if kept else None
            if song is not None and edge_id in song.holders:
                song.live_bps -= song.holders[edge_id]
                song.holders[edge_id] = 0.0
        return rows
