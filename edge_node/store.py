"""The cache as the rest of the edge sees it: one `Entry` per rendition over a RAM tier and a disk tier.

All methods are called on the event loop and, unless they are `async`, return at once. Verifying what a fill brings is the
caller's duty before `write`; verifying what the disk holds is done here. The store never fetches, and never wakes a reader.

Invariants: `extent` names only bytes that matched their signed digest in this process; each tier stays within its budget; a
purged rendition is in neither tier.
"""

import asyncio
import hashlib
import resource
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import CollectorRegistry

from edge_node.cache_dir import CacheDir
from edge_node.disk import DiskTier
from edge_node.disk_index import DiskIndex
from edge_node.disk_writer import DiskWriter
from edge_node.eviction import Key, Part, S3Fifo, part_of
from edge_node.homes import Homes
from edge_node.location import Extent, Tier
from edge_node.ram import RamPart, RamTier
from edge_node.scrub_pace import ScrubPace
from edge_node.scrubber import Scrubber
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import chunk_range
from reprise.config import ConfigError
from reprise.errors import NotFound
from reprise.manifests import Manifest
from reprise.service import contained

# An index row costs about 1 KB and its manifest; a remembered request 200 bytes.
DISK_KEYS_MAX = 1_000_000
SEEN_KEYS_MAX = 100_000


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
        key = self._keys[part_of(chunk)]
        return Tier.RAM if self._store.ram.has(key, chunk) else self._store.disk.index.has(key, chunk)

    def extent(self, chunk: int, chunks_max: int) -> Extent | None:
        """`chunk` and what follows it in the same part and tier, at most `chunks_max`, when that can be sent at once."""
        if self.purged:
            return None
        key = self._keys[part_of(chunk)]
        return self._store.ram.extent(key, chunk, chunks_max) or self._store.disk.index.extent(key, chunk, chunks_max)

    async def ensure_verified(self, chunk: int) -> bool:
        """Whether `chunk` is here and matches its digest. After True, `extent` gives it. False is a miss."""
        if self.extent(chunk, 1) is not None:
            return True
        if self.purged:
            return False
        good = await self._store.disk.ensure_verified(self._keys[part_of(chunk)], chunk, self.manifest)
        return good and not self.purged

    def verify(self, chunk: int, data: bytes | memoryview) -> bool:
        """Whether `data` is what the manifest says chunk `chunk` is."""
        return hashlib.sha256(data).digest() == self.manifest.digests[chunk]

    def write(self, chunk: int, data: bytes) -> None:
        """Keeps a chunk that the caller has verified. QuotaExceeded when all RAM is pinned, NotFound after a purge."""
        if self.purged:
            raise NotFound(f"rendition {self.rendition_id} was purged")
        assert len(data) == chunk_range(chunk, self.manifest.size_bytes).length
        key = self._keys[part_of(chunk)]
        self._store.ram.write(key, chunk, data, self.manifest)
        self._store.spill(key)

    def touch(self, part: Part) -> None:
        """Counts one request for `part`: once per request that reads of it, follower or not, at any time in that request."""
        if not self.purged:
            self._store.touch(self._keys[part])

    def pin(self) -> None:
        """A fill runs: nothing of this rendition is evicted from RAM until as many `unpin`."""
        self._pins += 1
        if self._pins == 1 and not self.purged:
            for key in self.keys:
                self._store.ram.policy.pin(key)

    @property
    def pinned(self) -> bool:
        """Whether a fill runs."""
        return self._pins > 0

    def unpin(self) -> None:
        """Ends one `pin`; after the last one the disk gets its share."""
        self._pins -= 1
        # A purge removed the pins; the keys may by now belong to a new entry of the same rendition.
        if self._pins == 0 and not self.purged:
            for key in self.keys:
                self._store.ram.policy.unpin(key)
                self._store.spill(key)

    def release(self) -> None:
        """Ends one use. Until the last, what is in RAM goes only when nothing unused is left to go."""
        self.users -= 1
        if self.users == 0 and not self.purged:
            self._store.forget(self)


