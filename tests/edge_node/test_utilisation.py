"""The tightest resource decides how full an edge is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.utilisation import Load, median


@pytest.mark.parametrize(
    ("load", "share"),
    [
        (Load(active_streams=30, stream_limit=100), 0.3),
        (Load(tx_bps=400, committed_bps=200, capacity_bps=1000), 0.4),
        (Load(tx_bps=100, committed_bps=700, capacity_bps=1000), 0.7),
        (Load(loop_lag_s=0.025), 0.5),
        (Load(cpu=0.6), 0.6),
        (Load(active_streams=90, stream_limit=100, tx_bps=100, capacity_bps=1000, cpu=0.2, loop_lag_s=0.01), 0.9),
        (Load(), 0.0),
    ],
)
def test_utilisation_is_that_of_the_tightest_resource(load: Load, share: float) -> None:
    assert load.utilisation == pytest.approx(share)


@given(st.lists(st.integers(0, 50), min_size=4, max_size=4))
def test_a_median_lies_in_the_bucket_that_has_the_middle_one(counts: list[int]) -> None:
    bounds = (1.0, 2.0, 5.0)
    value = median(counts, bounds)
    if not sum(counts):
        assert value == 0
        return
    ranked = [bucket for bucket, count in enumerate(counts) for _ in range(count)]
    middle = ranked[(len(ranked) - 1) // 2]
    edges = (0.0, *bounds, bounds[-1])
    assert edges[middle] <= value <= edges[middle + 1]


def test_a_median_is_found_between_the_bounds_of_its_bucket() -> None:
    assert median([0, 10, 0], (1.0, 3.0)) == pytest.approx(2.0)
