"""`xds.service.orca.v3.OpenRcaService`: the edge's load at an interval, for stock gRPC clients and Envoy.

Streams of audio last for minutes, so a load that came with each call's end would come too late; this is the standard's way for
such servers ("out of band", gRFC A51). Bounds: watchers at once, and how often each is told.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge

from reprise.errors import QuotaExceeded
from reprise.orca.v3.orca_load_report_pb2 import OrcaLoadReport
from reprise.orca.v3.orca_service_pb2 import OrcaLoadReportRequest
from reprise.orca.v3.orca_service_pb2_grpc import OpenRcaServiceServicer

WATCHERS_MAX = 256
INTERVAL_S = 1.0
INTERVAL_S_MIN = 0.1
INTERVAL_S_MAX = 60.0
RETRY_AFTER_S = 10.0


class OrcaServicer(OpenRcaServiceServicer):
    """Handler of the service. `report` tells the load of this moment."""

    def __init__(
        self,
        report: Callable[[], OrcaLoadReport],
        draining: asyncio.Event,
        registry: CollectorRegistry,
        watchers_max: int = WATCHERS_MAX,
    ) -> None:
        self._report = report
        self._draining = draining
        self._watchers_max = watchers_max
        self._watchers = 0
        Gauge("reprise_edge_orca_watchers", "Who is told the load", registry=registry).set_function(
            lambda: self._watchers
        )
        self._refused = Counter("reprise_edge_orca_refused", "Watchers too many", registry=registry)

    async def StreamCoreMetrics(self, request: OrcaLoadReportRequest, context: Any) -> AsyncIterator[OrcaLoadReport]:
        with self._watching():
            while not self._draining.is_set():
                yield self._report()
                await self._pause(interval_s(request))

    @contextmanager
    def _watching(self) -> Iterator[None]:
        if self._watchers >= self._watchers_max:
            self._refused.inc()
            raise QuotaExceeded(
                f"this edge tells its load to {self._watchers_max} at once", retry_after_s=RETRY_AFTER_S
            )
        self._watchers += 1
        try:
            yield
        finally:
            self._watchers -= 1

    async def _pause(self, seconds: float) -> None:
        """Ends early with the edge's first moment of draining."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._draining.wait()


def interval_s(request: OrcaLoadReportRequest) -> float:
    """The standard lets a server report less often than it was asked to; without a wish it is the default."""
    asked = request.report_interval.seconds + request.report_interval.nanos / 1e9
    return min(max(asked, INTERVAL_S_MIN), INTERVAL_S_MAX) if asked > 0 else INTERVAL_S
