"""What may be read from origins for prewarming, second by second."""

from hypothesis import given
from hypothesis import strategies as st

from edge_node.origin_budget import OriginBudget

MBPS = 1_000_000


def test_nothing_waits_before_anything_was_spent() -> None:
    assert OriginBudget().wait_s(5.0) == 0


def test_what_was_spent_is_paid_at_the_limit() -> None:
    budget = OriginBudget()
    budget.spend(250_000, 2 * MBPS, now=10.0)
    assert budget.wait_s(10.0) == 1.0
    assert budget.wait_s(10.75) == 0.25
    assert budget.wait_s(12.0) == 0


def test_what_was_not_read_is_given_back() -> None:
    budget = OriginBudget()
    budget.spend(500_000, 2 * MBPS, now=10.0)
    budget.spend(-250_000, 2 * MBPS, now=10.0)
    assert budget.wait_s(10.0) == 1.0


@given(st.lists(st.integers(1, 600_000), min_size=1, max_size=50), st.integers(100_000, 100 * MBPS))
def test_spans_that_wait_their_turn_never_exceed_the_limit_by_more_than_one(spans: list[int], bps_max: int) -> None:
    budget, now, read = OriginBudget(), 0.0, 0
    for span in spans:
        now += budget.wait_s(now)
        assert read * 8 <= bps_max * now + 1
        budget.spend(span, bps_max, now)
        read += span
