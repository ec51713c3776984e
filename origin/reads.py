"""Carries out what `origin.coalescing` decides: runs S3 reads as tasks and wakes the readers of each chunk as it lands.

A reader is a cursor. It waits for one chunk at a time on a future of its own, so a reader that leaves or lags touches nobody
else. All readers who wait on a read that fails get its error; each wait is bounded because the read is.
"""

import asyncio
import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing

from origin.coalescing import Coalescer, Held, Joined, Read, Started
from origin.gate import Gate
from origin.metrics import OriginMetrics
from origin.store import Store
from reprise import tracing
from reprise.chunks import ByteRange, chunk_range
from reprise.errors import DataCorrupt, Unavailable
from reprise.manifests import Manifest


class Reads:
    """Chunks of renditions from the window or from S3."""

    def __init__(self, store: Store, coalescer: Coalescer, gate: Gate, metrics: OriginMetrics) -> None:
        self._store = store
        self._coalescer = coalescer
        self._gate = gate
        self._metrics = metrics
        self._waiting: defaultdict[tuple[str, int], list[asyncio.Future[bytes]]] = defaultdict(list)
        self._tasks: set[asyncio.Task[None]] = set()

    async def chunks(self, manifest: Manifest, first: int, stop: int) -> AsyncIterator[bytes]:
        """Chunks `first` up to, not including, `stop`, each as soon as it is there.

        Raises NotFound, DataCorrupt, QuotaExceeded or Unavailable; what was yielded before is good.
        """
        for index in range(first, stop):
            yield await self._chunk(manifest, index, stop)

    async def close(self) -> None:
        """Ends all reads; their readers get Unavailable."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _chunk(self, manifest: Manifest, index: int, stop: int) -> bytes:
        match self._coalescer.want(manifest.rendition_id, index, stop):
            case Held(chunk):
                self._metrics.chunks.labels("held").inc()
                return chunk
            case Joined():
                self._metrics.chunks.labels("joined").inc()
            case Started(read):
                self._metrics.chunks.labels("started").inc()
                self._start(read, manifest)
        arrival: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        waiters = self._waiting[manifest.rendition_id, index]
        waiters.append(arrival)
        try:
            return await arrival
        finally:
            if arrival.cancelled():
                self._forget((manifest.rendition_id, index), arrival)

    def _start(self, read: Read, manifest: Manifest) -> None:
        task = asyncio.create_task(self._run(read, manifest), name=f"s3-read-{read.rendition_id[:8]}-{read.head}")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._end(read, ended))
        self._metrics.live_reads.set(self._coalescer.live_reads)

    async def _run(self, read: Read, manifest: Manifest) -> None:
        async with self._gate.place():
            span = ByteRange(chunk_range(read.head, manifest.size_bytes).start, _end_byte(read, manifest))
            buffer = bytearray()
            with tracing.span("s3.get_range", rendition_id=read.rendition_id, start=span.start, length=span.length):
                async with aclosing(self._store.read(read.rendition_id, span, manifest.size_bytes)) as pieces:
                    async for piece in pieces:
                        buffer += piece
                        self._land_whole_chunks(read, manifest, buffer)
                        if read.complete:
                            return

    def _land_whole_chunks(self, read: Read, manifest: Manifest, buffer: bytearray) -> None:
        while not read.complete:
            length = chunk_range(read.head, manifest.size_bytes).length
            if len(buffer) < length:
                return
            chunk = bytes(memoryview(buffer)[:length])
            del buffer[:length]
            if hashlib.sha256(chunk).digest() != manifest.digests[read.head]:
                raise DataCorrupt(f"chunk {read.head} of rendition {read.rendition_id} is damaged in S3")
            arrivals = self._waiting.pop((read.rendition_id, read.head), ())
            self._coalescer.land(read, chunk)
            self._metrics.window_bytes.set(self._coalescer.window_bytes)
            for arrival in arrivals:
                if not arrival.done():
                    arrival.set_result(chunk)

    def _end(self, read: Read, task: asyncio.Task[None]) -> None:
        """Forgets an ended read and fails those who still wait on it. Runs once per read, however it ended."""
        self._tasks.discard(task)
        self._coalescer.drop(read)
        self._metrics.live_reads.set(self._coalescer.live_reads)
        error = Unavailable("this origin is stopping") if task.cancelled() else task.exception()
        if error is None:
            assert read.complete
            return
        for index in range(read.head, read.end):
            for arrival in self._waiting.pop((read.rendition_id, index), ()):
                if not arrival.done():
                    arrival.set_exception(error)

    def _forget(self, key: tuple[str, int], arrival: asyncio.Future[bytes]) -> None:
        waiters = self._waiting.get(key)
        if waiters is not None and arrival in waiters:
            waiters.remove(arrival)
            if not waiters:
                del self._waiting[key]


def _end_byte(read: Read, manifest: Manifest) -> int:
    return chunk_range(read.end - 1, manifest.size_bytes).end
