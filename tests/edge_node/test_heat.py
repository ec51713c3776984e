"""Counters that forget the least and the longest ago, and what is hot by them."""

from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.heat import HALF_LIFE_S, REPORTED_MAX, FadingCounts, hottest

EVENTS = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.floats(1, 1e9), st.floats(0, 50)),
    max_size=80,
)


def weights_at(events: list[tuple[str, float, float]], now: float) -> dict[str, float]:
    """What each key weighs in truth: `events` are (key, weight, at)."""
    weights: defaultdict[str, float] = defaultdict(float)
    for key, weight, at in events:
        weights[key] += weight * 2 ** (-(now - at) / HALF_LIFE_S)
    return weights


def fed(counters_max: int, events: list[tuple[str, float, float]]) -> tuple[FadingCounts, float]:
    """Counters that have seen `events`, in which every time is a pause, and the time of the last."""
    counts, now = FadingCounts(counters_max), 0.0
    for index, (key, weight, pause_s) in enumerate(events):
        now += pause_s
        events[index] = key, weight, now
        counts.add(key, weight, now)
    return counts, now


@given(st.integers(1, 12), EVENTS, st.floats(0, 30))
def test_a_count_is_never_too_low_and_never_higher_than_its_error_says(
    counters_max: int, events: list[tuple[str, float, float]], later_s: float
) -> None:
    counts, now = fed(counters_max, events)
    weights = weights_at(events, now + later_s)
    total = sum(weights.values())
    assert len(counts) <= counters_max
    for key, count in counts.counts(now + later_s).items():
        slack = 1e-9 * total
        assert count.sure - slack <= weights[key] <= count.count + slack
        assert 0 <= count.error <= total / counters_max + slack


@given(st.integers(1, 12), EVENTS)
def test_whoever_weighs_more_than_its_share_is_kept(counters_max: int, events: list[tuple[str, float, float]]) -> None:
    counts, now = fed(counters_max, events)
    weights = weights_at(events, now)
    share = sum(weights.values()) / counters_max
    assert {key for key, weight in weights.items() if weight > share * (1 + 1e-9)} <= set(counts.counts(now))


def test_a_weight_halves_in_a_half_life_and_is_right_after_days() -> None:
    counts = FadingCounts(4)
    counts.add("a", 800.0, 0.0)
    assert counts.counts(HALF_LIFE_S)["a"].count == pytest.approx(400)
    assert counts.counts(3 * HALF_LIFE_S)["a"].count == pytest.approx(100)
    counts.add("a", 500.0, 10**9)
    assert counts.counts(10**9)["a"].count == pytest.approx(500)


def test_what_is_played_now_counts_in_full_and_what_was_played_fades() -> None:
    past = FadingCounts(4)
    past.add("left", 96_000, 0.0)
    past.add("both", 96_000, 0.0)
    songs = hottest({"both": 192_000, "now": 96_000}, past, {"now": 3, "cold": 1}, HALF_LIFE_S)
    assert [(song.rendition_id, song.live_bps, song.waiting) for song in songs] == [
        ("now", 96_000, 3),
        ("both", 240_000, 0),
        ("cold", 0, 1),
        ("left", 48_000, 0),
    ]


def test_a_song_that_nobody_has_played_for_minutes_is_not_told() -> None:
    past = FadingCounts(4)
    past.add("left", 96_000, 0.0)
    assert hottest({}, past, {}, 30 * HALF_LIFE_S) == []


def test_of_many_songs_the_hottest_are_told() -> None:
    live = {f"song-{n}": n for n in range(1, 1000)}
    told = [song.live_bps for song in hottest(live, FadingCounts(4), {}, 0.0)]
    assert told == list(range(999, 999 - REPORTED_MAX, -1))
