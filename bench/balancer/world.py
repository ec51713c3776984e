"""The edges as they are, not as a balancer believes: what they carry, hold and are home to. No clock: `now` is an argument.

Bandwidth is a fluid: an edge whose streams want more than its NIC gives slows all of them alike. A rendition that an edge
lacks is relayed from its home in the region, over the home's NIC; only the home reads the origin, and who comes while a song
is being filled shares that fill. Streams take their bit rate evenly: the burst at a stream's start is not modelled.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from itertools import accumulate

from bench.balancer.cache import Cache
from bench.balancer.catalog import Catalog
from bench.balancer.homes import Homes

ZONES = 5
# First byte, after it was asked for: from the edge's own disk, from the home, from the origin.
HELD_MS, RELAY_MS, ORIGIN_MS = 1.0, 8.0, 60.0
# A song is filled at this rate, whatever the NICs.
FILL_BPS = 200_000_000
# A relay's load on the home's NIC is spread over a quarter of the song: the NICs are a tenth of real ones and songs are not, so
# at once it would be ten times as rough as it is.
RELAY_SPEED = 4
# Where plays go anywhere, edges hold in half of their caches what all listeners hear, and in the rest what they are home to.
COMMON_SHARE = 0.5
# What a player wants to have before it plays.
FIRST_AUDIO_S = 0.5

MakeHomes = Callable[[Mapping[int, int]], Homes]


class Source(StrEnum):
    """Where the bytes of a play come from."""

    HELD = "held"
    SHARED = "shared"  # somebody else's fill is under way
    RELAY = "relay"
    ORIGIN = "origin"


@dataclass(slots=True)
class Fill:
    """A rendition on its way into a cache."""

    first_byte_at: float
    ends_at: float


class World:
    """Edges by number; lists are indexed by it."""

    def __init__(self, catalog: Catalog, capacities_bps: list[int], regions: int, cache_bytes: int, homes: MakeHomes):
        self.catalog = catalog
        self.capacities_bps = list(capacities_bps)
        self.regions = [edge % regions for edge in range(len(capacities_bps))]
        self.region_count = regions
        self.usable_bps = [float(bps) for bps in capacities_bps]
        self.committed_bps = [0] * len(capacities_bps)
        self.relayed_bps = [0] * len(capacities_bps)
        self.active = [0] * len(capacities_bps)
        self.up = [True] * len(capacities_bps)
        # How often each rendition was read from the origin.
        self.origin_fetches: Counter[int] = Counter()
        self._cache_bytes = cache_bytes
        self._caches = [Cache(cache_bytes) for _ in capacities_bps]
        self._fills: dict[tuple[int, int], Fill] = {}
        self._make_homes = homes
        self.settle_homes()

    def add(self, capacity_bps: int, region: int) -> int:
        """A new edge with an empty cache; returns its number."""
        self.capacities_bps.append(capacity_bps)
        self.regions.append(region)
        self.usable_bps.append(float(capacity_bps))
        self.committed_bps.append(0)
        self.relayed_bps.append(0)
        self.active.append(0)
        self.up.append(True)
        self._caches.append(Cache(self._cache_bytes))
        return len(self.up) - 1

    def settle_homes(self) -> None:
        """Edges agree anew on who is alive."""
        self.homes = [self._make_homes(self.alive(region)) for region in range(self.region_count)]

    def alive(self, region: int) -> dict[int, int]:
        """Capacities by edge."""
        return {e: bps for e, bps in enumerate(self.capacities_bps) if self.up[e] and self.regions[e] == region}

    def hold(self, common_share: float) -> None:
        """Gives each edge the most popular songs of all and the most popular that it is home to: the mesh has run for days."""
        for region in range(self.region_count):
            members = tuple(self.alive(region).items())
            for edge, renditions in _held(
                self._make_homes, members, self.catalog, self._cache_bytes, common_share
            ).items():
                for rendition in reversed(renditions):
                    self._caches[edge].keep(rendition, self.catalog.sizes_bytes[rendition])

    def utilisation(self, edge: int) -> float:
        """What is wanted of the NIC over what it gives; above 1 its streams are slowed."""
        return (self.committed_bps[edge] + self.relayed_bps[edge]) / self.usable_bps[edge]

    def first_audio_ms(self, edge: int, bitrate_bps: int) -> float:
        """How long the first audio of one more stream takes through the NIC."""
        used = self.utilisation(edge)
        rate_bps = max(bitrate_bps / max(used, 1.0), (1.0 - used) * self.usable_bps[edge])
        return 1000.0 * FIRST_AUDIO_S * bitrate_bps / rate_bps

    def fetch(self, edge: int, rendition: int, now: float) -> tuple[Source, float, int | None]:
        """An edge is asked for a rendition: the source, ms to its first byte, and the edge that now relays it, if any."""
        if self._caches[edge].touch(rendition):
            fill = self._fills.get((edge, rendition))
            if fill is None or fill.ends_at <= now:
                return Source.HELD, HELD_MS, None
            return Source.SHARED, HELD_MS + max(1000.0 * (fill.first_byte_at - now), 0.0), None
        home = self.home(self.regions[edge], rendition)
        if home == edge or not self.up[home]:
            self.origin_fetches[rendition] += 1
            self._fill(edge, rendition, ORIGIN_MS, now)
            return Source.ORIGIN, ORIGIN_MS, None
        _, wait_ms, _ = self.fetch(home, rendition, now)
        self._fill(edge, rendition, RELAY_MS + wait_ms, now)
        return Source.RELAY, RELAY_MS + wait_ms, home

    def home(self, region: int, rendition: int) -> int:
        return self.homes[region].order(self.catalog.ids[rendition])[0]

    def held_bytes(self, edge: int) -> int:
        return self._caches[edge].bytes_held

    def _fill(self, edge: int, rendition: int, first_byte_ms: float, now: float) -> None:
        self._caches[edge].add(rendition, self.catalog.sizes_bytes[rendition])
        first_byte_at = now + first_byte_ms / 1000.0
        self._fills[edge, rendition] = Fill(
            first_byte_at, first_byte_at + 8 * self.catalog.sizes_bytes[rendition] / FILL_BPS
        )


@lru_cache(maxsize=12)
def _held(
    make_homes: MakeHomes,
    members: tuple[tuple[int, int], ...],
    catalog: Catalog,
    bytes_max: int,
    common_share: float,
) -> dict[int, list[int]]:
    """By edge its renditions, the most popular first. Remembered, because each run of a scenario begins with them."""
    sizes = catalog.sizes_bytes
    used = accumulate(sizes[rendition] for rendition in catalog.by_demand)
    common = [r for r, total in zip(catalog.by_demand, used, strict=True) if total <= common_share * bytes_max]
    free = dict.fromkeys(dict(members), bytes_max - sum(sizes[rendition] for rendition in common))
    held = {edge: list(common) for edge in free}
    homes = make_homes(dict(members))
    for rendition in catalog.by_demand[len(common) :]:
        edge = homes.order(catalog.ids[rendition])[0]
        if free.get(edge, 0) >= sizes[rendition]:
            free[edge] -= sizes[rendition]
            held[edge].append(rendition)
        elif edge in free and free.pop(edge) and not free:
            break
    return held
