"""Which chunks to read from upstream so that none is read twice at a time. Pure; one Coalescer per rendition in use.

Rules
1. At any time a chunk is covered by at most one fill.
2. A wanted chunk that is not there is covered by exactly one fill when `want` returns (or `want` refused).
3. A fill is a span [position, end): it brings `position` next and ends at `end`, which only ever moves down.

How a fill can end, and what its followers do:

    outcome      meaning                                        followers
    STORED       every chunk of its span is in the store        go on
    ABSENT       no source knows the rendition                  NotFound, remembered for a moment
    REFUSED      no room or too much work here                  QuotaExceeded with a pause
    UNREACHABLE  every source failed until the budget was gone  Unavailable: try the next candidate from your offset
    CORRUPT      every source sent bytes that are not the song  DataCorrupt
    PURGED       taken down while it ran                        NotFound
    STOPPED      this node is going away                        Unavailable
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

# A reader waits for a fill that is at most this far behind it; beyond, a second fill starts where the reader is.
JOIN_CHUNKS_MAX = 16
# Of one rendition at once: seeks in a cold song. Beyond, readers follow the fill that covers them, however far behind.
FILLS_MAX = 8
# The size is not known before the manifest is.
UNKNOWN_COUNT = 1 << 30


class Outcome(Enum):
    """How a fill ended."""

    STORED = "stored"
    ABSENT = "absent"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    CORRUPT = "corrupt"
    PURGED = "purged"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Ready:
    """The chunk is there."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The caller must start fill `fill_id` at chunk `start`."""

    fill_id: int
    start: int


@dataclass(frozen=True, slots=True)
class Follow:
    """A fill under way will bring the chunk."""

    fill_id: int


@dataclass(frozen=True, slots=True)
class Busy:
    """No fill covers the chunk and no further one may start."""


Decision = Ready | Lead | Follow | Busy


@dataclass(slots=True)
class _Span:
    position: int
    end: int


class Coalescer:
    """The fills of one rendition. `chunk_count` may be told later, by `set_count`."""

    def __init__(self, chunk_count: int = UNKNOWN_COUNT) -> None:
        self._count = chunk_count
        self._fills: dict[int, _Span] = {}
        self._next_id = 1

    def __repr__(self) -> str:
        return f"[fills: {', '.join(f'{i}:{s.position}-{s.end}' for i, s in self._fills.items()) or 'none'}]"

    @property
    def running(self) -> int:
        """Fills under way."""
        return len(self._fills)

    def want(self, chunk: int, present: Callable[[int], bool], end: int | None = None) -> Decision:
        """What has to happen for `chunk` to come. A fill that starts for it stops at `end` when that is given."""
        if present(chunk):
            return Ready()
        covering = self._covering(chunk)
        if covering is not None:
            fill_id, span = covering
            if chunk - span.position <= JOIN_CHUNKS_MAX or len(self._fills) >= FILLS_MAX:
                return Follow(fill_id)
            gap_end, span.end = span.end, chunk
            return self._start(chunk, gap_end)
        if len(self._fills) >= FILLS_MAX:
            return Busy()
        gap_end = self._gap_end(chunk, present)
        return self._start(chunk, gap_end if end is None else max(chunk + 1, min(gap_end, end)))

    def advance(self, fill_id: int) -> bool:
        """The fill has brought its next chunk. Returns whether it goes on."""
        span = self._fills[fill_id]
        span.position += 1
        return span.position < span.end

    def remaining(self, fill_id: int) -> int:
        """Chunks that the fill has yet to bring; changes when a seek splits it."""
        span = self._fills[fill_id]
        return span.end - span.position

    def position(self, fill_id: int) -> int:
        """The chunk that the fill brings next."""
        return self._fills[fill_id].position

    def set_count(self, chunk_count: int) -> None:
        """The manifest has told the size: no fill goes beyond it."""
        self._count = chunk_count
        for span in self._fills.values():
            span.end = min(span.end, chunk_count)

    def finish(self, fill_id: int) -> range:
        """Ends a fill, whatever the outcome. Returns the chunks that nothing brings any more."""
        span = self._fills.pop(fill_id)
        return range(span.position, span.end)

    def _start(self, start: int, end: int) -> Lead:
        fill_id = self._next_id
        self._next_id += 1
        self._fills[fill_id] = _Span(start, end)
        return Lead(fill_id, start)

    def _covering(self, chunk: int) -> tuple[int, _Span] | None:
        for fill_id, span in self._fills.items():
            if span.position <= chunk < span.end:
                return fill_id, span
        return None

    def _gap_end(self, chunk: int, present: Callable[[int], bool]) -> int:
        """The first chunk after `chunk` that is there or that another fill brings."""
        end = min((span.position for span in self._fills.values() if span.position > chunk), default=self._count)
        if self._count == UNKNOWN_COUNT:
            return end
        return next((c for c in range(chunk + 1, end) if present(c)), end)
