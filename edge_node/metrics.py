"""The edge's figures by cause. Plain integers on the hot path; Prometheus reads them when it asks."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Histogram
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

FIRST_BYTE_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
# What listeners come by; `relay` and `prewarm` are the mesh's own.
LISTENERS_DOORS = frozenset({"http", "grpc", "grpc-web"})


@dataclass(eq=False)
class EdgeMetrics(Collector):
    """Counters of one edge.

    requests: (door, result), result one of hit_ram, hit_disk, leader, peer, follower, negative, error, refused.
    sent_bytes: (door, source), source one of ram, disk, fill: where the bytes were when they left.
    first_bytes: of plays that started, how many within each of FIRST_BYTE_SECONDS, the last beyond them.
    """

    registry: CollectorRegistry
    streams: Callable[[], int]
    listeners: Callable[[], int]
    waiting: Callable[[], int]
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    sent_bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    fills: Counter[str] = field(default_factory=Counter)
    source_failures: Counter[str] = field(default_factory=Counter)
    fill_bytes: Counter[str] = field(default_factory=Counter)
    corrupt_upstream: int = 0
    # Requests of listeners that began with audio, those of the express lane apart, and that failed for a reason of this edge.
    started_plays: int = 0
    failed_plays: int = 0
    first_bytes: list[int] = field(default_factory=lambda: [0] * (len(FIRST_BYTE_SECONDS) + 1))
    # RAM hits of the express lane, added to the counters above by `settle`.
    express_hits: int = 0
    express_bytes: int = 0
    express_web_hits: int = 0
    express_web_bytes: int = 0
    first_byte_seconds: Histogram = field(init=False)
    follower_wait_seconds: Histogram = field(init=False)

    def __post_init__(self) -> None:
        self.first_byte_seconds = Histogram(
            "reprise_edge_first_byte_seconds",
            "From request to the first chunk at hand, by result",
            ["result"],
            registry=self.registry,
            buckets=FIRST_BYTE_SECONDS,
        )
        self.follower_wait_seconds = Histogram(
            "reprise_edge_chunk_wait_seconds",
            "How long a reader waited for one chunk that a fill was bringing",
            registry=self.registry,
            buckets=FIRST_BYTE_SECONDS,
        )
        self.registry.register(self)

    def first_byte(self, door: str, result: str, seconds: float) -> None:
        """A request's first chunk is at hand."""
        self.requests[door, result] += 1
        self.first_byte_seconds.labels(result).observe(seconds)
        if door in LISTENERS_DOORS:
            self.started_plays += 1
            self.first_bytes[bisect_left(FIRST_BYTE_SECONDS, seconds)] += 1

    def failed(self, door: str) -> None:
        """A request ended before it was served, and not because of who asked."""
        if door in LISTENERS_DOORS:
            self.failed_plays += 1

    def settle(self) -> None:
        """Brings the counters up to date; call before reading them."""
        self.requests["http", "hit_ram"] += self.express_hits
        self.sent_bytes["http", "ram"] += self.express_bytes
        self.requests["grpc-web", "hit_ram"] += self.express_web_hits
        self.sent_bytes["grpc-web", "ram"] += self.express_web_bytes
        self.express_hits = self.express_bytes = self.express_web_hits = self.express_web_bytes = 0

    def collect(self) -> Iterator[Metric]:
        self.settle()
        yield GaugeMetricFamily("reprise_edge_streams", "Readers of audio at this moment", value=self.streams())
        yield GaugeMetricFamily(
            "reprise_edge_listeners", "Readers that are listeners, not edges", value=self.listeners()
        )
        yield GaugeMetricFamily("reprise_edge_waiting_readers", "Readers that wait for a chunk", value=self.waiting())
        yield _family("reprise_edge_requests", "Requests for audio", ("door", "result"), self.requests)
        yield _family("reprise_edge_sent_bytes", "Audio bytes sent", ("door", "source"), self.sent_bytes)
        plays: Counter[str] = Counter(started=self.started_plays, failed=self.failed_plays)
        yield _family("reprise_edge_plays", "Listeners' requests by how they went", ("outcome",), plays)
        yield _family("reprise_edge_fills", "Fills by outcome", ("outcome",), self.fills)
        yield _family("reprise_edge_fill_bytes", "Verified bytes that fills brought", ("source",), self.fill_bytes)
        yield _family("reprise_edge_source_failures", "Sources that failed a fill", ("source",), self.source_failures)
        yield CounterMetricFamily(
            "reprise_edge_corrupt_upstream_chunks",
            "Chunks from upstream that did not match their digest",
            value=self.corrupt_upstream,
        )


def _family(name: str, text: str, labels: tuple[str, ...], counts: Counter[str] | Counter[tuple[str, str]]) -> Metric:
    family = CounterMetricFamily(name, text, labels=labels)
    for key, count in counts.items():
        family.add_metric((key,) if isinstance(key, str) else key, count)
    return family
