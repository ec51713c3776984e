"""The store's figures by cause. Plain integers on the hot path; Prometheus reads them when it asks."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(slots=True, eq=False)
class StoreMetrics(Collector):
    """Counters of one store.

    evictions: (tier, part). disk_admissions: a Ruling. disk_errors: one of read, read_timeout, write, drop.
    scrubbed_chunks: good, bad or gone. size_bytes: gives bytes by tier when asked.
    """

    registry: CollectorRegistry
    evictions: Counter[tuple[str, str]] = field(default_factory=Counter)
    disk_admissions: Counter[str] = field(default_factory=Counter)
    disk_errors: Counter[str] = field(default_factory=Counter)
    corrupt_chunks: int = 0
    refused_writes: int = 0
    spilled_chunks: int = 0
    adopted: Counter[str] = field(default_factory=Counter)
    scrubbed_chunks: Counter[str] = field(default_factory=Counter)
    size_bytes: Callable[[], dict[str, int]] = dict
    disk_writable: Callable[[], bool] = lambda: True

    def __post_init__(self) -> None:
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        evictions = CounterMetricFamily("reprise_edge_evictions", "Parts evicted", labels=("tier", "part"))
        for labels, count in self.evictions.items():
            evictions.add_metric(labels, count)
        yield evictions
        yield _counts("reprise_edge_disk_admissions", "Requests for parts not on disk", "ruling", self.disk_admissions)
        yield _counts("reprise_edge_disk_errors", "Failed disk operations", "operation", self.disk_errors)
        yield _counts("reprise_edge_adopted_renditions", "Renditions found on disk at start", "outcome", self.adopted)
        yield _counts("reprise_edge_scrubbed_chunks", "Chunks on disk read again", "result", self.scrubbed_chunks)
        for name, text, value in (
            ("reprise_edge_corrupt_chunks", "Chunks on disk that did not match their digest", self.corrupt_chunks),
            ("reprise_edge_refused_writes", "Chunks refused because all RAM was pinned", self.refused_writes),
            ("reprise_edge_spilled_chunks", "Chunks written to the disk tier", self.spilled_chunks),
        ):
            yield CounterMetricFamily(name, text, value=value)
        sizes = GaugeMetricFamily("reprise_edge_store_bytes", "Bytes charged to a tier", labels=("tier",))
        for tier, value in self.size_bytes().items():
            sizes.add_metric((tier,), value)
        yield sizes
        yield GaugeMetricFamily(
            "reprise_edge_disk_writable",
            "1, or 0 while disk writes pause after an error",
            value=int(self.disk_writable()),
        )


def _counts(name: str, text: str, label: str, counts: Counter[str]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family
