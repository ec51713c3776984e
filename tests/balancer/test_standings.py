"""Standings and the bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.standings import BOUND_CEILING, BOUND_FLOOR, BOUND_SLACK, Standing, Standings

CHANGES = st.lists(
    st.tuples(st.sampled_from("pqrs"), st.sampled_from("ab"), st.floats(0, 3), st.booleans(), st.booleans()),
    max_size=30,
)


@given(CHANGES)
def test_the_kept_means_are_those_of_the_edges_that_stand(changes: list[tuple[str, str, float, bool, bool]]) -> None:
    standings = Standings()
    model: dict[str, Standing] = {}
    for edge_id, region, used, vouched, drop in changes:
        if drop:
            standings.drop(edge_id)
            model.pop(edge_id, None)
        else:
            model[edge_id] = Standing(edge_id, region, used, vouched=vouched)
            standings.put(model[edge_id])
    vouched_edges = [s for s in model.values() if s.vouched]
    assert standings.vouched_count == len(vouched_edges)
    for region in "ab":
        used_shares = [s.utilisation for s in vouched_edges if s.region == region]
        mean = sum(used_shares) / len(used_shares) if used_shares else 0
        assert standings.bound(region) == pytest.approx(min(max(BOUND_FLOOR, BOUND_SLACK * mean), BOUND_CEILING))


@given(st.lists(st.floats(0, 0.7), min_size=1, max_size=10))
def test_below_the_ceiling_some_edge_of_a_region_is_always_under_the_bound(used_shares: list[float]) -> None:
    standings = Standings()
    for number, used in enumerate(used_shares):
        standings.put(Standing(f"e{number}", "a", used))
    assert min(used_shares) <= standings.bound("a")
