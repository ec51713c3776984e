"""The remembered rendezvous order."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.orders import LENGTH, Orders
from reprise import placement

RENDITIONS = st.integers(0, 10**6).map(lambda n: f"{n:064x}")
WEIGHTS = st.dictionaries(
    st.text("abcdef0123", min_size=1, max_size=5), st.sampled_from([1.0, 2.5, 10.0, 40.0]), min_size=2, max_size=12
)
SONGS = [f"{number:064x}" for number in range(40)]


def orders_of(weights: dict[str, float]) -> Orders:
    orders = Orders()
    orders.weigh("a", weights)
    return orders


@given(RENDITIONS, WEIGHTS)
def test_the_order_is_that_of_placement(rendition_id: str, weights: dict[str, float]) -> None:
    assert list(orders_of(weights).of(rendition_id, "a")) == placement.rank_by_capacity(rendition_id, weights)


@given(WEIGHTS, st.data())
def test_a_changed_weight_moves_only_what_its_edge_gains_or_loses(
    weights: dict[str, float], data: st.DataObject
) -> None:
    changed = data.draw(st.sampled_from(sorted(weights)))
    factor = data.draw(st.sampled_from([0.1, 0.5, 0.9]))
    orders = orders_of(weights)
    before = {song: orders.of(song, "a") for song in SONGS}
    orders.weigh("a", {**weights, changed: weights[changed] * factor})
    for song in SONGS:
        after = orders.of(song, "a")
        assert [e for e in after if e != changed] == [e for e in before[song] if e != changed]
        assert after.index(changed) >= before[song].index(changed), "an edge that weighs less gains nothing"


@given(WEIGHTS, st.data())
def test_a_death_moves_only_what_the_dead_edge_held(weights: dict[str, float], data: st.DataObject) -> None:
    dead = data.draw(st.sampled_from(sorted(weights)))
    orders = orders_of(weights)
    before = {song: orders.of(song, "a") for song in SONGS}
    orders.weigh("a", {edge_id: weight for edge_id, weight in weights.items() if edge_id != dead})
    for song in SONGS:
        assert list(orders.of(song, "a")) == [edge_id for edge_id in before[song] if edge_id != dead]


def test_edges_are_home_to_a_share_proportional_to_their_weight() -> None:
    orders = orders_of({"large": 4.0, "small": 1.0, "ramping": 0.5})
    homes = Counter(orders.of(f"{number:064x}", "a")[0] for number in range(4000))
    assert homes["large"] / homes["small"] == pytest.approx(4, rel=0.15)
    assert homes["small"] / homes["ramping"] == pytest.approx(2, rel=0.2)


def test_a_long_order_is_kept_as_far_as_somebody_asked() -> None:
    orders = orders_of({f"e{number}": 1.0 for number in range(100)})
    whole = placement.rank(SONGS[0], [f"e{number}" for number in range(100)])
    assert list(orders.of(SONGS[0], "a")) == whole[:LENGTH]
    assert list(orders.of(SONGS[0], "a", 40)) == whole[:40]
    assert orders.of(SONGS[0], "a") is orders.of(SONGS[0], "a", 30)


def test_a_region_that_changed_moves_nothing_in_another() -> None:
    orders = orders_of({"e1": 1.0, "e2": 1.0})
    orders.weigh("b", {"e3": 1.0})
    kept = orders.of(SONGS[0], "a")
    orders.weigh("b", {})
    assert orders.of(SONGS[0], "a") is kept
    assert orders.of(SONGS[0], "b") == ()
    assert orders.regions() == ["a"]


def test_regions_that_listeners_make_up_fill_no_memory() -> None:
    orders = orders_of({"e1": 1.0})
    for number in range(100):
        assert orders.of(SONGS[0], f"made-up-{number}") == ()
    assert len(orders._known) == 0
