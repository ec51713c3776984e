"""The clocks of edges that joined lately."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.policy import DEFAULT
from balancer.ramp import BEGINNING_S, Ramps, weights

OLD = {f"old-{number}": 0 for number in range(6)}


def settled(*joins: tuple[str, float]) -> Ramps:
    """Six edges from the beginning, then these."""
    ramps = Ramps(0.0)
    for edge_id in OLD:
        ramps.saw(edge_id, "boot", 1.0)
    for edge_id, at in joins:
        ramps.saw(edge_id, "boot", at)
    return ramps


@pytest.mark.parametrize(("age_s", "ramp"), [(0, 0.1), (3, 0.1), (30, 0.5), (59.4, 0.99), (60, 1), (1000, 1)])
def test_an_edge_that_joins_grows_to_its_full_share_in_a_minute(age_s: float, ramp: float) -> None:
    ramps = settled(("new", 100.0)).of_region({**OLD, "new": 0}, 100.0 + age_s)
    assert ramps.pop("new") == pytest.approx(ramp)
    assert set(ramps.values()) == {1.0}


@given(st.floats(20, 200), st.floats(20, 200), st.floats(0, 100))
def test_anothers_join_changes_no_ramp(mine_at: float, other_at: float, age_s: float) -> None:
    now = max(mine_at, other_at) + age_s
    alone = settled(("mine", mine_at)).of_region({**OLD, "mine": 0}, now)
    both = settled(("mine", mine_at), ("other", other_at)).of_region({**OLD, "mine": 0, "other": 0}, now)
    assert both["mine"] == alone["mine"]


@given(st.dictionaries(st.sampled_from("abcde"), st.floats(0, 200), min_size=1), st.floats(0, 100))
def test_a_ramp_is_never_nothing_and_only_grows(joins: dict[str, float], age_s: float) -> None:
    """While at most half of the region ramps."""
    ramps, held = settled(*joins.items()), dict.fromkeys(joins, 0) | OLD
    now = 200.0
    first = ramps.of_region(held, now)
    later = ramps.of_region(held, now + age_s)
    assert all(0 < first[edge_id] <= later[edge_id] <= 1 for edge_id in held)
    assert all(weight > 0 for weight in weights(dict.fromkeys(held, 1), first).values())


@given(st.lists(st.floats(100, 104), min_size=1, max_size=8))
def test_a_region_that_is_all_new_has_nobody_to_spare(joined_at: list[float]) -> None:
    ramps, held = Ramps(0.0), {f"e{number}": 0 for number in range(len(joined_at))}
    for edge_id, at in zip(held, joined_at, strict=True):
        ramps.saw(edge_id, "boot", at)
    for age_s in (4.0, 10.0, 40.0):
        shares = ramps.of_region(held, 100.0 + age_s).values()
        assert max(shares) == pytest.approx(1)
        assert sum(shares) > len(held) * 0.75


def test_edges_that_a_starting_balancer_meets_do_not_ramp() -> None:
    ramps = Ramps(0.0)
    ramps.knew("known", "boot")
    ramps.saw("early", "boot", BEGINNING_S - 1)
    ramps.saw("known", "boot", 50.0)
    ramps.saw("late", "boot", 50.0)
    assert ramps.of_region({"early": 0, "known": 0, "late": 0}, 50.0) == {"early": 1, "known": 1, "late": 0.1}


def test_an_edge_that_was_away_goes_on_and_one_that_restarted_begins_again() -> None:
    ramps = settled(("new", 100.0))
    ramps.saw("new", "boot", 130.0)
    assert ramps.of_region({**OLD, "new": 0}, 130.0)["new"] == 0.5
    ramps.saw("new", "another boot", 131.0)
    assert ramps.of_region({**OLD, "new": 0}, 131.0)["new"] == DEFAULT.ramp_first


def test_a_warm_edge_ends_its_ramp() -> None:
    ramps, held = settled(("new", 100.0)), dict.fromkeys(OLD, 1000)
    assert ramps.of_region({**held, "new": 499}, 101.0)["new"] == 0.1
    assert ramps.of_region({**held, "new": 500}, 102.0)["new"] == 1
    assert ramps.of_region({**held, "new": 0}, 103.0)["new"] == 1


def test_weights_move_in_steps_and_are_the_capacities_when_nobody_ramps() -> None:
    assert weights({"e1": 10, "e2": 7}, {"e1": 1.0, "e2": 1.0}) == {"e1": 10, "e2": 7}
    assert weights({"e1": 10, "e2": 10}, {"e1": 0.52, "e2": 0.01}) == {"e1": 5, "e2": 1}
