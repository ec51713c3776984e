"""How far a standby is behind is told by one clock, and never too favourably."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from catalog.database.positions import Position
from catalog.database.trail import Trail

KEPT_S = 10.0


def trail_of(*places: tuple[float, int], timeline: int = 1) -> Trail:
    trail = Trail(KEPT_S)
    for now, lsn in places:
        trail.note(now, Position(timeline, lsn))
    return trail


def test_a_standby_that_has_everything_does_not_lag() -> None:
    assert trail_of((0, 100), (60, 100)).lag_s(90, Position(1, 100)) == 0


def test_lag_counts_from_when_the_primary_was_first_seen_further_on() -> None:
    trail = trail_of((0, 100), (1, 200), (2, 300))
    assert trail.lag_s(5, Position(1, 150)) == 4
    assert trail.lag_s(5, Position(1, 200)) == 3
    assert trail.lag_s(5, Position(1, 299)) == 3


def test_a_standby_behind_everything_remembered_is_infinitely_late() -> None:
    trail = trail_of((0, 100), (KEPT_S, 200), (2 * KEPT_S + 1, 300))
    assert trail.lag_s(2 * KEPT_S + 1, Position(1, 100)) == inf
    assert trail.lag_s(2 * KEPT_S + 1, Position(1, 250)) == 0


def test_a_standby_that_does_not_follow_the_promoted_primary_is_infinitely_late() -> None:
    trail = trail_of((0, 100))
    trail.note(1, Position(2, 120))
    assert trail.lag_s(1, Position(1, 500)) == inf
    assert trail.lag_s(1, Position(2, 120)) == 0


def test_a_standby_that_follows_a_promotion_not_seen_yet_is_not_late() -> None:
    assert trail_of((0, 100)).lag_s(1, Position(2, 90)) == 0


def test_after_a_restart_standbys_count_once_they_have_what_the_primary_has() -> None:
    trail = trail_of((0, 100), (1, 200))
    trail.restart()
    trail.note(2, Position(1, 300))
    assert trail.lag_s(2, Position(1, 299)) == inf
    assert trail.lag_s(2, Position(1, 300)) == 0


@given(st.lists(st.tuples(st.floats(0.01, 1), st.integers(0, 50)), min_size=1, max_size=60), st.integers(0, 2000))
def test_lag_is_never_less_than_the_truth(steps: list[tuple[float, int]], place: int) -> None:
    trail, now, lsn, left_at = Trail(KEPT_S), 0.0, 0, None
    for waited, written in steps:
        now, lsn = now + waited, lsn + written
        trail.note(now, Position(1, lsn))
        if left_at is None and lsn > place:
            left_at = now
    truth = 0.0 if left_at is None else now - left_at
    assert trail.lag_s(now, Position(1, place)) >= truth
