"""A cursor on one rendition: what a door holds for one listener.

Used in two ways: bodies that the HTTP server pulls call `run` and `want`; coroutines await `ready`. After `error` is set the
reader brings nothing more. `close` must be called once; it is safe to call it again.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from edge_node.eviction import Part, part_of
from edge_node.live import MANIFEST, Live
from edge_node.location import Tier
from edge_node.metrics import EdgeMetrics
from edge_node.open_file import OpenFile
from reprise.chunks import CHUNK_BYTES
from reprise.errors import DataCorrupt, NotFound, RepriseError, Unavailable
from reprise.manifests import Manifest

# The door of a worker process: behind it are readers that the worker counts.
WORKER = "worker"
# Chunks that leave by one sendfile: enough that its cost vanishes, few enough that a purge is prompt.
RUN_CHUNKS_MAX = 16


@dataclass(frozen=True, slots=True)
class Run:
    """Bytes that lie side by side in one open file, good for as long as the file is held."""

    file: OpenFile
    offset: int
    length: int


class Reader:
    """See the module. `door` and the outcome of the first chunk go into the metrics."""

    __slots__ = (
        "_future",
        "_live",
        "_metrics",
        "_on_close",
        "_opened_at",
        "_part",
        "_served",
        "_waited",
        "_wake",
        "_wanted_at",
        "door",
        "end",
        "error",
        "first_chunk",
        "hops",
        "result",
        "wanted",
    )  # fmt: skip

    def __init__(
        self,
        live: Live,
        door: str,
        first_chunk: int,
        hops: int,
        metrics: EdgeMetrics,
        on_close: "Callable[[Reader], None]",
    ) -> None:
        self.door = door
        self.first_chunk = first_chunk
        self.hops = hops
        self.error: RepriseError | None = None
        self.result = ""
        # What was wanted last, and where a fill for it may stop; kept for Live.
        self.wanted = MANIFEST
        self.end: int | None = None
        self._live = live
        self._metrics = metrics
        self._on_close: Callable[[Reader], None] | None = on_close
        self._wake: Callable[[], None] | None = None
        self._future: asyncio.Future[None] | None = None
        self._waited = False
        self._served = False
        self._part: Part | None = None
        self._opened_at = time.monotonic()
        self._wanted_at = 0.0
        live.join(self)

    @property
    def manifest(self) -> Manifest | None:
        """None until the first fill has brought it."""
        return self._live.manifest

    @property
    def brought(self) -> Mapping[str, int]:
        """Bytes that fills of the rendition have brought while it is in use, by source: "origin" or "peer"."""
        return self._live.brought

    @property
    def listens(self) -> bool:
        """Whether this is somebody's stream, and not a worker process."""
        return self.door != WORKER

    @property
    def rendition_id(self) -> str:
        return self._live.rendition_id

    def has(self, chunk: int) -> bool:
        """Whether `chunk` can be sent now."""
        return self._live.locate(chunk) is not None

    @property
    def patient(self) -> bool:
        """A listener who has bytes to play already."""
        return self._served and self.hops == 0 and self.listens

    def run(self, start: int, end: int, chunks_max: int = RUN_CHUNKS_MAX) -> Run | None:
        """The bytes from `start`, at most to `end`, that can be sent now; None when the first of them cannot."""
        if self.error is not None:
            raise self.error
        chunk = start // CHUNK_BYTES
        last = (end - 1) // CHUNK_BYTES
        place = self._live.locate(chunk, min(chunks_max, last - chunk + 1))
        if place is None:
            return None
        if not self._served:
            self._first_byte(place.tier)
        part = part_of(chunk)
        if part is not self._part:
            self._part = part
            self._live.touch(part)
        within = start - chunk * CHUNK_BYTES
        length = min(end - start, place.length - within)
        source = "fill" if self._waited else place.tier.value
        self._metrics.sent_bytes[self.door, source] += length
        self._waited = False
        return Run(place.file, place.offset + within, length)

    def want(self, chunk: int, wake: Callable[[], None], end: int | None = None) -> None:
        """Calls `wake` once when `chunk` can be sent, or when `error` is set."""
        if self.error is not None:
            wake()
            return
        self._wake = wake
        # Who waits to hear of the song waits for no byte yet.
        self._waited = chunk != MANIFEST
        self.end = end
        self._wanted_at = time.monotonic()
        how = self._live.want(self, chunk, end)
        self.result = self.result or how

    async def ready(self, chunk: int, end: int | None = None) -> None:
        """Returns when `chunk` (or MANIFEST) is there; raises what its fill ended with."""
        while not (self.manifest is not None if chunk == MANIFEST else self.has(chunk)):
            self._future = asyncio.get_running_loop().create_future()
            self.want(chunk, self._resolve, end)
            await self._future
            if self.error is not None:
                raise self.error

    def settle(self) -> None:
        """What was wanted came, though nothing is sent: for prewarming."""
        self._served = True

    def wake(self) -> None:
        """Called by Live: what was wanted is there, or `error` says why not."""
        if self._wake is not None:
            wake, self._wake = self._wake, None
            self._metrics.follower_wait_seconds.observe(time.monotonic() - self._wanted_at)
            wake()

    def close(self) -> None:
        """Gives the rendition back."""
        if self._on_close is not None:
            on_close, self._on_close = self._on_close, None
            self._wake = None
            self._live.leave(self)
            if not self._served:
                self._unserved()
            if isinstance(self.error, Unavailable | DataCorrupt):
                self._metrics.failed(self.door)
            on_close(self)

    def _resolve(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)

    def _first_byte(self, tier: Tier) -> None:
        self._served = True
        self.result = self.result or f"hit_{tier.value}"
        self._metrics.first_byte(self.door, self.result, time.monotonic() - self._opened_at)

    def _unserved(self) -> None:
        cause = "abandoned" if self.error is None else "negative" if isinstance(self.error, NotFound) else "error"
        self._metrics.requests[self.door, cause] += 1
