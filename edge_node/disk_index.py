"""What the disk tier knows: which parts exist, which chunks of them are claimed, which are verified, which files are open.

State only: one synchronous call changes it. The single system calls made here touch memory, not the disk. What lies on disk
is a claim until this process has read it and found its digest right, and a claim again after anybody changed the file.

Invariant: `extent` names only bytes that are verified, unchanged since, and in the page cache.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable

from edge_node.cache_dir import Witness, witness
from edge_node.eviction import Key, Part, S3Fifo
from edge_node.location import Extent, Tier, run_length
from edge_node.open_file import OpenFile
from edge_node.pages import pages_bytes
from edge_node.residency import EXTENT_CHUNKS_MAX, Residency
from edge_node.sidecar import flag_offset
from reprise.chunks import chunk_count, chunk_range
from reprise.manifests import Manifest, parse
from reprise.types.v1.types_pb2 import SignedManifest


class DiskRendition:
    """The manifest stays serialised: 3 KB for 5 MB of audio, a third of what it takes parsed."""

    __slots__ = ("parts", "signed", "size_bytes")

    def __init__(self, manifest: Manifest) -> None:
        self.signed = manifest.signed.SerializeToString()
        self.size_bytes = manifest.size_bytes
        self.parts: set[Part] = set()

    @property
    def sidecar_bytes(self) -> int:
        """Room that its sidecar takes on disk."""
        return pages_bytes(flag_offset(len(self.signed), chunk_count(self.size_bytes)))


class DiskPart:
    """`present` and `verified` have a bit per chunk; `witness` is the file that `verified` is true of."""

    __slots__ = ("file", "present", "rendition", "verified", "witness", "writing")

    def __init__(self, rendition: DiskRendition) -> None:
        self.rendition = rendition
        self.present = 0
        self.verified = 0
        self.witness: Witness | None = None
        self.file: OpenFile | None = None
        self.writing = False


class DiskIndex:
    """`open_part` gives a descriptor to read a part from; at most `open_max` are open at a time."""

    def __init__(self, policy: S3Fifo, open_max: int, open_part: Callable[[Key], int]) -> None:
        self.policy = policy
        self._open_max = open_max
        self._open_part = open_part
        self._renditions: dict[str, DiskRendition] = {}
        self._parts: dict[Key, DiskPart] = {}
        # Told of every part that goes, and of every file that is closed.
        self.on_gone: Callable[[Key], None] = lambda _key: None
        # The least recently used first.
        self._open: OrderedDict[Key, DiskPart] = OrderedDict()
        self._residency = Residency()

    def __len__(self) -> int:
        """How many renditions have a part on disk."""
        return len(self._renditions)

    @property
    def keys(self) -> list[Key]:
        """The parts as they are now."""
        return list(self._parts)

    def part(self, key: Key) -> DiskPart | None:
        """The part that `key` names, also while it has no chunk yet."""
        return self._parts.get(key)

    def rendition(self, rendition_id: str) -> DiskRendition | None:
        """The rendition, while a part of it is on disk."""
        return self._renditions.get(rendition_id)

    def manifest(self, rendition_id: str) -> Manifest | None:
        """Of a rendition with a part on disk. It was verified before it came here."""
        rendition = self._renditions.get(rendition_id)
        return parse(SignedManifest.FromString(rendition.signed), rendition_id) if rendition else None

    def add(self, key: Key, rendition: DiskRendition) -> DiskPart:
        """A new part without chunks; `rendition` may be new too."""
        self._renditions[key.rendition_id] = rendition
        rendition.parts.add(key.part)
        part = self._parts[key] = DiskPart(rendition)
        return part

    def remove(self, key: Key) -> DiskRendition | None:
        """Forgets a part; returns its rendition, whose `parts` are empty when it went too. None when it was not here."""
        part = self._parts.pop(key, None)
        if part is None:
            return None
        self.close_file(key, part)
        self.on_gone(key)
        part.rendition.parts.discard(key.part)
        if not part.rendition.parts:
            del self._renditions[key.rendition_id]
        return part.rendition

    def has(self, key: Key, chunk: int) -> Tier | None:
        """DISK when verified, COLD when only claimed."""
        part = self._parts.get(key)
        if part is None or not part.present >> chunk & 1:
            return None
        return Tier.DISK if part.verified >> chunk & 1 else Tier.COLD

    def extent(self, key: Key, chunk: int, chunks_max: int) -> Extent | None:
        """Verified chunks in a row from `chunk` whose sending waits for no disk."""
        part = self._parts.get(key)
        run = run_length(part.verified, chunk, min(chunks_max, EXTENT_CHUNKS_MAX)) if part else 0
        if part is None or not run:
            return None
        if part.file is None or witness(part.file.fd) != part.witness:
            self.close_file(key, part)
            return None
        self._open.move_to_end(key)
        return self._residency.extent(part.file, chunk, run, part.rendition.size_bytes)

    def trust(self, key: Key, part: DiskPart, chunk: int, seen: Witness) -> None:
        """`chunk` matched its digest in the file that `seen` describes. Raises OSError."""
        if part.witness != seen:
            self.close_file(key, part)
            part.witness = seen
        if part.file is None:
            # A thread has just opened this name, so this finds it in memory.
            part.file = OpenFile(self._open_part(key))
            self._open[key] = part
            if len(self._open) > self._open_max:
                self.close_file(*next(iter(self._open.items())))
        part.verified |= 1 << chunk

    def close_file(self, key: Key, part: DiskPart) -> None:
        """What was verified has to be verified again."""
        part.verified = 0
        if part.file is not None:
            part.file = None
            del self._open[key]
            self.on_gone(key)

    def close(self) -> None:
        """Closes all files."""
        for key, part in list(self._open.items()):
            self.close_file(key, part)


def charge_bytes(chunks: Iterable[int], rendition: DiskRendition, *, new_part: bool) -> int:
    """Room that `chunks` take on disk. Each part pays for the sidecar, so that it is paid for whichever part stays."""
    data = sum(pages_bytes(chunk_range(chunk, rendition.size_bytes).length) for chunk in chunks)
    return data + (rendition.sidecar_bytes if new_part else 0)
