"""The RAM tier: each part of a rendition is a memfd, so that RAM and disk are served by the same system calls.

Holds only verified chunks. Never blocks. Invariants: bytes charged, page rounding and manifests included, never exceed the
budget; a chunk's bytes are written once and never change. A part goes by closing its descriptor: nothing is truncated or
punched, so pages that sendfile has queued on a socket keep their content (docs/decisions/one-file-per-part.md).
"""

import os
from collections.abc import Callable

from edge_node.eviction import Key, Part, Refused, S3Fifo
from edge_node.location import Extent, Tier, run_length
from edge_node.open_file import MemoryFile
from edge_node.pages import pages_bytes
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import CHUNK_BYTES
from reprise.errors import QuotaExceeded
from reprise.manifests import Manifest

RETRY_AFTER_S = 1.0
# What a manifest adds to the process, measured: per chunk a digest object, its slot and its place in the signed bytes.
MANIFEST_BYTES = 3072
MANIFEST_CHUNK_BYTES = 144


class RamPart:
    """The chunks of one part; `present` has a bit per chunk index of the rendition. `purged` is set once and for good."""

    __slots__ = ("file", "manifest", "present", "purged")

    def __init__(self, file: MemoryFile, manifest: Manifest, present: int = 0) -> None:
        self.file = file
        self.manifest = manifest
        self.present = present
        self.purged = False

    @classmethod
    def empty(cls, key: Key, manifest: Manifest) -> "RamPart":
        """A part in a memfd of its own. Raises OSError."""
        file = MemoryFile(os.memfd_create(f"reprise-{key.rendition_id[:12]}-{key.part.value}", os.MFD_CLOEXEC))
        # Sparse: a chunk lies at the same offset as in the rendition, and only written pages cost memory.
        os.ftruncate(file.fd, manifest.size_bytes)
        return cls(file, manifest)

    def extent(self, chunk: int, chunks_max: int) -> Extent | None:
        """`chunk` and what follows it without a gap."""
        if not self.present >> chunk & 1:
            return None
        start = chunk * CHUNK_BYTES
        end = min(start + CHUNK_BYTES * run_length(self.present, chunk, chunks_max), self.manifest.size_bytes)
        return Extent(self.file, start, end - start, Tier.RAM)

    def holds(self, start: int, end: int) -> bool:
        """Whether all bytes from `start` to `end` of the rendition are here."""
        first = start // CHUNK_BYTES
        wanted = (1 << (end - 1) // CHUNK_BYTES - first + 1) - 1
        return self.present >> first & wanted == wanted


class RamTier:
    """Parts in memory under one budget."""

    def __init__(self, bytes_max: int, keys_max: int, metrics: StoreMetrics) -> None:
        self.policy = S3Fifo(bytes_max, keys_max)
        # Told of every part that goes.
        self.on_gone: Callable[[Key], None] = lambda _key: None
        self._metrics = metrics
        self._parts: dict[Key, RamPart] = {}

    def part(self, key: Key) -> RamPart | None:
        """The part that `key` names, if any of its chunks are here."""
        return self._parts.get(key)

    @property
    def keys(self) -> list[Key]:
        """The parts that are here."""
        return list(self._parts)

    def has(self, key: Key, chunk: int) -> bool:
        part = self._parts.get(key)
        return part is not None and bool(part.present >> chunk & 1)

    def extent(self, key: Key, chunk: int, chunks_max: int) -> Extent | None:
        """`chunk` and what follows it without a gap in the same part."""
        part = self._parts.get(key)
        return part.extent(chunk, chunks_max) if part else None

    def write(self, key: Key, chunk: int, data: bytes, manifest: Manifest) -> None:
        """Keeps a verified chunk. QuotaExceeded when all that could make room is pinned."""
        part = self._parts.get(key)
        if part is not None and part.present >> chunk & 1:
            return
        added_bytes = pages_bytes(len(data)) + (0 if part else pages_bytes(_manifest_bytes(manifest)))
        outcome = self.policy.grow(key, added_bytes)
        if isinstance(outcome, Refused):
            if (
                sum(self.policy.size_of(Key(key.rendition_id, kind)) for kind in Part) + added_bytes
                > self.policy.bytes_max
            ):
                raise self._refusal(f"this song alone needs more than ram_bytes_max, {self.policy.bytes_max}: raise it")
            raise self._refusal(f"{outcome.missing_bytes} bytes of RAM are missing and all the rest is in use")
        for victim in outcome.victims:
            self._metrics.evictions["ram", victim.part.value] += 1
            self._close(victim)
        try:
            if part is None:
                part = self._parts[key] = RamPart.empty(key, manifest)
            os.pwrite(part.file.fd, data, chunk * CHUNK_BYTES)
        except OSError as error:
            # The machine has less memory or descriptors than the budget promised: the same answer as a full budget.
            self.policy.clear(key)
            self._close(key)
            raise self._refusal(f"the system gives no more memory: {error.strerror}") from None
        part.present |= 1 << chunk

    def drop(self, key: Key) -> None:
        """Forgets `key`, pinned or not; whoever sends of it stops."""
        part = self._parts.get(key)
        if part is not None:
            part.purged = True
        self.policy.remove(key)
        self._close(key)

    def close(self) -> None:
        for key in list(self._parts):
            self.drop(key)

    def _close(self, key: Key) -> None:
        if self._parts.pop(key, None) is not None:
            self.on_gone(key)

    def _refusal(self, why: str) -> QuotaExceeded:
        self._metrics.refused_writes += 1
        return QuotaExceeded(f"the edge's RAM is full: {why}", retry_after_s=RETRY_AFTER_S)


def _manifest_bytes(manifest: Manifest) -> int:
    return MANIFEST_BYTES + MANIFEST_CHUNK_BYTES * len(manifest.digests)
