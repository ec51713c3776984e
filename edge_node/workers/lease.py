"""The store as a worker has it: parts that belong to the node process, read through descriptors of their own.

Nothing is ever written, evicted or fetched here. What a worker may send is what the node process says is there, chunk by chunk.
Invariants: an extent names only bytes that the node process has verified; a purged rendition is not found again until it is
leased again.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from edge_node.cache_dir import Witness, witness
from edge_node.eviction import Key, Part, part_of
from edge_node.location import Extent, Tier, run_length
from edge_node.open_file import MemoryFile, OpenFile
from edge_node.ram import RamPart
from edge_node.residency import EXTENT_CHUNKS_MAX, Residency
from edge_node.workers.messages import PartState
from reprise.manifests import Manifest, parse
from reprise.types.v1.types_pb2 import SignedManifest

# Touches wait at most so long; there are at most as many as leased parts.
TOUCHES_S = 0.25


class Landlord(Protocol):
    """What a leased store asks of the node process."""

    async def find(self, rendition_id: str) -> bool: ...
    async def verify(self, rendition_id: str, chunk: int) -> bool: ...
    def use(self, rendition_id: str) -> None: ...
    def unuse(self, rendition_id: str) -> None: ...
    def touched(self, express: Counter[Key], readers: Counter[Key]) -> None: ...


class Touches:
    """Requests for parts, told in small batches: the node process has the policy that they decide."""

    def __init__(self, tell: Callable[[Counter[Key], Counter[Key]], None]) -> None:
        self._tell = tell
        self._express: Counter[Key] = Counter()
        self._readers: Counter[Key] = Counter()
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()

    def touch(self, key: Key) -> None:
        """A request of the express lane, which counts in RAM only."""
        self._express[key] += 1
        if self._timer is None:
            self._start()

    def touch_by_reader(self, key: Key) -> None:
        """A request of a reader, which counts in both tiers."""
        self._readers[key] += 1
        if self._timer is None:
            self._start()

    def flush(self) -> None:
        """Tells what there is."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._express or self._readers:
            self._tell(self._express, self._readers)
            self._express, self._readers = Counter(), Counter()

    def _start(self) -> None:
        self._timer = self._loop.call_later(TOUCHES_S, self.flush)


class LeasedRam:
    """The RAM parts that are leased; for the express lane this is a `ram.RamTier`."""

    def __init__(self, policy: Touches) -> None:
        self.policy = policy
        self._parts: dict[Key, RamPart] = {}

    def part(self, key: Key) -> RamPart | None:
        """The part that `key` names, if any of its chunks are here."""
        return self._parts.get(key)

    def take(self, key: Key, state: PartState, file: MemoryFile | None, manifest: Manifest) -> None:
        """`state` is how the part is now; `file` is given when it is another one than before."""
        if not state.present:
            self._parts.pop(key, None)
        elif file is not None:
            self._parts[key] = RamPart(file, manifest, state.present)
        elif key in self._parts:
            self._parts[key].present = state.present

    def drop(self, key: Key) -> None:
        self._parts.pop(key, None)


class _DiskPart:
    """A part on disk. `witness` is the file that `verified` is true of."""

    __slots__ = ("file", "present", "verified", "witness")

    def __init__(self) -> None:
        self.file: OpenFile | None = None
        self.present = self.verified = 0
        self.witness: Witness | None = None


class LeasedDisk:
    """The disk parts that are leased."""

    def __init__(self) -> None:
        self._parts: dict[Key, _DiskPart] = {}
        self._residency = Residency()

    def take(self, key: Key, state: PartState, file: OpenFile | None) -> None:
        """As `LeasedRam.take`."""
        if not state.present:
            self._parts.pop(key, None)
            return
        part = self._parts.setdefault(key, _DiskPart())
        part.present, part.verified = state.present, state.verified
        part.witness = Witness(*state.witness) if state.witness else None
        if file is not None or not state.verified:
            part.file = file

    def drop(self, key: Key) -> None:
        self._parts.pop(key, None)

    def has(self, key: Key, chunk: int) -> Tier | None:
        """DISK when verified, COLD when only claimed."""
        part = self._parts.get(key)
        if part is None or not part.present >> chunk & 1:
            return None
        return Tier.DISK if part.file is not None and part.verified >> chunk & 1 else Tier.COLD

    def extent(self, key: Key, chunk: int, chunks_max: int, size_bytes: int) -> Extent | None:
        """Verified chunks in a row whose sending waits for no disk, while nobody has changed the file."""
        part = self._parts.get(key)
        if part is None or part.file is None:
            return None
        run = run_length(part.verified, chunk, min(chunks_max, EXTENT_CHUNKS_MAX))
        if not run:
            return None
        if witness(part.file.fd) != part.witness:
            # What is true of the file now is the node process's to find out.
            part.file, part.verified = None, 0
            return None
        return self._residency.extent(part.file, chunk, run, size_bytes)


