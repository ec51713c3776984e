"""Placement: one order for all who ask, shares as weighted, and a death moves only what the dead one held."""

import random
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import placement

MEMBERS = st.sets(st.text("abcdef0123", min_size=1, max_size=8), min_size=1, max_size=12)
RENDITION = st.text("0123456789abcdef", min_size=64, max_size=64)


@given(RENDITION, MEMBERS, st.randoms(use_true_random=False))
def test_the_order_does_not_depend_on_how_members_are_listed(
    rendition: str, members: set[str], rng: random.Random
) -> None:
    listed = sorted(members)
    rng.shuffle(listed)
    assert placement.rank(rendition, listed) == placement.rank(rendition, sorted(members))
    assert sorted(placement.rank(rendition, listed)) == sorted(members)


@given(RENDITION, MEMBERS, st.data())
def test_a_member_that_leaves_changes_no_other_place(rendition: str, members: set[str], data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(sorted(members)))
    before = placement.rank(rendition, members)
    assert placement.rank(rendition, members - {gone}) == [m for m in before if m != gone]


@given(
    RENDITION, st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.floats(0.1, 100), min_size=1), st.data()
)
def test_a_changed_weight_moves_only_its_member(rendition: str, weights: dict[str, float], data: st.DataObject) -> None:
    changed = data.draw(st.sampled_from(sorted(weights)))
    others = [m for m in placement.rank_by_capacity(rendition, weights) if m != changed]
    heavier = weights | {changed: weights[changed] * 2}
    after = placement.rank_by_capacity(rendition, heavier)
    assert [m for m in after if m != changed] == others
    assert after.index(changed) <= placement.rank_by_capacity(rendition, weights).index(changed)


def test_equal_members_are_home_to_equal_shares() -> None:
    homes = Counter(placement.rank(f"{n:064x}", ["a", "b", "c", "d"])[0] for n in range(8_000))
    assert all(1_800 <= homes[m] <= 2_200 for m in "abcd"), homes


def test_a_member_is_home_to_a_share_proportional_to_its_weight() -> None:
    weights = {"small": 1.0, "middle": 2.0, "large": 5.0}
    homes = Counter(placement.rank_by_capacity(f"{n:064x}", weights)[0] for n in range(8_000))
    for member, weight in weights.items():
        assert homes[member] == pytest.approx(1_000 * weight, rel=0.12)


def test_the_heirs_of_a_member_are_spread_over_all_others() -> None:
    orders = [placement.rank(f"{n:064x}", ["a", "b", "c", "d"]) for n in range(8_000)]
    heirs = Counter(order[1] for order in orders if order[0] == "a")
    assert all(heirs[m] == pytest.approx(sum(heirs.values()) / 3, rel=0.15) for m in "bcd")


@given(
    RENDITION,
    st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.integers(0, 10**12)),
    st.text("gh", min_size=1),
)
def test_a_capacity_that_is_not_known_makes_all_count_alike(
    rendition: str, capacities: dict[str, int], unknown: str
) -> None:
    everybody = capacities | {unknown: 0}
    assert placement.rank_by_capacity(rendition, everybody) == placement.rank(rendition, everybody)


def test_of_nobody_there_is_an_empty_order() -> None:
    assert placement.rank_by_capacity("0" * 64, {}) == []


def test_the_order_is_the_same_in_every_release() -> None:
    """A change of the hash would empty every cache of a mesh at once."""
    assert placement.rank("ab" * 32, ["e1", "e2", "e3", "e4"]) == ["e2", "e1", "e4", "e3"]


@given(RENDITION, st.dictionaries(st.text("abcdef", min_size=1, max_size=6), st.sampled_from([0, 1, 2, 5, 10])))
def test_the_first_few_are_the_beginning_of_the_whole_order(rendition: str, capacities: dict[str, int]) -> None:
    members = placement.Members(capacities)
    assert sorted(members.order(rendition)) == sorted(capacities)
    for count in range(len(capacities) + 2):
        assert members.order(rendition, count) == members.order(rendition)[:count]


@given(RENDITION, st.sets(st.text("abcdef", min_size=1, max_size=6), min_size=2))
def test_neighbours_in_the_long_integer_do_not_disturb_each_other(rendition: str, names: set[str]) -> None:
    """Every pair stands as it would alone."""
    order = placement.rank(rendition, names)
    for first, second in pairwise(order):
        assert placement.rank(rendition, [second, first]) == [first, second]
