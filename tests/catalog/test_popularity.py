"""What was played lately counts more, and the order of two scores is for ever."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.popularity import EPOCH_UNIX_S, HALF_LIFE_S, combined, is_play, plays_at, score_of

moments = st.floats(EPOCH_UNIX_S, EPOCH_UNIX_S + 20 * 365 * 86_400)
plays = st.floats(1, 1e9)


@given(plays, moments)
def test_half_of_the_plays_are_left_after_a_half_life(count: float, now: float) -> None:
    score = score_of(count, now)
    assert plays_at(score, now) == pytest.approx(count, rel=1e-6)
    assert plays_at(score, now + HALF_LIFE_S) == pytest.approx(count / 2, rel=1e-6)


@given(st.lists(st.tuples(plays, moments), min_size=1, max_size=20), st.randoms())
def test_plays_may_be_added_in_any_order(made: list[tuple[float, float]], rng: object) -> None:
    def total(scores: list[float]) -> float:
        sum_ = -math.inf
        for score in scores:
            sum_ = combined(sum_, score)
        return sum_

    scores = [score_of(count, at) for count, at in made]
    shuffled = list(scores)
    rng.shuffle(shuffled)  # type: ignore[attr-defined]
    assert total(scores) == pytest.approx(total(shuffled), abs=1e-6)
    assert total(scores) >= max(scores)


@given(plays, plays, moments, moments)
def test_the_order_of_two_songs_does_not_change_by_waiting(one: float, other: float, at: float, later: float) -> None:
    first, second = score_of(one, at), score_of(other, at)
    if first > second + 1e-6:
        assert plays_at(first, later) > plays_at(second, later) or plays_at(first, later) == 0.0


def test_a_play_is_thirty_seconds_or_half_of_a_short_song() -> None:
    assert [is_play(position, 200_000) for position in (0, 29_999, 30_000)] == [False, False, True]
    assert [is_play(position, 20_000) for position in (9_999, 10_000)] == [False, True]
    assert [is_play(position, 0) for position in (29_999, 30_000)] == [False, True]
