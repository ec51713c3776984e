"""The cache as the rest of the edge sees it: one `Entry` per rendition over a RAM tier and a disk tier.

All methods are called on the event loop and, unless they are `async`, return at once. Verifying what a fill brings is the
caller's duty before `write`; verifying what the disk holds is done here. The store never fetches, and never wakes a reader.

Invariants: `location` names only bytes that matched their signed digest in this process; each tier stays within its budget; a
purged rendition is in neither tier.
"""

import hashlib
import resource
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import CollectorRegistry

from edge_node.eviction import Key, Part, part_of
from edge_node.location import Location, Tier
from edge_node.ram import RamTier
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import chunk_range
from reprise.errors import NotFound
from reprise.manifests import Manifest


class Entry:
    """One rendition in the store. Shared by all who ask for it; lives as long as anybody holds it."""

    __slots__ = ("__weakref__", "_keys", "_pins", "_store", "manifest", "purged", "rendition_id")

    def __init__(self, store: "Store", manifest: Manifest) -> None:
        self._store = store
        self._pins = 0
        self.manifest = manifest
        self.rendition_id = manifest.rendition_id
        self._keys = {part: Key(self.rendition_id, part) for part in Part}
        # Set once and for good: readers stop, writers fail.
        self.purged = False

    def has(self, chunk: int) -> Tier | None:
        """Where `chunk` is. After COLD, `ensure_verified` tells whether it is really there."""
        if self.purged:
            return None
        if self._store.ram.has(self._keys[part_of(chunk)], chunk):
            return Tier.RAM
        return None

    def location(self, chunk: int, chunks_max: int = 1) -> Location | None:
        """`chunk`, and up to `chunks_max` in a row within its part, when that can be sent now without waiting."""
        if self.purged:
            return None
        return self._store.ram.location(self._keys[part_of(chunk)], chunk, chunks_max)

    async def ensure_verified(self, chunk: int) -> bool:
        """Whether `chunk` is here and matches its digest. After True, `location` gives it. False is a miss."""
        return self.location(chunk) is not None

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
        """Counts one request for `part`: once per request, follower or not, and before that request pins or writes."""
        if not self.purged:
            self._store.ram.policy.touch(self._keys[part])

    def pin(self) -> None:
        """Nothing of this rendition is evicted from RAM until as many `unpin`: for fills, which write before anyone reads.

        Readers need no pin. What they were given stays good, and a chunk that went before they came to it is a miss.
        """
        self._pins += 1
        if self._pins == 1 and not self.purged:
            for key in self._keys.values():
                self._store.ram.policy.pin(key)

    def unpin(self) -> None:
        """Ends one `pin`."""
        self._pins -= 1
        # A purge removed the pins; the keys may since belong to a new entry of the same rendition.
        if self._pins == 0 and not self.purged:
            for key in self._keys.values():
                self._store.ram.policy.unpin(key)


class Store:
    """Both tiers under one roof."""

    def __init__(self, ram: RamTier, metrics: StoreMetrics) -> None:
        self.ram = ram
        self.metrics = metrics
        self._entries: WeakValueDictionary[str, Entry] = WeakValueDictionary()

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
        """The entry of a rendition, new or known."""
        entry = self._entries.get(manifest.rendition_id)
        if entry is None:
            entry = self._entries[manifest.rendition_id] = Entry(self, manifest)
        return entry

    def find(self, rendition_id: str) -> Entry | None:
        """The entry of a rendition whose manifest is at hand: one in use or in RAM."""
        entry = self._entries.get(rendition_id)
        if entry is not None:
            return entry
        for part in Part:
            held = self.ram.part(Key(rendition_id, part))
            if held is not None:
                return self.entry(held.manifest)
        return None

    async def load(self, rendition_id: str) -> Entry | None:
        """As `find`, and from the disk tier where the manifest has to be read first."""
        return self.find(rendition_id)

    async def purge(self, rendition_id: str) -> None:
        """Drops a rendition from both tiers before the first await; returns when nothing of it is left on disk."""
        entry = self._entries.pop(rendition_id, None)
        if entry is not None:
            entry.purged = True
        for part in Part:
            self.ram.drop(Key(rendition_id, part))