class LeasedEntry:
    """One rendition, shared by all who read it at the same time; for them it is a `store.Entry`."""

    __slots__ = ("_keys", "_store", "manifest", "purged", "rendition_id", "users")

    def __init__(self, store: "LeasedStore", manifest: Manifest) -> None:
        self._store = store
        self.manifest = manifest
        self.rendition_id = manifest.rendition_id
        self.users = 0
        self.purged = False
        self._keys = {part: Key(self.rendition_id, part) for part in Part}

    def has(self, chunk: int) -> Tier | None:
        """Where `chunk` is. After COLD, `ensure_verified` tells whether it is really there."""
        if self.purged:
            return None
        key = self._keys[part_of(chunk)]
        ram = self._store.ram.part(key)
        return Tier.RAM if ram and ram.present >> chunk & 1 else self._store.disk.has(key, chunk)

    def extent(self, chunk: int, chunks_max: int) -> Extent | None:
        """`chunk` and what follows it in the same part and tier, at most `chunks_max`, when that can be sent at once."""
        if self.purged:
            return None
        key = self._keys[part_of(chunk)]
        ram = self._store.ram.part(key)
        found = ram.extent(chunk, chunks_max) if ram else None
        return found or self._store.disk.extent(key, chunk, chunks_max, self.manifest.size_bytes)

    async def ensure_verified(self, chunk: int) -> bool:
        """Whether the node process says that `chunk` is here and good."""
        if self.extent(chunk, 1) is not None:
            return True
        return not self.purged and await self._store.verify(self.rendition_id, chunk) and not self.purged

    def touch(self, part: Part) -> None:
        """Counts one request for `part`."""
        if not self.purged:
            self._store.ram.policy.touch_by_reader(self._keys[part])

    def pin(self) -> None:
        """Fills are the node process's, and so are their pins."""

    def unpin(self) -> None:
        """See `pin`."""

    def release(self) -> None:
        """Ends one use."""
        self.users -= 1
        if self.users == 0:
            self._store.released(self)


class LeasedStore:
    """See the module; for readers and the node this is a `store.Store`."""

    # Whether there is more than `find` knows of: always, and `discover` asks.
    adopting = True

    def __init__(self, landlord: Landlord) -> None:
        self._landlord = landlord
        self.ram = LeasedRam(Touches(landlord.touched))
        self.disk = LeasedDisk()
        self._manifests: dict[str, Manifest] = {}
        # Those in use.
        self._entries: dict[str, LeasedEntry] = {}

    def entry(self, manifest: Manifest) -> LeasedEntry:
        """The entry of a rendition, new or known; the caller releases it."""
        entry = self._entries.get(manifest.rendition_id)
        if entry is None:
            entry = self._entries[manifest.rendition_id] = LeasedEntry(self, manifest)
            self._landlord.use(manifest.rendition_id)
        entry.users += 1
        return entry

    def find(self, rendition_id: str) -> LeasedEntry | None:
        """The entry of a rendition that is in use or leased; the caller releases it."""
        known = self._entries.get(rendition_id)
        manifest = known.manifest if known else self._manifests.get(rendition_id)
        return self.entry(manifest) if manifest else None

    async def discover(self, rendition_id: str) -> LeasedEntry | None:
        """As `find`, but asks for a lease first."""
        if rendition_id not in self._manifests:
            await self._landlord.find(rendition_id)
        return self.find(rendition_id)

    async def purge(self, rendition_id: str) -> None:
        """Drops all of a rendition before it returns."""
        entry = self._entries.pop(rendition_id, None)
        if entry is not None:
            entry.purged = True
            self._landlord.unuse(rendition_id)
        self.forget(rendition_id)

    # For the link

    def manifest(self, rendition_id: str) -> Manifest | None:
        """Of a leased rendition."""
        return self._manifests.get(rendition_id)

    def lease(self, rendition_id: str, signed: bytes) -> None:
        """A lease begins. The node process has verified the manifest."""
        self._manifests[rendition_id] = parse(SignedManifest.FromString(signed), rendition_id)

    def take(self, state: PartState, fd: int | None) -> None:
        """A part is now like this; owns `fd`."""
        key = Key(state.rendition_id, Part(state.part))
        if state.tier == Tier.DISK.value:
            self.disk.take(key, state, None if fd is None else OpenFile(fd))
            return
        file = None if fd is None else MemoryFile(fd)
        manifest = self._manifests.get(state.rendition_id)
        if manifest is not None:
            self.ram.take(key, state, file, manifest)

    def forget(self, rendition_id: str) -> None:
        """A lease is over."""
        self._manifests.pop(rendition_id, None)
        for part in Part:
            self.ram.drop(Key(rendition_id, part))
            self.disk.drop(Key(rendition_id, part))

    # For entries

    async def verify(self, rendition_id: str, chunk: int) -> bool:
        return await self._landlord.verify(rendition_id, chunk)

    def released(self, entry: LeasedEntry) -> None:
        """Nobody uses `entry` any more."""
        if self._entries.get(entry.rendition_id) is entry:
            del self._entries[entry.rendition_id]
            self._landlord.unuse(entry.rendition_id)
