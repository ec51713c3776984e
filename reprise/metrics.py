"""What every service measures about itself, and the Prometheus text page. Services declare their own beside their code."""

import asyncio
import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import GaugeMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from reprise.http_message import Response

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def render(registry: CollectorRegistry) -> Response:
    """The `/metrics` page."""
    return Response(200, (("content-type", CONTENT_TYPE),), generate_latest(registry))


class LoopLag(Collector):
    """How late the event loop runs timers: the first sign of a loop that is full or blocked."""

    def __init__(self, service: str, interval_s: float = 0.05, window: int = 40) -> None:
        self._name = f"reprise_{service}_loop_lag_seconds"
        self._interval_s = interval_s
        self._window = window
        self._lags: list[float] = []

    async def run(self) -> None:
        """Samples until cancelled."""
        while True:
            due = time.monotonic() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self._lags.append(max(0.0, time.monotonic() - due))
            del self._lags[: -self._window]

    def p95_s(self) -> float:
        """The 95th percentile of the last two seconds, in seconds."""
        lags = sorted(self._lags)
        return lags[int(len(lags) * 0.95)] if lags else 0.0

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, "95th percentile of event-loop lag over two seconds", value=self.p95_s())


def process_collectors(service: str, loop_lag: LoopLag | None) -> list[Collector]:
    """CPU seconds, RSS and open files of this process, and its loop lag."""
    process = ProcessCollector(namespace=f"reprise_{service}", registry=None)
    return [process, *([loop_lag] if loop_lag else [])]
