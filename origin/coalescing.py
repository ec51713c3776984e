"""Which chunks to read from S3 and for whom: one read feeds everyone who wants the same bytes. Pure.

A chunk of a rendition is in one of three states:

    absent ──want──▶ in flight ──land──▶ held ──evicted (least recently used)──▶ absent
                        └────drop (the read failed)────▶ absent

A read is a row of chunks that arrive in order: `head` comes next, `end` is not part of it. It belongs to the origin, never to
the reader that caused it, so readers come, go and lag without changing it.

Invariants (tests/origin/test_coalescing.py):
    a chunk is in flight in at most one read, and never while it is held, so no chunk is read twice at the same time;
    held bytes stay within the budget;
    every `want` is answered by the chunk, or by a live read that will bring it.
"""

from collections import OrderedDict
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Read:
    """One S3 read under way, of chunks `head` up to, not including, `end`. A later read may take over its tail."""

    rendition_id: str
    head: int
    end: int

    @property
    def complete(self) -> bool:
        """Whether nothing more is expected of it."""
        return self.head >= self.end


@dataclass(frozen=True, slots=True)
class Held:
    """The chunk is in the window."""

    chunk: bytes


@dataclass(frozen=True, slots=True)
class Joined:
    """A live read brings the chunk soon: wait for it."""


@dataclass(frozen=True, slots=True)
class Started:
    """This read must be started now; it brings the chunk first."""

    read: Read


Outcome = Held | Joined | Started


class Coalescer:
    """The chunks that are held and the reads that are under way, of all renditions.

    `read_chunks_max` bounds one S3 read: after all its readers left, no more than that is read for nobody. A reader ahead of a
    live read joins it when at most `join_chunks_max` chunks come first; farther ahead it takes over the read's tail, because
    waiting would cost more than the first byte of a new read.
    """

    def __init__(self, *, window_bytes_max: int, read_chunks_max: int, join_chunks_max: int) -> None:
        self._window_bytes_max = window_bytes_max
        self._read_chunks_max = read_chunks_max
        self._join_chunks_max = join_chunks_max
        self._window: OrderedDict[tuple[str, int], bytes] = OrderedDict()
        self._reads: dict[str, list[Read]] = {}
        self.window_bytes = 0

    def want(self, rendition_id: str, index: int, stop: int) -> Outcome:
        """What a reader does that needs chunk `index` now and then goes on to, not including, `stop`."""
        chunk = self._window.get((rendition_id, index))
        if chunk is not None:
            self._window.move_to_end((rendition_id, index))
            return Held(chunk)
        live = self._read_of(rendition_id, index)
        if live is not None and index - live.head <= self._join_chunks_max:
            return Joined()
        if live is not None:
            read = Read(rendition_id, index, live.end)
            live.end = index
        else:
            read = Read(rendition_id, index, self._free_until(rendition_id, index, stop))
        self._reads.setdefault(rendition_id, []).append(read)
        return Started(read)

    def land(self, read: Read, chunk: bytes) -> None:
        """Chunk `read.head` has arrived and is held from now on."""
        assert not read.complete
        self._window[read.rendition_id, read.head] = chunk
        self.window_bytes += len(chunk)
        read.head += 1
        while self.window_bytes > self._window_bytes_max:
            _, evicted = self._window.popitem(last=False)
            self.window_bytes -= len(evicted)

    def drop(self, read: Read) -> None:
        """`read` has ended; what it did not bring is absent again."""
        reads = self._reads[read.rendition_id]
        reads.remove(read)
        if not reads:
            del self._reads[read.rendition_id]

    @property
    def live_reads(self) -> int:
        """How many reads are under way."""
        return sum(map(len, self._reads.values()))

    def _read_of(self, rendition_id: str, index: int) -> Read | None:
        return next((read for read in self._reads.get(rendition_id, ()) if read.head <= index < read.end), None)

    def _free_until(self, rendition_id: str, index: int, stop: int) -> int:
        """The end of the row of absent chunks that starts at `index`, cut to one read."""
        end = min(stop, index + self._read_chunks_max)
        for read in self._reads.get(rendition_id, ()):
            if index < read.head < read.end:
                end = min(end, read.head)
        return next((at for at in range(index + 1, end) if (rendition_id, at) in self._window), end)
