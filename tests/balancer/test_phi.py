"""How surprising silence is, after any rhythm."""

import random

from hypothesis import given
from hypothesis import strategies as st

from balancer.phi import INTERVALS_KEPT, PAUSE_S, PERIOD_S, Phi

INTERVALS = st.lists(st.floats(0, 60), max_size=3 * INTERVALS_KEPT)


def after(intervals: list[float]) -> Phi:
    phi = Phi()
    for interval in intervals:
        phi.heard(interval)
    return phi


def suspect_after_s(phi: Phi) -> float:
    """In tenths of a second, as the mesh's clock ticks."""
    return next(tenths / 10 for tenths in range(100) if phi.of(tenths / 10) >= 5)


@given(INTERVALS, st.floats(0, 100), st.floats(0, 100))
def test_longer_silence_is_never_less_surprising(intervals: list[float], one: float, other: float) -> None:
    phi = after(intervals)
    assert phi.of(min(one, other)) <= phi.of(max(one, other))


@given(INTERVALS)
def test_no_rhythm_makes_the_detector_twitchy_or_blind(intervals: list[float]) -> None:
    phi = after(intervals)
    assert phi.of(PERIOD_S + PAUSE_S) == 0.0
    assert phi.of(5.5) > 5.0


@given(INTERVALS)
def test_only_the_last_hundred_intervals_count(intervals: list[float]) -> None:
    last = [1.0, 1.5] * (INTERVALS_KEPT // 2)
    assert abs(after([*intervals, *last]).of(3.5) - after(last).of(3.5)) < 1e-6


def test_news_between_two_reports_makes_nobody_impatient() -> None:
    assert suspect_after_s(after([0.2] * 500)) == suspect_after_s(after([1.0] * 500))


def test_a_busy_edge_with_hiccups_is_not_suspected_and_when_it_stops_it_is_within_four_seconds() -> None:
    rng = random.Random(4)
    phi = Phi()
    for number in range(2000):
        interval = 2.5 if number % 50 == 7 else rng.uniform(0.8, 1.2)
        assert phi.of(interval + 0.1) < 5
        phi.heard(interval)
    assert 2.8 < suspect_after_s(phi) < 4.0


def test_a_new_edge_is_judged_by_the_period() -> None:
    assert 3.0 < suspect_after_s(Phi()) < 3.6
