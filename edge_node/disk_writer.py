"""The one thread that changes the cache directory, and the breaker in front of it.

Jobs run in the order in which the event loop gave them, so the loop may count on a removal before the write that needs its
room. Failed writes stop all writing for a while; the edge then serves through RAM.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from edge_node.breaker import RETRY_S, WriteBreaker
from edge_node.store_metrics import StoreMetrics
from reprise.log import get_logger

log = get_logger()
CLOSE_S_MAX = 5.0
T = TypeVar("T")


class DiskWriter:
    """See the module. `now` gives monotonic seconds."""

    def __init__(self, metrics: StoreMetrics, now: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._now = now
        self._breaker = WriteBreaker()
        self._thread = ThreadPoolExecutor(1, "edge-disk-writer")
        self._jobs: set[asyncio.Future[object]] = set()
        self._closed = False

    @property
    def writable(self) -> bool:
        """False while writes pause after an error."""
        return not self._breaker.open

    @property
    def jobs(self) -> int:
        """Jobs that wait or run."""
        return len(self._jobs)

    @property
    def allows(self) -> bool:
        """Whether a write may be given now."""
        return not self._closed and self._breaker.allows(self._now())

    def submit(self, job: Callable[[], T]) -> asyncio.Future[T]:
        """Runs `job` after all that were submitted before. Without a bound of its own: each part has one job at most."""
        future = asyncio.get_running_loop().run_in_executor(self._thread, job)
        self._jobs.add(future)  # type: ignore[arg-type]
        future.add_done_callback(self._jobs.discard)
        return future

    def remove(self, job: Callable[[], None]) -> None:
        """As `submit`, for a removal that nobody waits for: its failure is counted and named."""
        # What is left behind after the end fails its check when it is adopted.
        if not self._closed:
            self.submit(job).add_done_callback(self._removed)

    def succeeded(self) -> None:
        """A write worked."""
        if self._breaker.succeeded():
            log.info("disk_writes_resumed")

    def failed(self, error: OSError) -> None:
        """A write did not."""
        self._metrics.disk_errors["write"] += 1
        if self._breaker.failed(self._now()):
            log.warning("disk_writes_paused", reason=error.strerror, retry_s=RETRY_S, meanwhile="serving through RAM")

    async def close(self) -> None:
        """Lets running jobs end, within a bound."""
        self._closed = True
        if self._jobs:
            await asyncio.wait(self._jobs, timeout=CLOSE_S_MAX)
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _removed(self, future: asyncio.Future[None]) -> None:
        error = None if future.cancelled() else future.exception()
        if error is not None:
            self._metrics.disk_errors["drop"] += 1
            log.warning("disk_removal_failed", reason=str(error))
