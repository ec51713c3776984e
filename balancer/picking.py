"""Which edges a listener should try for a song, best first. Pure.

Load is a constraint, the time to the first byte is the objective; never a weighted sum of both (Prequal, NSDI 2024). Each song
has its own rendezvous order of a region's edges and is at home on the first few of them, more the more it is in demand. Within
these the power of two choices decides, and an edge above its cap is passed over (bounded loads, Mirrokni et al. 2018). A song
that hardly anybody hears stays with its home, crowded or not (`Region.is_roomy_home`): it is the songs in demand that even out
the load, because to move them costs no more than one copy.

    REPLICA      two random edges of the song's own: of those within their cap the one that starts sooner, then the emptier one;
                 where the whole region is crowded, its own again, because anybody else would have to fetch the song first
    OVERFLOW     all of its own are crowded: the next in the song's order that is not
    TWO_CHOICES  nor is there one in the first part of that order: two random edges of the region, the emptier one
                 or, where every edge is crowded and some are full, nobody: to be asked again is better than to load them twice
    SPILL        an edge of another region: the session was chosen to leave a loaded one, or nothing is left here
    PANIC        more than half of the region is in doubt: an edge that nobody vouches for, where the others have no room
    RETRY        an edge that has just failed this listener, when there is nothing else
    STAYS        said by others: the edge that the listener hears the song from already, which was not chosen anew

Invariants: an edge that is full, draining or dead is never picked, one in doubt only in panic; no crowded edge comes first
with a song in demand while another edge of its region has room.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from balancer import spill
from balancer.orders import Orders
from balancer.policy import DEFAULT, Policy
from balancer.replicas import Replicas, ReplicaSet
from balancer.spill import Refuge
from balancer.standings import Region, Standing, Standings

CANDIDATES_MAX = 3
# From a new connection to the first byte; on one that is open the request alone crosses, there and back.
ROUND_TRIPS, ROUND_TRIPS_WARM = 3, 1


class Rng(Protocol):
    """Chance, as `random.Random` has it."""

    def random(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Play:
    """One song that one listener wants to start."""

    rendition_id: str
    bitrate_bps: int
    # (region, round trip in ms): where the listener is, then the others by nearness.
    regions: tuple[tuple[str, float], ...]
    # What stays the same for one listener hashes on this.
    session_id: str
    # Edges that just failed this listener.
    failed: frozenset[str] = frozenset()
    # Edges that the listener has a connection to.
    warm: frozenset[str] = frozenset()


class Reason(StrEnum):
    """Why an edge stands where it does."""

    REPLICA = "replica"
    OVERFLOW = "overflow"
    TWO_CHOICES = "two_choices"
    SPILL = "spill"
    PANIC = "panic"
    RETRY = "retry"
    STAYS = "stays"


@dataclass(frozen=True, slots=True)
class Pick:
    """One candidate, and how long it should take to the first byte."""

    edge_id: str
    reason: Reason
    start_ms: float


@dataclass(slots=True)
class _Place:
    """One region as one play sees it."""

    region: Region
    rtt_ms: float
    spilled: bool
    bound: float
    order: Sequence[str]
    serving: ReplicaSet


class Picker:
    """Picks, given what is known of edges, orders and replica sets; changes none of them."""

    def __init__(
        self, standings: Standings, orders: Orders, replicas: Replicas, rng: Rng, policy: Policy = DEFAULT
    ) -> None:
        self._standings = standings
        self._orders = orders
        self._replicas = replicas
        self._rng = rng
        self._policy = policy

    def pick(self, play: Play, now: float) -> list[Pick]:
        """At most three candidates; empty when no edge can take a listener."""
        found: list[Pick] = []
        named = set(play.failed)
        places: list[_Place] = []
        for edge, place, reason in self._by_preference(play, places, named, now):
            named.add(edge.edge_id)
            found.append(self._candidate(play, place, edge, reason))
            if len(found) == CANDIDATES_MAX:
                return found
        for edge, place in self._failed(play, places)[: CANDIDATES_MAX - len(found)]:
            found.append(self._candidate(play, place, edge, Reason.RETRY))
        return found

    def spill_share(self, region: Region) -> float:
        """Of new sessions in the region the part that leaves it; none while there is nowhere to go."""
        return spill.share(region.load, self._policy) if self._has_refuge(region) else 0.0

    def is_in_panic(self, region: Region) -> bool:
        """Whether edges of the region that are in doubt are taken too."""
        return region.in_panic and not self._has_refuge(region)

    def _has_refuge(self, region: Region) -> bool:
        limit = self._policy.spill_from
        return any(other.vouched and other.load < limit for other in self._standings.regions() if other is not region)

    def _by_preference(
        self, play: Play, places: list[_Place], named: set[str], now: float
    ) -> Iterator[tuple[Standing, _Place, Reason]]:
        """Edges within their cap, near regions first; in panic those in doubt; crowded ones. Fills `places` on the way."""
        for region, rtt_ms in self._regions(play):
            order = self._orders.of(play.rendition_id, region.name)
            serving = self._replicas.look(play.rendition_id, region.name, now)
            spilled = region.name != play.regions[0][0]
            place = _Place(region, rtt_ms, spilled, region.bound, order, serving)
            places.append(place)
            for edge, reason in self._roomy(play, place, named):
                yield edge, place, reason
        for place in places:
            if self.is_in_panic(place.region):
                for edge in self._rest(place, named, vouched=False):
                    yield edge, place, Reason.PANIC
        for place in places:
            rest = self._rest(place, named, vouched=True)
            for edge in sorted((edge for edge in rest if edge.edge_id in place.serving.own), key=_use):
                yield edge, place, Reason.REPLICA
            if place.region.is_exhausted and len(named) == len(play.failed):
                continue
            for edge in rest:
                if edge.edge_id not in named:
                    yield edge, place, Reason.TWO_CHOICES

    def _regions(self, play: Play) -> list[tuple[Region, float]]:
        """The regions to try in turn, with their round trips; the one that the session spills to stands first."""
        regions = [(region, rtt_ms) for name, rtt_ms in play.regions if (region := self._standings.region(name))]
        if len(regions) < 2 or not spill.leaves(play.session_id, spill.share(regions[0][0].load, self._policy)):
            return regions
        limit = self._policy.spill_from
        refuges = [Refuge(region.name, rtt_ms, region.free_bps(limit)) for region, rtt_ms in regions[1:]]
        name = spill.refuge(play.session_id, refuges, self._policy)
        return sorted(regions, key=lambda one: one[0].name != name)

    def _roomy(self, play: Play, place: _Place, named: set[str]) -> Iterator[tuple[Standing, Reason]]:
        """The place's edges within their cap: the choice, then the song's order, first what fails apart from the choice."""
        choice = (
            self._choose_own(play, place, named) or self._choose_next(place, named) or self._choose_any(place, named)
        )
        if choice is None:
            return
        yield choice
        for edge in _other_zone_first(self._in_order(place, named), choice[0].zone):
            yield edge, Reason.REPLICA if edge.edge_id in place.serving.own else Reason.OVERFLOW

    def _choose_own(self, play: Play, place: _Place, named: set[str]) -> tuple[Standing, Reason] | None:
        """Of two random ones of the song's own edges the one that starts sooner, or else the first other one with room."""
        own, first = place.serving.own, 0
        if len(own) == 1 and not place.serving.popular:
            home = self._standings.of(own[0])
            takes = home and home.edge_id not in named and place.region.is_roomy_home(home, place.bound)
            return (home, Reason.REPLICA) if home and takes else None
        if len(own) > 2:
            first, second = self._two(len(own))
            roomy = self._those_roomy((own[first], own[second]), place, named)
        else:
            roomy = self._those_roomy(own, place, named)
        if len(roomy) > 1:
            starts = [self._start_ms(play, place, edge) for edge in roomy]
            soonest_ms = min(starts)
            limit = soonest_ms + max(self._policy.alike_ms, soonest_ms * self._policy.alike)
            alike = [edge for edge, start_ms in zip(roomy, starts, strict=True) if start_ms <= limit]
            return min(alike, key=_use), Reason.REPLICA
        if not roomy and len(own) > 2:
            roomy = self._those_roomy((*own[first:], *own[:first]), place, named)
        return (roomy[0], Reason.REPLICA) if roomy else None

    def _choose_next(self, place: _Place, named: set[str]) -> tuple[Standing, Reason] | None:
        """The next edge with room in the song's order, if possible one that has the song."""
        roomy = list(self._in_order(place, named))
        held = next((edge for edge in roomy if edge.edge_id in place.serving.holders), None)
        return (held or roomy[0], Reason.OVERFLOW) if roomy else None

    def _choose_any(self, place: _Place, named: set[str]) -> tuple[Standing, Reason] | None:
        """The emptier one of two random edges with room, wherever they are in the song's order."""
        roomy = self._those_roomy(place.region.edges, place, named)
        return (self._emptier_first(roomy)[0], Reason.TWO_CHOICES) if roomy else None

    def _in_order(self, place: _Place, named: set[str]) -> Iterator[Standing]:
        """The edges with room in the song's order; `named` may grow meanwhile."""
        region, of = place.region, self._standings.of
        for edge_id in place.order:
            if edge_id not in named and (edge := of(edge_id)) and region.is_roomy(edge, place.bound):
                yield edge

    def _those_roomy(self, edge_ids: Iterable[str], place: _Place, named: set[str]) -> list[Standing]:
        of, is_roomy, bound = self._standings.of, place.region.is_roomy, place.bound
        return [edge for e in edge_ids if e not in named and (edge := of(e)) and is_roomy(edge, bound)]

    def _rest(self, place: _Place, named: set[str], *, vouched: bool) -> list[Standing]:
        """Whom nobody has named, crowded or not."""
        edges = place.region.edges.values()
        return self._emptier_first([e for e in edges if e.vouched is vouched and not e.full and e.edge_id not in named])

    def _emptier_first(self, edges: list[Standing]) -> list[Standing]:
        """Two random ones of these in front, the emptier one first."""
        if len(edges) > 2:
            first, second = self._two(len(edges))
            pair = [edges[first], edges[second]]
            edges = pair + [edge for place, edge in enumerate(edges) if place not in (first, second)]
        return sorted(edges[:2], key=_use) + edges[2:]

    def _failed(self, play: Play, places: Sequence[_Place]) -> list[tuple[Standing, _Place]]:
        """The edges that failed this listener, in the order in which they would stand without that."""
        by_region = {place.region.name: place for place in places}
        edges = [edge for edge_id in play.failed if (edge := self._standings.of(edge_id)) and not edge.full]
        again = [(edge, place) for edge in edges if (place := by_region.get(edge.region))]
        usable = [one for one in again if one[0].vouched or self.is_in_panic(one[1].region)]
        return sorted(usable, key=lambda one: self._rank(places, *one))

    def _rank(self, places: Sequence[_Place], edge: Standing, place: _Place) -> tuple[object, ...]:
        at = place.order.index(edge.edge_id) if edge.edge_id in place.order else len(place.order)
        return not edge.vouched, places.index(place), not place.region.is_roomy(edge, place.bound), at, _use(edge)

    def _candidate(self, play: Play, place: _Place, edge: Standing, reason: Reason) -> Pick:
        if place.spilled and reason in (Reason.REPLICA, Reason.OVERFLOW, Reason.TWO_CHOICES):
            reason = Reason.SPILL
        return Pick(edge.edge_id, reason, self._start_ms(play, place, edge))

    def _start_ms(self, play: Play, place: _Place, edge: Standing) -> float:
        trips = ROUND_TRIPS_WARM if edge.edge_id in play.warm else ROUND_TRIPS
        missing_ms = 0.0 if edge.edge_id in place.serving.holders else self._policy.miss_ms
        return trips * place.rtt_ms + edge.first_byte_ms + missing_ms

    def _two(self, count: int) -> tuple[int, int]:
        """Two different places out of `count`."""
        first, second = int(self._rng.random() * count), int(self._rng.random() * (count - 1))
        return first, second + (second >= first)


def _other_zone_first(edges: Iterator[Standing], zone: str) -> Iterator[Standing]:
    """One edge of another zone in front, if there is any; else as they come."""
    passed: list[Standing] = []
    for edge in edges:
        if not zone or edge.zone != zone:
            yield edge
            break
        passed.append(edge)
    yield from passed
    yield from edges


def _use(edge: Standing) -> float:
    """How much of what it may take an edge has taken."""
    return edge.utilisation / edge.ramp
