"""When a balancer distrusts itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.self_doubt import LAG_KEPT_S, LAG_S_MAX, PATIENCE_S_MAX, SelfDoubt


@pytest.mark.parametrize(
    ("failing", "edges", "doubts"), [(1, 5, False), (2, 5, True), (3, 10, False), (4, 10, True), (4, 4, False)]
)
def test_more_than_three_tenths_of_five_or_more_edges_are_doubted(failing: int, edges: int, doubts: bool) -> None:
    assert SelfDoubt(0.0).doubts([number < failing for number in range(edges)]) is doubts


def test_a_late_loop_is_doubted_until_it_has_kept_up_for_a_while() -> None:
    doubt = SelfDoubt(0.0)
    doubt.tick(0.1, LAG_S_MAX)
    assert doubt.doubts([True])
    doubt.tick(LAG_KEPT_S, 0.0)
    assert doubt.doubts([True])
    doubt.tick(LAG_KEPT_S + 0.1, 0.0)
    assert not doubt.doubts([True])


@given(st.lists(st.floats(0, 100), max_size=20))
def test_patience_grows_with_the_lag_and_has_an_end(lags: list[float]) -> None:
    doubt = SelfDoubt(0.0)
    for lag_s in lags:
        before = doubt.patience_s
        doubt.tick(0.0, lag_s)
        assert before <= doubt.patience_s <= PATIENCE_S_MAX


def test_only_a_long_pause_is_forgiven_and_whole() -> None:
    doubt = SelfDoubt(0.0)
    assert doubt.tick(1.0, 0.9) == 0.0
    assert doubt.tick(21.0, 19.9) == 20.0
