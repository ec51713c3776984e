"""What the edge carries, sampled a few times a second. It decides nothing and sends nothing.

NIC throughput is what left the interface by the kernel's count, or, where several edges share one interface (a mesh on
loopback), what this edge gave to its sockets.
"""

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edge_node.metrics import FIRST_BYTE_SECONDS
from edge_node.nic import Nic, SentBytes, SmoothRate
from edge_node.node import Node
from edge_node.tally import Tally, added
from edge_node.utilisation import Load, median
from reprise.metrics import LoopLag

SAMPLE_S = 0.2
# Rates other than that of the NIC are of this long: the figures of other processes come once a second.
WINDOW_S = 3.0
# In less than that a start, or one report, would look like load.
WINDOW_S_MIN = 1.0


class Meter(Collector):
    """One for all who are told. `elsewhere` tells what the edge's other processes do."""

    def __init__(
        self, node: Node, nic: Nic, lag: LoopLag, elsewhere: Callable[[], Tally], registry: CollectorRegistry
    ) -> None:
        self.tally = Tally()
        self.load = Load(stream_limit=node.config.stream_limit, capacity_bps=nic.capacity_bps)
        self._node = node
        self._lag = lag
        self._elsewhere = elsewhere
        self._interface = SentBytes(nic.interface) if nic.interface else None
        self._capacity_bps = nic.capacity_bps
        now = time.monotonic()
        self._sent = SmoothRate(self._sent_bytes(), now)
        self._window: deque[tuple[float, Tally]] = deque([(now, self._read())])
        registry.register(self)

    async def run(self) -> None:
        """Samples until cancelled."""
        while True:
            self.sample()
            await asyncio.sleep(SAMPLE_S)

    def sample(self) -> None:
        """Brings `tally` and `load` up to date."""
        now = time.monotonic()
        node, sessions = self._node, self._node.sessions
        sessions.settle(now)
        self.tally = self._read()
        self._sent.take(self._sent_bytes(), now)
        self._window.append((now, self.tally))
        while len(self._window) > 2 and self._window[1][0] <= now - WINDOW_S:
            self._window.popleft()
        self.load = Load(
            # A session has a stream open or not, and a few streams are other edges'.
            active_streams=max(node.streams + node.streams_elsewhere, len(sessions)),
            stream_limit=node.config.stream_limit,
            tx_bps=int(self._sent.per_s * 8),
            committed_bps=sessions.committed_bps,
            capacity_bps=self._capacity_bps,
            loop_lag_s=self.tally.loop_lag_s,
            **self._rates(now),
        )

    def _rates(self, now: float) -> dict[str, float]:
        then, before = self._window[0]
        after, seconds = self.tally, now - then
        if seconds < WINDOW_S_MIN:
            return {}
        requests = after.requests - before.requests
        hits = after.ram_hits + after.disk_hits - before.ram_hits - before.disk_hits
        cores = max(1, min(after.processes, len(os.sched_getaffinity(0))))
        counts = [total - old for total, old in zip(after.first_bytes, before.first_bytes, strict=True)]
        return {
            "cpu": max(0.0, after.cpu_s - before.cpu_s) / seconds / cores,
            "requests_per_s": requests / seconds,
            "failures_per_s": (after.failed_plays - before.failed_plays) / seconds,
            # Without a request the last one known still says what a listener may expect.
            "hit_ratio": hits / requests if requests else self.load.hit_ratio,
            "first_byte_p50_s": median(counts, FIRST_BYTE_SECONDS),
        }

    def _read(self) -> Tally:
        return added((tally_of(self._node, self._lag), self._elsewhere()))

    def _sent_bytes(self) -> int:
        return self._interface() if self._interface else self.tally.sent_bytes

    def collect(self) -> Iterator[Metric]:
        load = self.load
        for name, text, value in (
            ("nic_capacity_bps", "What the NIC can send, by setting or link", load.capacity_bps),
            ("nic_tx_bps", "What the NIC sends, smoothed over a second", load.tx_bps),
            ("committed_bps", "Sum of the bitrates of sessions", load.committed_bps),
            ("sessions", "Listeners, between two requests too", len(self._node.sessions)),
        ):
            yield GaugeMetricFamily(f"reprise_edge_{name}", text, value=value)
        yield CounterMetricFamily(
            "reprise_edge_uncounted_requests",
            "Requests that found no room for a session",
            value=self._node.sessions.uncounted,
        )
        shares = GaugeMetricFamily("reprise_edge_utilisation", "Share of a resource in use", labels=("resource",))
        for resource, share in (
            ("nic", load.nic),
            ("streams", load.streams),
            ("cpu", load.cpu),
            ("loop_lag", load.loop_lag),
        ):
            shares.add_metric((resource,), share)
        yield shares


def tally_of(node: Node, lag: LoopLag) -> Tally:
    """What this process does. The readers of other processes are theirs to count."""
    metrics = node.metrics
    metrics.settle()
    requests = metrics.requests
    return Tally(
        loop_lag_s=lag.p95_s(),
        processes=1,
        waiting=_waiting(node),
        requests=sum(requests.values()),
        ram_hits=sum(n for (_, result), n in requests.items() if result == "hit_ram"),
        disk_hits=sum(n for (_, result), n in requests.items() if result == "hit_disk"),
        sent_bytes=sum(metrics.sent_bytes.values()),
        cpu_s=time.process_time(),
        started_plays=metrics.started_plays,
        failed_plays=metrics.failed_plays,
        first_bytes=tuple(metrics.first_bytes),
    )


def _waiting(node: Node) -> dict[str, int]:
    """Who waits for a fill now, or did until a moment ago: a fill is often over before anybody is told."""
    waiting = {}
    for rendition_id, waited in node.waits.counts(time.monotonic()).items():
        live = node.lives.get(rendition_id)
        readers = max(live.waiting if live else 0, int(waited.sure))
        if readers:
            waiting[rendition_id] = readers
    return waiting
