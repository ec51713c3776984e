"""One page of metrics for all processes of the node: a worker's samples are added to the node process's own.

Every class of metrics that a worker has, the node process has too, so a sample finds its family by its name. What a worker has
counted stays in the sums when it is gone; what it was doing at that moment does not.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric

_SUFFIXES = {"counter": ("_total", "_created"), "histogram": ("_bucket", "_sum", "_count", "_created"), "gauge": ("",)}
# All else is added up.
_EARLIEST = ("_created", "_start_time_seconds")
_HIGHEST = ("_loop_lag_seconds", "_max_fds")


@dataclass(frozen=True, slots=True)
class Series:
    """A sample without its value."""

    name: str
    labels: tuple[tuple[str, str], ...]

    @property
    def counts_up(self) -> bool:
        """Whether it only ever grows, and so outlives its process."""
        return self.name.endswith(("_total", "_bucket", "_sum", "_count", "_created"))


Values = dict[Series, float]


def samples_of(registry: CollectorRegistry) -> list[list[object]]:
    """Everything that a registry has at this moment, as it goes over the socket."""
    return [[s.name, s.labels, s.value] for family in registry.collect() for s in family.samples]


def values_of(samples: Iterable[tuple[str, dict[str, str], float]]) -> Values:
    """Samples as they came over the socket."""
    return {Series(name, tuple(sorted(labels.items()))): value for name, labels, value in samples}


def combined(every: Iterable[Values]) -> Values:
    """Several processes as one."""
    total: Values = {}
    for values in every:
        for series, value in values.items():
            total[series] = _two(series.name, total[series], value) if series in total else value
    return total


def _two(name: str, one: float, other: float) -> float:
    if name.endswith(_EARLIEST):
        return min(one, other)
    return max(one, other) if name.endswith(_HIGHEST) else one + other


class EdgeRegistry(CollectorRegistry):
    """The node process's registry; what is collected from it includes the workers as they last spoke."""

    def __init__(self) -> None:
        super().__init__()
        self._workers: dict[int, Values] = {}
        self._departed: Values = {}

    def take(self, worker: int, values: Values) -> None:
        """What a worker says of itself from now on."""
        self._workers[worker] = values

    def give_back(self, worker: int) -> None:
        """A worker is gone."""
        values = self._workers.pop(worker, {})
        stays = {series: value for series, value in values.items() if series.counts_up}
        self._departed = combined((self._departed, stays))

    def collect(self) -> Iterator[Metric]:
        others: dict[str, Values] = {}
        for series, value in combined((self._departed, *self._workers.values())).items():
            others.setdefault(series.name, {})[series] = value
        for family in super().collect():
            names = [family.name + suffix for suffix in _SUFFIXES.get(family.type, ())]
            theirs = {series: value for name in names for series, value in others.get(name, {}).items()}
            yield _with(family, theirs) if theirs else family


def _with(family: Metric, theirs: Values) -> Metric:
    ours = values_of((sample.name, sample.labels, sample.value) for sample in family.samples)
    merged = Metric(family.name, family.documentation, family.type, family.unit)
    for series, value in combined((ours, theirs)).items():
        merged.add_sample(series.name, dict(series.labels), value)
    return merged
