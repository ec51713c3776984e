"""Reads what lies on disk again, slowly, so that rot is found before a listener asks for it.

A chunk is verified when it first leaves after a restart, and trusted from then on. What the disk loses after that only this
finds. Bad parts go, and come back from upstream with the next request. Reads go through the page cache, where what was
read once is the first to go. One chunk at a time; never on the event loop.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

from edge_node.disk import DiskTier, Verdict
from edge_node.eviction import Key
from edge_node.scrub_pace import ScrubPace
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import chunk_range


class Scrubber:
    """`now` gives monotonic seconds, `sleep` waits for some."""

    def __init__(
        self,
        disk: DiskTier,
        pace: ScrubPace,
        metrics: StoreMetrics,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._disk = disk
        self._pace = pace
        self._metrics = metrics
        self._now = now
        self._sleep = sleep

    async def run(self) -> None:
        """Round after round until cancelled."""
        while True:
            await self._sleep(self._pace.round_pause_s(self._now()))
            await self.round()

    async def round(self) -> None:
        """Reads every chunk that is on disk now and still is when its turn comes."""
        for key in self._disk.index.keys:
            await self._part(key)

    async def _part(self, key: Key) -> None:
        manifest = self._disk.index.manifest(key.rendition_id)
        part = self._disk.index.part(key)
        if manifest is None or part is None:
            return
        for chunk in range(len(manifest.digests)):
            if not part.present >> chunk & 1:
                continue
            size_bytes = chunk_range(chunk, manifest.size_bytes).length
            await self._sleep(self._pace.read_pause_s(size_bytes, self._now()))
            verdict = await self._disk.scrub(key, chunk, manifest)
            self._metrics.scrubbed_chunks[verdict.value] += 1
            if verdict is not Verdict.GOOD:
                return
