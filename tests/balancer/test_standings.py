"""Standings and the bound."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.policy import DEFAULT
from balancer.standings import Standing, Standings

CHANGES = st.lists(
    st.tuples(
        st.sampled_from("pqrs"), st.sampled_from("ab"), st.floats(0, 3), st.floats(0.1, 1), st.booleans(), st.booleans()
    ),
    max_size=30,
)


@given(CHANGES)
def test_the_kept_sums_are_those_of_the_edges_that_stand(
    changes: list[tuple[str, str, float, float, bool, bool]],
) -> None:
    standings = Standings()
    model: dict[str, Standing] = {}
    for edge_id, name, used, ramp, vouched, drop in changes:
        if drop:
            standings.drop(edge_id)
            model.pop(edge_id, None)
        else:
            model[edge_id] = Standing(edge_id, name, used, vouched=vouched, ramp=ramp, capacity_bps=ord(edge_id))
            standings.put(model[edge_id])
    assert standings.vouched_count == sum(s.vouched for s in model.values())
    assert {region.name for region in standings.regions()} == {s.region for s in model.values()}
    for region in standings.regions():
        vouched_here = [s for s in model.values() if s.vouched and s.region == region.name]
        if not vouched_here:
            assert (region.mean, region.load) == (0, float("inf"))
            continue
        mean = sum(s.utilisation for s in vouched_here) / sum(s.ramp for s in vouched_here)
        used_bps = sum(s.utilisation * s.capacity_bps for s in vouched_here)
        assert region.mean == pytest.approx(mean, abs=1e-9)
        assert region.bound == pytest.approx(
            min(max(DEFAULT.bound_floor, DEFAULT.bound_slack * mean), DEFAULT.bound_ceiling), abs=1e-9
        )
        assert region.load == pytest.approx(used_bps / sum(s.ramp * s.capacity_bps for s in vouched_here), abs=1e-9)


EDGES = st.lists(st.tuples(st.floats(0, 0.9), st.floats(0.1, 1)), min_size=1, max_size=10)


@given(EDGES)
def test_below_the_ceiling_some_edge_of_a_region_always_has_room(edges: list[tuple[float, float]]) -> None:
    """Ramping ones too: their share of the mean is what their ramp allows."""
    standings = Standings()
    for number, (used, ramp) in enumerate(edges):
        standings.put(Standing(f"e{number}", "a", used * ramp, ramp=ramp))
    region = standings.region("a")
    assert region is not None
    assert any(region.is_roomy(edge, region.bound) for edge in region.edges.values())


def test_an_old_report_counts_as_somewhat_more_than_the_mean() -> None:
    standings = Standings()
    for number in range(9):
        standings.put(Standing(f"e{number}", "a", 0.5))
    standings.put(Standing("silent", "a", 0.0, old=True))
    region = standings.region("a")
    assert region is not None
    assert not region.is_roomy(region.edges["silent"], 0.5)
    assert region.is_roomy(region.edges["silent"], 0.6)
