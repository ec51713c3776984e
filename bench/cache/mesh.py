"""Edges of one region as the design has them, against the same edges as independent caches. No network: only what is fetched.

An edge has a RAM tier that takes everything and a disk tier that takes what was asked for twice. A miss in the mesh goes to the
song's home edge, which answers from its tiers or asks the origin; both keep what passed. An independent edge asks the origin.
"""

from dataclasses import dataclass

from bench.cache.contenders import keys_of
from bench.cache.traces import Trace
from edge_node.disk_admission import DiskAdmission
from edge_node.eviction import Grown, Key, S3Fifo
from reprise.placement import rank

EDGES = ("edge-1", "edge-2", "edge-3")
# Of a cache's bytes, the rest is disk.
RAM_SHARE = 0.1
SEEN_KEYS_MAX = 100_000


class Edge:
    """Both tiers of one edge."""

    def __init__(self, cache_bytes: int) -> None:
        ram_bytes = int(RAM_SHARE * cache_bytes)
        self._ram = S3Fifo(ram_bytes, keys_max=1 << 30)
        self._disk = S3Fifo(cache_bytes - ram_bytes, keys_max=1 << 30)
        self._admission = DiskAdmission(SEEN_KEYS_MAX)

    def request(self, key: Key, size_bytes: int) -> bool:
        """Whether `key` was here; it is afterwards, as far as the policies let it."""
        hit = key in self._ram or key in self._disk
        if not hit:
            self._ram.grow(key, size_bytes)
        self._ram.touch(key)
        self._admission.touch(key)
        if key in self._ram and key not in self._disk and self._admission.admits(key):
            assert isinstance(self._disk.grow(key, size_bytes), Grown)
        self._disk.touch(key)
        return hit


@dataclass(frozen=True, slots=True)
class OriginBytes:
    """What the origin gave, as a share of what listeners asked for."""

    independent: float
    relayed: float
    # Listeners are also sent to the home edge, as the balancer does while it has room.
    routed: float


def origin_bytes(trace: Trace, cache_bytes: int) -> OriginBytes:
    """Each edge has `cache_bytes`. Listeners are spread over the edges; each stays with its own."""
    keys = keys_of(trace)
    homes = [EDGES.index(rank(keys[2 * track].rendition_id, EDGES)[0]) for track in range(len(keys) // 2)]
    independent, relayed, routed = ([Edge(cache_bytes) for _ in EDGES] for _ in range(3))
    fetched = [0, 0, 0]
    for item, listener in zip(trace.objects, trace.listeners, strict=True):
        key, size_bytes = keys[item], trace.sizes[item]
        near, home = listener % len(EDGES), homes[item // 2]
        if not independent[near].request(key, size_bytes):
            fetched[0] += size_bytes
        if not relayed[near].request(key, size_bytes) and (near == home or not relayed[home].request(key, size_bytes)):
            fetched[1] += size_bytes
        if not routed[home].request(key, size_bytes):
            fetched[2] += size_bytes
    return OriginBytes(*(total / trace.requested_bytes for total in fetched))
