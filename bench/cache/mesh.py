"""Edges of one region as they run, against the same edges as independent caches, and against one cache of all their bytes.

No network: only what is fetched. An edge has a RAM tier that takes everything and a disk tier behind its admission. A miss in
the mesh goes to the song's home edge, which answers from its tiers or asks the origin; an independent edge asks the origin.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from bench.cache.contenders import keys_of
from bench.cache.routing import EDGES
from bench.cache.traces import Trace
from edge_node.disk_admission import DiskAdmission
from edge_node.eviction import Grown, Key, S3Fifo
from edge_node.homes import Homes

# Of a cache's bytes, the rest is disk.
RAM_SHARE = 0.1
SEEN_KEYS_MAX = 100_000
# The NICs are equal, as in `routing`.
CAPACITIES = dict.fromkeys(EDGES, 1)


class Edge:
    """Both tiers of one edge, with the policies of production."""

    def __init__(self, cache_bytes: int) -> None:
        ram_bytes = int(RAM_SHARE * cache_bytes)
        self.homes = Homes()
        self._ram = S3Fifo(ram_bytes, keys_max=1 << 30)
        self._disk = S3Fifo(cache_bytes - ram_bytes, keys_max=1 << 30)
        self._admission = DiskAdmission(SEEN_KEYS_MAX, self.homes, self._disk)

    def request(self, key: Key, size_bytes: int) -> bool:
        """Whether `key` was here; it is afterwards, as far as the policies let it."""
        hit = key in self._ram or key in self._disk
        if not hit:
            self._ram.grow(key, size_bytes)
        self._ram.touch(key)
        self._admission.touch(key)
        if key in self._ram and key not in self._disk and self._admission.rule(key).admits:
            assert isinstance(self._disk.grow(key, size_bytes), Grown)
        if self.homes.here(key.rendition_id):
            self._disk.touch(key)
        return hit


@dataclass(frozen=True, slots=True)
class Fetched:
    """Shares of the bytes that listeners asked for: what the origin gave, and what one edge gave to another."""

    origin: float
    relayed: float = 0.0


def alone(trace: Trace, places: Sequence[int], cache_bytes: int) -> Fetched:
    """Edges that know nothing of each other, `cache_bytes` each; `places` has the edge of each request."""
    edges = [Edge(cache_bytes) for _ in range(max(places) + 1)]
    keys = keys_of(trace)
    missed_bytes = 0
    for item, near in zip(trace.objects, places, strict=True):
        if not edges[near].request(keys[item], trace.sizes[item]):
            missed_bytes += trace.sizes[item]
    return Fetched(missed_bytes / trace.requested_bytes)


def united(trace: Trace, cache_bytes: int) -> Fetched:
    """One cache with the bytes of all edges, asked for everything: no mesh of them can be expected to fetch less."""
    return alone(trace, [0] * len(trace.objects), len(EDGES) * cache_bytes)


def meshed(trace: Trace, places: Sequence[int], cache_bytes: int) -> Fetched:
    """Edges that know each other, `cache_bytes` each."""
    edges = [Edge(cache_bytes) for _ in EDGES]
    for edge, name in zip(edges, EDGES, strict=True):
        edge.homes.settle(name, CAPACITIES)
    keys = keys_of(trace)
    homes = [
        next(edge for edge in edges if edge.homes.here(keys[2 * track].rendition_id))
        for track in range(len(trace.durations_s))
    ]
    missed_bytes = relayed_bytes = 0
    for item, place in zip(trace.objects, places, strict=True):
        key, size_bytes, near, home = keys[item], trace.sizes[item], edges[place], homes[item // 2]
        if near.request(key, size_bytes):
            continue
        if near is not home:
            relayed_bytes += size_bytes
            if home.request(key, size_bytes):
                continue
        missed_bytes += size_bytes
    return Fetched(missed_bytes / trace.requested_bytes, relayed_bytes / trace.requested_bytes)
