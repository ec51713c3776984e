"""Brings renditions here before anyone asks, without stampeding the origin.

What is at home here comes from an origin, at the order's limit; everything else comes from its home, as for a listener. The
limit spaces spans of 512 KiB, so it never holds back a listener who comes meanwhile: that one's fill is its own.
"""

import asyncio
import time
from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry, Counter

from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.origin_budget import OriginBudget
from edge_node.reader import Reader
from edge_node.store import Store
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS, chunk_count
from reprise.errors import RepriseError

# Prewarming must not starve listeners of the upstream: a few songs at a time.
AT_ONCE_MAX = 4


class Prewarming:
    """Obeys orders on one node."""

    def __init__(
        self, node: Node, store: Store, registry: CollectorRegistry, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._node = node
        self._store = store
        self._clock = clock
        self._slots = asyncio.Semaphore(AT_ONCE_MAX)
        self._budget = OriginBudget()
        self._brought = Counter(
            "reprise_edge_prewarmed_bytes_total",
            "Bytes that came while they were prewarmed, by source: origin or peer",
            ["source"],
            registry=registry,
        )

    async def bring(
        self, rendition_ids: Sequence[str], *, prefix_only: bool, origin_bps_max: int = 0
    ) -> list[RepriseError]:
        """Returns when all are here, or why some are not. 0 reads from origins as fast as it comes."""
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._one(r, prefix_only, origin_bps_max)) for r in rendition_ids]
        return [error for task in tasks if (error := task.result())]

    async def _one(self, rendition_id: str, prefix_only: bool, origin_bps_max: int) -> RepriseError | None:
        async with self._slots:
            try:
                reader = self._node.open(rendition_id, "prewarm")
            except RepriseError as error:
                return error
            try:
                await self._fill(reader, prefix_only, origin_bps_max)
                self._store.keep(rendition_id)
            except RepriseError as error:
                return error
            finally:
                reader.close()
        return None

    async def _fill(self, reader: Reader, prefix_only: bool, origin_bps_max: int) -> None:
        """A prefix is one span; a whole rendition is one too, unless its bytes are to be spaced."""
        span = PREFIX_CHUNKS if prefix_only or origin_bps_max else None
        await self._span(reader, 0, span, origin_bps_max)
        assert reader.manifest is not None
        count = chunk_count(reader.manifest.size_bytes)
        if not prefix_only:
            for first in range(span or count, count, PREFIX_CHUNKS):
                await self._span(reader, first, min(first + PREFIX_CHUNKS, count), origin_bps_max)
        reader.settle()

    async def _span(self, reader: Reader, first: int, end: int | None, origin_bps_max: int) -> None:
        """Brings the chunks from `first` to `end`, None for the rest, when the budget allows."""
        taken = await self._take(reader, first, end, origin_bps_max)
        before = dict(reader.brought)
        try:
            await reader.ready(MANIFEST, end)
            assert reader.manifest is not None
            last = chunk_count(reader.manifest.size_bytes)
            last = last if end is None else min(end, last)
            for chunk in range(first, last):
                await reader.ready(chunk, last)
        finally:
            came = {source: count - before.get(source, 0) for source, count in reader.brought.items()}
            for source, size_bytes in came.items():
                self._brought.labels(source).inc(size_bytes)
            if origin_bps_max:
                self._budget.spend(came.get("origin", 0) - taken, origin_bps_max, self._clock())

    async def _take(self, reader: Reader, first: int, end: int | None, origin_bps_max: int) -> int:
        """Waits for the budget, when this will read from an origin, and takes from it; returns the bytes taken."""
        here = self._store.homes.here(reader.rendition_id)
        missing = _missing(reader, first, end)
        if not origin_bps_max or not here or not missing:
            return 0
        while (pause_s := self._budget.wait_s(self._clock())) > 0:  # noqa: ASYNC110  # it says how long, nobody tells when
            await asyncio.sleep(pause_s)
        # No await since the budget was free, so no two take it at once.
        taken = missing * CHUNK_BYTES
        self._budget.spend(taken, origin_bps_max, self._clock())
        return taken


def _missing(reader: Reader, first: int, end: int | None) -> int:
    """How many chunks from `first` to `end` have yet to come; of a song that is not known yet, all up to `end`."""
    if reader.manifest is not None:
        count = chunk_count(reader.manifest.size_bytes)
        end = count if end is None else min(end, count)
    return sum(not reader.has(chunk) for chunk in range(first, end or first))
