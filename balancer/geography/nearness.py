"""How near the regions of the mesh are to one listener: the order of evidence. Pure.

The first of these that says anything about regions of the mesh decides which of them comes first:

    asked      the region that the listener names, unless its own measurements contradict: another is 30 ms nearer
    measured   round trips that this listener measured
    learned    round trips that others of its network had, where they beat what the next three say
    cidr       the operator's file
    geoip      the database's coordinates of the address
    default    the region of those who say nothing

The others follow by what was measured or learned for them, and where nothing was by how far they are from the first.

Invariants: every region of the mesh is in the answer once, no other is, and none is said to be nearer than the first. A region
that was never tried is never put before one that was by guesses alone: probes are there to find out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from balancer.geography.networks import Networks
from balancer.geography.regions import RTT_MS_MAX, UNKNOWN_MS, Location, RegionTable, estimate_ms
from reprise.prefixes import Address, PrefixTable, household_of, network_of, parse_address

# Less than this is what two measurements of the same path differ by.
CONTRADICTION_MS = 30.0
PLACES_MAX = 65_536
REGIONS_MAX = 1_000


class Evidence(StrEnum):
    """What decided which region comes first."""

    ASKED = "asked"
    MEASURED = "measured"
    LEARNED = "learned"
    CIDR = "cidr"
    GEOIP = "geoip"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Nearness:
    """(region, round trip in ms), the nearest first."""

    regions: tuple[tuple[str, float], ...]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class _Place:
    """What an address alone says."""

    network: int | None
    home: str
    nearness: Nearness
    # How much further than home the others are.
    beyond: Mapping[str, float]


class Geography:
    """All evidence that one balancer has. `locate` is the database, None without one."""

    def __init__(
        self,
        table: RegionTable,
        networks: Networks,
        default_region: str,
        locate: Callable[[Address], Location | None] | None = None,
    ) -> None:
        self._table = table
        self._networks = networks
        self._default_region = default_region
        self._locate = locate
        self._cidrs = PrefixTable()
        self._mesh: frozenset[str] = frozenset()
        self._place = lru_cache(PLACES_MAX)(self._find_place)
        self._asked_alone = lru_cache(REGIONS_MAX)(self._by_wish)
        self._beyond = lru_cache(REGIONS_MAX)(self._further)

    def set_mesh(self, regions: frozenset[str]) -> None:
        """The regions that have edges."""
        if regions != self._mesh:
            self._mesh = regions
            self._forget_places()

    def set_cidrs(self, cidrs: PrefixTable) -> None:
        """The operator's file, read anew."""
        self._cidrs = cidrs
        self._forget_places()

    def learn(self, address: str, region: str, rtt_ms: float, now: float) -> None:
        """A listener's round trip to an edge of a region; nothing is learned from 0, which means not known."""
        parsed = parse_address(address)
        network = network_of(parsed) if parsed else None
        if parsed is not None and network is not None and rtt_ms > 0 and region in self._mesh:
            self._networks.learn(network, household_of(parsed), region, min(rtt_ms, RTT_MS_MAX), now)

    def regions(self, asked: str, measured: Mapping[str, float], address: str, now: float) -> Nearness:
        """`asked` is empty and `measured` too where the listener told nothing, `address` where it is not known."""
        place = self._place(address)
        learned = self._here(self._networks.of(place.network, now))
        told = self._here(measured)
        if asked and self._makes_sense(asked) and not _contradicted(asked, told):
            if not (told or learned):
                return self._asked_alone(asked)
            return Nearness(self._around(asked, self._beyond(asked), learned | told), Evidence.ASKED)
        if told:
            home = min(told, key=told.__getitem__)
            return Nearness(self._around(home, self._beyond(home), learned | told), Evidence.MEASURED)
        return self._by_learned(place, learned) if learned else place.nearness

    def _by_learned(self, place: _Place, learned: dict[str, float]) -> Nearness:
        figures = self._expected_at_home(place) | learned
        home = min(figures, key=figures.__getitem__)
        evidence = Evidence.LEARNED if home in learned else place.nearness.evidence
        beyond = place.beyond if home == place.home else self._beyond(home)
        return Nearness(self._around(home, beyond, learned), evidence)

    def _expected_at_home(self, place: _Place) -> dict[str, float]:
        """Nobody said that the default region is near."""
        if place.home not in self._mesh:
            return {}
        guess = place.nearness.evidence is Evidence.DEFAULT
        return {place.home: UNKNOWN_MS if guess else place.nearness.regions[0][1]}

    def _around(
        self, home: str, beyond: Mapping[str, float], figures: Mapping[str, float]
    ) -> tuple[tuple[str, float], ...]:
        """All regions of the mesh, home first where it is one; `figures` say better than the estimates."""
        base = figures.get(home, self._table.rtt_ms(home, home))
        rest = sorted((figures.get(region, base + more), region) for region, more in beyond.items())
        first = ((home, base),) if home in self._mesh else ()
        return *first, *((region, max(base, rtt_ms)) for rtt_ms, region in rest)

    def _here(self, rtts: Mapping[str, float]) -> dict[str, float]:
        return {region: rtt_ms for region, rtt_ms in rtts.items() if region in self._mesh}

    def _makes_sense(self, region: str) -> bool:
        """A region without edges says where somebody is too, where the operator told how far the others are from it."""
        return region in self._mesh or self._table.knows(region)

    def _by_wish(self, region: str) -> Nearness:
        return Nearness(self._around(region, self._beyond(region), {}), Evidence.ASKED)

    def _further(self, home: str) -> Mapping[str, float]:
        """How far each of the other regions is from home."""
        return {region: self._table.rtt_ms(home, region) for region in sorted(self._mesh - {home})}

    def _find_place(self, address: str) -> _Place:
        parsed = parse_address(address)
        network = network_of(parsed) if parsed else None
        told = self._cidrs.find(parsed) if parsed else None
        if told is not None and self._makes_sense(told):
            return self._place_at(network, told, Evidence.CIDR)
        location = self._locate(parsed) if parsed and self._locate else None
        rtts = self._estimates(location) if location else {}
        if not rtts:
            return self._place_at(network, self._default_region, Evidence.DEFAULT)
        home = min(rtts, key=rtts.__getitem__)
        beyond = dict(self._beyond(home)) | {region: rtts[region] - rtts[home] for region in rtts if region != home}
        nearness = Nearness(self._around(home, beyond, {home: rtts[home]}), Evidence.GEOIP)
        return _Place(network, home, nearness, beyond)

    def _place_at(self, network: int | None, home: str, evidence: Evidence) -> _Place:
        beyond = self._beyond(home)
        return _Place(network, home, Nearness(self._around(home, beyond, {}), evidence), beyond)

    def _estimates(self, location: Location) -> dict[str, float]:
        known = self._table.locations
        return {region: estimate_ms(location, known[region]) for region in sorted(self._mesh & known.keys())}

    def _forget_places(self) -> None:
        self._place.cache_clear()
        self._asked_alone.cache_clear()
        self._beyond.cache_clear()


def _contradicted(asked: str, measured: Mapping[str, float]) -> bool:
    return asked in measured and min(measured.values()) + CONTRADICTION_MS < measured[asked]
