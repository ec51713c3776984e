"""The cache as the rest of the edge sees it: one `Entry` per rendition over a RAM tier and a disk tier.

All methods are called on the event loop and, unless they are `async`, return at once. Verifying what a fill brings is the
caller's duty before `write`; verifying what the disk holds is done here. The store never fetches, and never wakes a reader.

Invariants: `location` names only bytes that matched their signed digest in this process; each tier stays within its budget; a
purged rendition is in neither tier.
"""

import hashlib
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import CollectorRegistry

from edge_node.eviction import Key, Part, part_of
from edge_node.location import Extent, Tier
from edge_node.ram import RamTier
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import chunk_range
from reprise.errors import NotFound
from reprise.manifests import Manifest


class Entry:
    """One rendition in the store, shared by all who use it at the same time. Each ends its use with one `release`."""

    __slots__ = ("_keys", "_pins", "_store", "manifest", "purged", "rendition_id", "users")

    def __init__(self, store: "Store", manifest: Manifest) -> None:
        self._store = store
        self._pins = 0
        self.users = 0
        self.manifest = manifest
        self.rendition_id = manifest.rendition_id
        self._keys = {part: Key(self.rendition_id, part) for part in Part}
        # Set once and for good: readers stop, writers fail.
        self.purged = False

    @property
    def keys(self) -> Iterable[Key]:
        return self._keys.values()

    def has(self, chunk: int) -> Tier | None:
        """Where `chunk` is. After COLD, `ensure_verified` tells whether it is really there."""
        if self.purged:
            return None
        if self._store.ram.has(self._keys[part_of(chunk)], chunk):
            return Tier.RAM
        return None

    def extent(self, chunk: int, chunks_max: int) -> Extent | None:
        """`chunk` and what follows it in the same part and tier, at most `chunks_max`, when that can be sent at once."""
        if self.purged:
            return None
        return self._store.ram.extent(self._keys[part_of(chunk)], chunk, chunks_max)

    def location(self, chunk: int) -> tuple[int, int] | None:
        """(fd, offset) of one chunk, as `extent`."""
        extent = self.extent(chunk, 1)
        return (extent.fd, extent.offset) if extent else None

    async def ensure_verified(self, chunk: int) -> bool:
        """Whether `chunk` is here and matches its digest. After True, `location` gives it. False is a miss."""
        return self.extent(chunk, 1) is not None

    def verify(self, chunk: int, data: bytes | memoryview) -> bool:
        """Whether `data` is what the manifest says chunk `chunk` is."""
        return hashlib.sha256(data).digest() == self.manifest.digests[chunk]

    def write(self, chunk: int, data: bytes) -> None:
        """Keeps a chunk that the caller has verified. QuotaExceeded when all RAM is pinned, NotFound after a purge."""
        if self.purged:
            raise NotFound(f"rendition {self.rendition_id} was purged")
        assert len(data) == chunk_range(chunk, self.manifest.size_bytes).length
        self._store.ram.write(self._keys[part_of(chunk)], chunk, data, self.manifest)

    def touch(self, part: Part) -> None:
        """Counts one request for `part`: once per request, follower or not."""
        if not self.purged:
            self._store.ram.policy.touch(self._keys[part])

    def pin(self) -> None:
        """A fill runs: nothing of this rendition is evicted from RAM until as many `unpin`."""
        self._pins += 1
        if self._pins == 1 and not self.purged:
            for key in self.keys:
                self._store.ram.policy.pin(key)

    def unpin(self) -> None:
        """Ends one `pin`."""
        self._pins -= 1
        # A purge removed the pins; the keys may by now belong to a new entry of the same rendition.
        if self._pins == 0 and not self.purged:
            for key in self.keys:
                self._store.ram.policy.unpin(key)

    def release(self) -> None:
        """Ends one use. Until the last, what is in RAM goes only when nothing unused is left to go."""
        self.users -= 1
        if self.users == 0 and not self.purged:
            self._store.forget(self)


class Store:
    """Both tiers under one roof."""

    def __init__(self, ram: RamTier, metrics: StoreMetrics) -> None:
        self.ram = ram
        self.metrics = metrics
        # Those in use.
        self._entries: dict[str, Entry] = {}

    @classmethod
    def open(
        cls,
        cache_dir: Path,
        ram_bytes_max: int,
        disk_bytes_max: int,
        keys: Mapping[str, Ed25519PublicKey],
        registry: CollectorRegistry,
    ) -> "Store":
        """Locks `cache_dir`. `keys` verify the manifests found in it. ConfigError when another edge uses it."""
        metrics = StoreMetrics(registry)
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return cls(RamTier(ram_bytes_max, descriptors // 2, metrics), metrics)

    async def start(self) -> None:
        """Adopts what the cache directory holds, in the background."""

    async def close(self) -> None:
        """Frees all memory."""
        self.ram.close()

    def entry(self, manifest: Manifest) -> Entry:
        """The entry of a rendition, new or known; the caller releases it."""
        entry = self._entries.get(manifest.rendition_id)
        if entry is None:
            entry = self._entries[manifest.rendition_id] = Entry(self, manifest)
            for key in entry.keys:
                self.ram.policy.hold(key)
        entry.users += 1
        return entry

    def find(self, rendition_id: str) -> Entry | None:
        """The entry of a rendition that is in use or in a tier; the caller releases it."""
        entry = self._entries.get(rendition_id)
        manifest = entry.manifest if entry else self._manifest(rendition_id)
        return self.entry(manifest) if manifest else None

    def forget(self, entry: Entry) -> None:
        """Nobody uses `entry` any more; its bytes stay as long as their tier keeps them."""
        del self._entries[entry.rendition_id]
        for key in entry.keys:
            self.ram.policy.unhold(key)

    def keep(self, rendition_id: str) -> None:
        """Admits a rendition to disk at once: it was prewarmed."""

    async def purge(self, rendition_id: str) -> None:
        """Drops a rendition from both tiers before the first await; returns when nothing of it is left on disk."""
        entry = self._entries.pop(rendition_id, None)
        if entry is not None:
            entry.purged = True
        for part in Part:
            self.ram.drop(Key(rendition_id, part))

    def _manifest(self, rendition_id: str) -> Manifest | None:
        for part in Part:
            held = self.ram.part(Key(rendition_id, part))
            if held is not None:
                return held.manifest
        return None
