"""The bound on concurrent S3 reads: so many at once, so many waiting, each for so long. Beyond that QuotaExceeded."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from origin.metrics import OriginMetrics
from reprise.errors import QuotaExceeded


class Gate:
    """Places for S3 reads, given in the order asked."""

    def __init__(self, *, active_max: int, waiting_max: int, wait_s_max: float, metrics: OriginMetrics) -> None:
        self._places = asyncio.Semaphore(active_max)
        self._waiting_max = waiting_max
        self._wait_s_max = wait_s_max
        self._waiting = 0
        self._metrics = metrics

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Holds a place inside the context. Raises QuotaExceeded when too many wait, or waited too long."""
        if self._places.locked() and self._waiting >= self._waiting_max:
            self._metrics.refused.labels("queue").inc()
            raise QuotaExceeded(f"{self._waiting} reads wait for S3 already", retry_after_s=1.0)
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s_max):
                await self._places.acquire()
        except TimeoutError:
            self._metrics.refused.labels("wait").inc()
            message = f"waited {self._wait_s_max:g} s for a place to read from S3"
            raise QuotaExceeded(message, retry_after_s=1.0) from None
        finally:
            self._waiting -= 1
        try:
            yield
        finally:
            self._places.release()