class Store:
    """Both tiers under one roof."""

    def __init__(
        self,
        ram: RamTier,
        directory: CacheDir,
        index: DiskIndex,
        writer: DiskWriter,
        metrics: StoreMetrics,
        scrub_bytes_per_s: int = 0,
    ) -> None:
        self.ram = ram
        self.metrics = metrics
        self.homes = Homes()
        self.disk = DiskTier(directory, index, self.homes, SEEN_KEYS_MAX, writer, metrics, on_written=self.spill)
        # Those in use.
        self._entries: dict[str, Entry] = {}
        self._adoption: asyncio.Task[None] | None = None
        self._scrubbing: asyncio.Task[None] | None = None
        self._scrubber = Scrubber(self.disk, ScrubPace(scrub_bytes_per_s), metrics) if scrub_bytes_per_s else None
        metrics.size_bytes = lambda: {"ram": self.ram.policy.size_bytes, "disk": self.disk.policy.size_bytes}
        metrics.disk_writable = lambda: writer.writable

    @classmethod
    def open(
        cls,
        cache_dir: Path,
        ram_bytes_max: int,
        disk_bytes_max: int,
        keys: Mapping[str, Ed25519PublicKey],
        registry: CollectorRegistry,
        scrub_bytes_per_s: int = 0,
    ) -> "Store":
        """Locks `cache_dir`. `keys` verify the manifests found in it. ConfigError when another edge uses it."""
        if scrub_bytes_per_s < 0:
            raise ConfigError(f"scrub_bytes_per_s must be 0, which is off, or more, not {scrub_bytes_per_s}")
        metrics = StoreMetrics(registry)
        # Half of the process's descriptors for parts in RAM, which take two each when they are mapped; an eighth for parts on
        # disk, the rest for sockets.
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        directory = CacheDir(cache_dir, keys)
        policy = S3Fifo(disk_bytes_max, DISK_KEYS_MAX)
        index = DiskIndex(policy, descriptors // 8, directory.open_part)
        ram = RamTier(ram_bytes_max, descriptors // 4, metrics)
        return cls(ram, directory, index, DiskWriter(metrics), metrics, scrub_bytes_per_s)

    async def start(self) -> None:
        """Adopts what the cache directory holds, then reads it again and again, in the background."""
        self._adoption = asyncio.create_task(self._adopt(), name="cache.adopt")
        if self._scrubber is not None:
            self._scrubbing = asyncio.create_task(self._scrub(self._scrubber), name="cache.scrub")

    async def adopted(self) -> None:
        """Returns when all that the cache directory held is known."""
        assert self._adoption is not None
        await asyncio.shield(self._adoption)

    async def close(self) -> None:
        """Ends disk work within a bound and frees all memory; the cache directory stays."""
        running = [task for task in (self._adoption, self._scrubbing) if task is not None]
        for task in running:
            task.cancel()
        if running:
            await asyncio.wait(running)
        await self.disk.close()
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

    @property
    def adopting(self) -> bool:
        """Whether there may be more on disk than `find` knows of; `discover` finds that too."""
        return self.disk.adopting

    async def discover(self, rendition_id: str) -> Entry | None:
        """As `find`, but looks at the cache directory first when that was not done yet."""
        await self.disk.discover(rendition_id)
        return self.find(rendition_id)

    def keep(self, rendition_id: str) -> None:
        """It was prewarmed: to disk at once, and in both tiers no one-hit wonder that goes before anyone has come for it."""
        for key in _keys(rendition_id):
            self.ram.policy.admit(key)
            self.disk.keep(key)
            self.spill(key)

    async def purge(self, rendition_id: str) -> None:
        """Drops a rendition from both tiers before it first waits; returns when nothing of it is left on disk."""
        entry = self._entries.pop(rendition_id, None)
        if entry is not None:
            entry.purged = True
        for key in _keys(rendition_id):
            self.ram.drop(key)
        await self.disk.purge(rendition_id)

    # For Entry

    def touch(self, key: Key) -> None:
        """Counts a request for `key` in both tiers."""
        self.ram.policy.touch(key)
        self.disk.touch(key, self._to_spill(key))

    def spill(self, key: Key) -> None:
        """Lets the disk tier write what it lacks of what RAM has."""
        part = self._to_spill(key)
        if part is not None:
            self.disk.spill(key, part)

    def forget(self, entry: Entry) -> None:
        """Nobody uses `entry` any more; its bytes stay as long as their tier keeps them."""
        del self._entries[entry.rendition_id]
        for key in entry.keys:
            self.ram.policy.unhold(key)

    async def _adopt(self) -> None:
        await self.disk.adopt()
        # Writes had to wait until all names were known.
        for key in self.ram.keys:
            self.spill(key)

    async def _scrub(self, scrubber: Scrubber) -> None:
        await self.adopted()
        await contained(scrubber.run(), "cache.scrub")

    def _to_spill(self, key: Key) -> RamPart | None:
        """What RAM has of `key`, once no fill runs: chunk by chunk and beside the fill, writing would cost nearly as much as
        the fill, just when most listeners wait for first bytes."""
        entry = self._entries.get(key.rendition_id)
        return None if entry is not None and entry.pinned else self.ram.part(key)

    def _manifest(self, rendition_id: str) -> Manifest | None:
        for key in _keys(rendition_id):
            part = self.ram.part(key)
            if part is not None:
                return part.manifest
        return self.disk.index.manifest(rendition_id)


def _keys(rendition_id: str) -> list[Key]:
    return [Key(rendition_id, part) for part in Part]
