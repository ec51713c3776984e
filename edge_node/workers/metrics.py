"""Figures of the worker processes of an edge, each by itself; all other metrics are sums over the edge's processes."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class WorkerState:
    """One running worker."""

    streams: int
    leases: int
    cpu_s: float
    loop_lag_s: float
    resident_bytes: float


@dataclass(slots=True, eq=False)
class WorkerMetrics(Collector):
    """`restarts`: cause, one of died, hung (did not answer), start (did not listen), purge (did not take a song down).

    `states` gives the workers that run, by number.
    """

    registry: CollectorRegistry
    restarts: Counter[str] = field(default_factory=Counter)
    states: Callable[[], dict[int, WorkerState]] = dict

    def __post_init__(self) -> None:
        self.registry.register(self)

    def collect(self) -> Iterator[Metric]:
        restarts = CounterMetricFamily(
            "reprise_edge_worker_restarts", "Workers started again, by why the last one ended", labels=("cause",)
        )
        for cause, count in self.restarts.items():
            restarts.add_metric((cause,), count)
        yield restarts
        states = self.states()
        yield GaugeMetricFamily("reprise_edge_workers", "Worker processes that listen", value=len(states))
        cpu = CounterMetricFamily("reprise_edge_worker_cpu_seconds", "CPU time of a worker", labels=("worker",))
        gauges = [
            (GaugeMetricFamily(f"reprise_edge_worker_{name}", text, labels=("worker",)), name)
            for name, text in (
                ("streams", "Streams of a worker"),
                ("leases", "Renditions that a worker knows"),
                ("loop_lag_seconds", "95th percentile of a worker's event-loop lag"),
                ("resident_memory_bytes", "RSS of a worker"),
            )
        ]
        for number, state in states.items():
            cpu.add_metric((str(number),), state.cpu_s)
            values = (state.streams, state.leases, state.loop_lag_s, state.resident_bytes)
            for (family, _), value in zip(gauges, values, strict=True):
                family.add_metric((str(number),), value)
        yield cpu
        yield from (family for family, _ in gauges)
