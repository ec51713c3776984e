"""Short spans that lie in RAM as a whole. They are sent without a reader.

A reader keeps its song in the store, shares fills and can wait: a good part of what a short answer costs, and of no use to one
whose bytes are all there. A hit holds its bytes by itself, even when they are evicted meanwhile.

Invariant: a hit is at most `HIT_BYTES_MAX` long, so it is over before it could matter to eviction or to the edge's load.
"""

from collections.abc import Callable
from typing import NamedTuple

from edge_node.eviction import Key, Part, part_of
from edge_node.location import Tier
from edge_node.node import Node
from edge_node.ram import RamPart
from edge_node.store import Store
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS, ByteRange
from reprise.errors import NotFound
from reprise.manifests import Manifest

HIT_BYTES_MAX = 1 << 20
_PREFIX_BYTES = PREFIX_CHUNKS * CHUNK_BYTES
_RESULT = f"hit_{Tier.RAM.value}"


class Hit(NamedTuple):
    """A span and where it is: parts in order, each with the offset at which its share of the span ends."""

    manifest: Manifest
    span: ByteRange
    parts: tuple[tuple[RamPart, int], ...]
    # Called once, when nothing more is sent.
    close: Callable[[], None]

    def failure(self) -> NotFound | None:
        """Why no more of it may be sent."""
        return NotFound("this song is no longer available") if self.parts[0][0].purged else None


class RamHits:
    """Finds hits, and counts them as it counts readers."""

    def __init__(self, node: Node, store: Store) -> None:
        self._node = node
        self._store = store
        self._metrics = node.metrics
        self._observe_first_byte = node.metrics.first_byte_seconds.labels(_RESULT).observe

    def find(self, rendition_id: str, offset: int, length: int, door: str) -> Hit | None:
        """The `length` bytes (0: all) from `offset`, for the caller to close; None when they are too many or not all here.

        Raises QuotaExceeded, Unavailable.
        """
        any_part = self._store.ram.part(Key(rendition_id, part_of(offset // CHUNK_BYTES)))
        if any_part is None:
            return None
        size_bytes = any_part.manifest.size_bytes
        end = min(offset + length, size_bytes) if length else size_bytes
        if not 0 < end - offset <= HIT_BYTES_MAX:
            return None
        shares = _shares(offset, end)
        parts = []
        for kind, start, stop in shares:
            part = self._store.ram.part(Key(rendition_id, kind))
            if part is None or not part.holds(start, stop):
                return None
            parts.append((part, stop))
        self._node.begin(door)
        for kind, _, _ in shares:
            self._store.touch(Key(rendition_id, kind))
        self._metrics.requests[door, _RESULT] += 1
        self._metrics.started_plays += 1
        self._metrics.first_bytes[0] += 1
        self._metrics.sent_bytes[door, Tier.RAM.value] += end - offset
        self._observe_first_byte(0.0)
        return Hit(any_part.manifest, ByteRange(offset, end), tuple(parts), self._node.end)


def _shares(start: int, end: int) -> tuple[tuple[Part, int, int], ...]:
    """Which part has what of the bytes from `start` to `end`."""
    if end <= _PREFIX_BYTES:
        return ((Part.PREFIX, start, end),)
    if start >= _PREFIX_BYTES:
        return ((Part.TAIL, start, end),)
    return ((Part.PREFIX, start, _PREFIX_BYTES), (Part.TAIL, _PREFIX_BYTES, end))
