"""A rendition in use: its readers, who waits for which chunk, and the fills that bring chunks.

One Live exists per rendition while it has a reader or a fill. While a fill runs the store's entry is pinned: what it brings
must not be evicted before anyone reads it. Otherwise a chunk may go at any time, and is then a miss like any other. All state
changes are synchronous; the only tasks are fills and reads of what the disk holds from before a restart.

Whoever waits for a first byte is woken by the chunk that brings it, and so is another edge. Whoever has something to play
already is woken at most every `REST_S`, for all that has come since: of a thousand followers the last one's first byte does not
wait for everybody's second helping, and each costs a few large sends in place of many small ones.

Race to know: a chunk may arrive between a reader's `locate` (None) and its `want`. `want` looks again, so no wake-up is lost.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Protocol

from edge_node.coalescing import Busy, Coalescer, Lead, Outcome, Ready
from edge_node.eviction import Part
from edge_node.holding import Holding
from edge_node.location import Extent, Tier
from edge_node.store import Entry
from reprise.chunks import chunk_count
from reprise.errors import DataCorrupt, NotFound, QuotaExceeded, RepriseError, Unavailable
from reprise.manifests import Manifest

if TYPE_CHECKING:
    from edge_node.reader import Reader

# Listeners that wait for the manifest wait for this chunk number.
MANIFEST = -1
# A fast fill brings some six chunks in it; at the bitrate of the best audio it is a hundredth of what the first chunk plays.
REST_S = 0.02


class Owner(Protocol):
    """What a Live asks of its node."""

    def start_fill(self, live: "Live", fill_id: int, hops: int) -> str: ...
    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> None: ...
    def call_later(self, delay_s: float, call: Callable[[], None]) -> None: ...
    def enter(self, manifest: Manifest) -> Holding: ...
    def may_discover(self) -> bool: ...
    async def discover(self, rendition_id: str) -> Holding | None: ...
    def first_wait(self, rendition_id: str, *, follows: bool) -> None: ...
    def unused(self, live: "Live") -> None: ...


class Live:
    """See the module."""

    def __init__(self, rendition_id: str, owner: Owner, entry: Holding | None) -> None:
        self.rendition_id = rendition_id
        self.entry = entry
        self.readers: set[Reader] = set()
        # Bytes that fills have brought since this began, by source.
        self.brought: Counter[str] = Counter()
        self.purged = False
        self._owner = owner
        # Insertion order is kept: of equals, whoever waits longest is woken first.
        self._waiters: defaultdict[int, dict[Reader, None]] = defaultdict(dict)
        # Those whose chunk is here, and who are woken when the rest is over.
        self._patient: dict[Reader, None] = {}
        self._resting = False
        self._verifying: set[int] = set()
        self._pinned = False
        self._coalescer = Coalescer(self.count) if entry else Coalescer()

    @property
    def manifest(self) -> Manifest | None:
        return self.entry.manifest if self.entry else None

    @property
    def count(self) -> int:
        """Chunks of the rendition; the manifest must be known."""
        assert self.entry is not None
        return chunk_count(self.entry.manifest.size_bytes)

    @property
    def waiting(self) -> int:
        """Readers that wait for a chunk; worker processes are none."""
        waiting = sum(reader.listens for readers in self._waiters.values() for reader in readers)
        return waiting + len(self._patient)

    @property
    def idle(self) -> bool:
        """Nothing uses this any more."""
        return not self.readers and self._coalescer.running == 0 and not self._verifying

    # For readers

    def locate(self, chunk: int, chunks_max: int = 1) -> Extent | None:
        """`chunk`, with what follows it in the same file, when it can be sent now."""
        return self.entry.extent(chunk, chunks_max) if self.entry else None

    def tier(self, chunk: int) -> Tier | None:
        """Where a chunk is, verified or not."""
        return self.entry.has(chunk) if self.entry else None

    def touch(self, part: Part) -> None:
        """A reader came to `part`: the store counts it once per request."""
        if self.entry is not None:
            self.entry.touch(part)

    def want(self, reader: "Reader", chunk: int, end: int | None = None) -> str:
        """`reader` is woken when `chunk` can be sent or will not come. Returns how: as leader, peer or follower; "" as a hit.

        `chunk` may be MANIFEST: then the fill starts at the reader's first chunk. A fill started here stops at `end`.
        """
        if self._is_there(chunk):
            reader.wake()
            return "follower"
        self._waiters[chunk][reader] = None
        reader.wanted = chunk
        if self._may_be_on_disk(chunk):
            self._verify(chunk)
            # Whoever gets it from there is a hit of the tier it is then in.
            return ""
        return self._start_or_join(reader, chunk, end)

    def join(self, reader: "Reader") -> None:
        self.readers.add(reader)

    def leave(self, reader: "Reader") -> None:
        """The fill goes on: it belongs to the node."""
        self.readers.discard(reader)
        waiting = self._waiters.get(reader.wanted)
        if waiting is not None:
            waiting.pop(reader, None)
        self._patient.pop(reader, None)
        self._check_idle()

    # For fills

    def position(self, fill_id: int) -> int:
        return self._coalescer.position(fill_id)

    def remaining(self, fill_id: int) -> int:
        return self._coalescer.remaining(fill_id)

    def opened(self, manifest: Manifest) -> None:
        """The manifest is known and verified."""
        if self.entry is None:
            self._use(self._owner.enter(manifest))
        self._pin()
        self._wake(MANIFEST)

    def arrived(self, fill_id: int, data: bytes) -> bool:
        """The fill's next chunk, not verified yet. Returns whether the fill goes on; raises DataCorrupt, QuotaExceeded."""
        # Only the process that owns the store is given bytes.
        assert isinstance(self.entry, Entry)
        chunk = self._coalescer.position(fill_id)
        if not self.entry.verify(chunk, data):
            raise DataCorrupt(f"chunk {chunk} of {self.rendition_id} does not match its digest")
        self.entry.write(chunk, data)
        return self.landed(fill_id)

    def landed(self, fill_id: int) -> bool:
        """The fill's next chunk is in the store. Returns whether the fill goes on."""
        self._wake(self._coalescer.position(fill_id))
        return self._coalescer.advance(fill_id)

    def ended(self, fill_id: int, outcome: Outcome, reason: str) -> None:
        """A fill is over. Whoever waits for what it did not bring shares its outcome."""
        abandoned = self._coalescer.finish(fill_id)
        self._wake_patient()
        self._unpin()
        if outcome is not Outcome.STORED:
            error = _ERRORS[outcome](reason)
            self._fail([chunk for chunk in self._waiters if chunk in abandoned], error)
            if self.entry is None and self._coalescer.running == 0:
                self._fail([MANIFEST], error)
        self._check_idle()

    def release(self) -> None:
        """Gives the store's entry back; nothing uses this any more."""
        if self.entry is not None:
            self.entry.release()

    def purge(self) -> None:
        """The song was taken down: every reader ends now."""
        self.purged = True
        gone = NotFound("this song is no longer available")
        self._fail(list(self._waiters), gone)
        for reader in list(self.readers):
            reader.error = gone

    # Inside

    def _start_or_join(self, reader: "Reader", chunk: int, end: int | None) -> str:
        start = reader.first_chunk if chunk == MANIFEST else chunk
        decision = self._coalescer.want(start, self._present, end)
        if isinstance(decision, Lead):
            if not reader.result and reader.listens:
                self._owner.first_wait(self.rendition_id, follows=False)
            self._pin()
            return self._owner.start_fill(self, decision.fill_id, reader.hops)
        if isinstance(decision, Busy):
            self._fail([chunk], QuotaExceeded("too many seeks in this song at once", retry_after_s=1))
        elif isinstance(decision, Ready):
            self._wake(chunk)
        elif not reader.result and reader.listens:
            self._owner.first_wait(self.rendition_id, follows=True)
        return "follower"

    def _use(self, entry: Holding) -> None:
        self.entry = entry
        self._coalescer.set_count(self.count)

    def _pin(self) -> None:
        if self.entry is not None and not self._pinned:
            self._pinned = True
            self.entry.pin()

    def _unpin(self) -> None:
        if self.entry is not None and self._pinned and self._coalescer.running == 0:
            self._pinned = False
            self.entry.unpin()

    def _is_there(self, chunk: int) -> bool:
        return self.entry is not None if chunk == MANIFEST else self.locate(chunk) is not None

    def _present(self, chunk: int) -> bool:
        return self.entry is not None and self.entry.has(chunk) is not None

    def _wake(self, chunk: int) -> None:
        waiters = self._waiters.pop(chunk, None)
        if not waiters:
            return
        # Edges before listeners: behind each of them wait listeners too, and they have the longer way.
        for reader in sorted(waiters, key=lambda reader: reader.hops == 0):
            if reader.patient:
                self._patient[reader] = None
            else:
                reader.wake()
        if not self._resting:
            self._wake_patient()
            self._rest()

    def _rest(self) -> None:
        self._resting = True
        self._owner.call_later(REST_S, self._rested)

    def _rested(self) -> None:
        self._resting = False
        if self._patient:
            self._wake_patient()
            self._rest()

    def _wake_patient(self) -> None:
        patient, self._patient = self._patient, {}
        for reader in patient:
            reader.wake()

    def _fail(self, chunks: list[int], error: RepriseError) -> None:
        for chunk in chunks:
            for reader in self._waiters.pop(chunk, ()):
                reader.error = error
                reader.wake()

    def _may_be_on_disk(self, chunk: int) -> bool:
        if chunk == MANIFEST:
            return self._coalescer.running == 0 and self._owner.may_discover()
        return self.tier(chunk) is not None

    def _verify(self, chunk: int) -> None:
        if chunk not in self._verifying:
            self._verifying.add(chunk)
            self._owner.start_task(self._verify_then_wake(chunk), f"verify.{self.rendition_id[:8]}.{chunk}")

    async def _verify_then_wake(self, chunk: int) -> None:
        """What is from before a restart is read and checked once; if it is bad, its waiters want it from upstream."""
        good = False
        try:
            good = await (self._discover() if chunk == MANIFEST else self._ensure_verified(chunk))
        finally:
            self._verifying.discard(chunk)
            self._after_verifying(chunk, good=good)

    async def _ensure_verified(self, chunk: int) -> bool:
        assert self.entry is not None
        return await self.entry.ensure_verified(chunk)

    async def _discover(self) -> bool:
        entry = await self._owner.discover(self.rendition_id)
        if entry is not None and (self.purged or self.entry is not None):
            entry.release()
        elif entry is not None:
            self._use(entry)
        return self.entry is not None

    def _after_verifying(self, chunk: int, *, good: bool) -> None:
        waiters = self._waiters.pop(chunk, {})
        for reader in waiters:
            if good:
                reader.wake()
            else:
                self._waiters[chunk][reader] = None
                reader.result = self._start_or_join(reader, chunk, reader.end)
        self._check_idle()

    def _check_idle(self) -> None:
        if self.idle:
            self._owner.unused(self)


_ERRORS: dict[Outcome, Callable[[str], RepriseError]] = {
    Outcome.ABSENT: NotFound,
    Outcome.REFUSED: lambda reason: QuotaExceeded(reason, retry_after_s=1),
    Outcome.UNREACHABLE: Unavailable,
    Outcome.CORRUPT: DataCorrupt,
    Outcome.PURGED: NotFound,
    Outcome.STOPPED: Unavailable,
}
