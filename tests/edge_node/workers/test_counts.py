"""What is counted over several processes: streams by grant, tallies for load reports, samples of the metrics page."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Gauge, Histogram, generate_latest
from prometheus_client import Counter as Total

from edge_node.tally import Tally, added, departed
from edge_node.workers.figures import EdgeRegistry, samples_of, values_of
from edge_node.workers.stream_counts import StreamCounts

PROCESSES = st.integers(0, 3)
GRANTS = st.sampled_from(["a", "b", "c"])


@given(st.lists(st.tuples(PROCESSES, GRANTS, st.booleans()), max_size=60))
def test_streams_elsewhere_are_all_streams_but_ones_own(events: list[tuple[int, str, bool]]) -> None:
    counts, model = StreamCounts(), Counter[tuple[int, str]]()
    for process, grant, begins in events:
        if not begins and not model[process, grant]:
            continue
        change = 1 if begins else -1
        counts.change(process, {grant: change})
        model[process, grant] += change
    for process in range(4):
        others = {key: streams for key, streams in model.items() if key[0] != process}
        assert counts.streams(process) == sum(n for (p, _), n in model.items() if p == process)
        assert counts.elsewhere(process) == sum(others.values())
        by_grant = {grant: sum(n for (_, g), n in others.items() if g == grant) for grant in "abc"}
        assert counts.of_grants_elsewhere(process, list("abc")) == by_grant
    assert set(counts.grant_ids) == {grant for (_, grant), streams in model.items() if streams}


def test_a_process_that_is_gone_gives_back_its_streams() -> None:
    counts = StreamCounts()
    counts.change(1, {"a": 2, "b": 1})
    counts.change(2, {"a": 1})
    assert sorted(counts.give_back(1)) == ["a", "b"]
    assert counts.elsewhere(0) == 1
    assert counts.of_grants_elsewhere(0, ["a", "b"]) == {"a": 1, "b": 0}
    assert counts.give_back(1) == []


TALLIES = st.builds(
    Tally,
    loop_lag_s=st.floats(0, 9),
    processes=st.integers(0, 3),
    waiting=st.dictionaries(st.sampled_from("xyz"), st.integers(0, 9)),
    requests=st.integers(0, 9),
    sent_bytes=st.integers(0, 9),
    cpu_s=st.integers(0, 9),
    first_bytes=st.lists(st.integers(0, 9), max_size=3).map(tuple),
)


@given(st.lists(TALLIES, max_size=4))
def test_tallies_add_up_but_the_lag_is_the_worst(tallies: list[Tally]) -> None:
    total = added(tallies)
    assert total.sent_bytes == sum(tally.sent_bytes for tally in tallies)
    assert total.loop_lag_s == max((tally.loop_lag_s for tally in tallies), default=0)
    for rendition_id, readers in total.waiting.items():
        assert readers == sum(tally.waiting.get(rendition_id, 0) for tally in tallies)
    assert sum(total.first_bytes) == sum(sum(tally.first_bytes) for tally in tallies)
    assert departed(total) == added(map(departed, tallies))
    assert (departed(total).processes, departed(total).waiting) == (0, {})


@given(TALLIES)
def test_a_tally_survives_being_a_list(tally: Tally) -> None:
    assert Tally.of_list(tally.as_list()) == tally


def process(registry: CollectorRegistry, amount: int, result: str = "hit") -> CollectorRegistry:
    """A process that has counted."""
    Total("reprise_edge_things_total", "t", ["result"], registry=registry).labels(result).inc(amount)
    Gauge("reprise_edge_streams", "s", registry=registry).set(amount)
    Gauge("reprise_edge_loop_lag_seconds", "l", registry=registry).set(amount)
    Histogram("reprise_edge_wait_seconds", "w", registry=registry, buckets=(1, 10)).observe(amount)
    return registry


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    found = registry.get_sample_value(name, labels)
    assert found is None or f"{name}" in generate_latest(registry).decode()
    return found


def take(registry: EdgeRegistry, number: int, other: CollectorRegistry) -> None:
    registry.take(number, values_of(tuple(sample) for sample in samples_of(other)))  # type: ignore[arg-type]


def test_the_page_is_the_sum_over_processes_and_the_worst_lag() -> None:
    registry = process_of_node()
    take(registry, 1, process(CollectorRegistry(), 5))
    take(registry, 2, process(CollectorRegistry(), 20, "miss"))
    assert value(registry, "reprise_edge_things_total", result="hit") == 6
    assert value(registry, "reprise_edge_things_total", result="miss") == 20
    assert value(registry, "reprise_edge_streams") == 26
    assert value(registry, "reprise_edge_loop_lag_seconds") == 20
    assert value(registry, "reprise_edge_wait_seconds_sum") == 26
    assert value(registry, "reprise_edge_wait_seconds_bucket", le="10.0") == 2
    assert value(registry, "reprise_edge_wait_seconds_bucket", le="+Inf") == 3


def process_of_node() -> EdgeRegistry:
    registry = EdgeRegistry()
    process(registry, 1)
    return registry


def test_what_a_worker_has_counted_outlives_it_and_what_it_was_doing_does_not() -> None:
    registry = process_of_node()
    take(registry, 1, process(CollectorRegistry(), 5))
    registry.give_back(1)
    take(registry, 1, process(CollectorRegistry(), 7))
    assert value(registry, "reprise_edge_things_total", result="hit") == 13
    assert value(registry, "reprise_edge_wait_seconds_count") == 3
    assert value(registry, "reprise_edge_streams") == 8
    registry.give_back(1)
    assert value(registry, "reprise_edge_things_total", result="hit") == 13
    assert value(registry, "reprise_edge_streams") == 1
