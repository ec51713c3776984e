"""Dead processes come back soon, then later, never never."""

from hypothesis import given
from hypothesis import strategies as st

from reprise.cli.restart import FIRST_PAUSE_S, PAUSE_S_MAX, STEADY_S, Record


def test_the_first_death_is_answered_at_once() -> None:
    assert Record().after_death(started=0, now=1).pause_s == FIRST_PAUSE_S


def test_pauses_double_up_to_a_limit() -> None:
    record, pauses = Record(), []
    for _ in range(8):
        record = record.after_death(started=0, now=1)
        pauses.append(record.pause_s)
    assert pauses[:4] == [0.2, 0.4, 0.8, 1.6]
    assert pauses[-1] == PAUSE_S_MAX


def test_a_steady_run_clears_the_record() -> None:
    assert Record(deaths=9).after_death(started=0, now=STEADY_S).deaths == 1


@given(runs=st.lists(st.floats(0, 100), max_size=2_000))
def test_a_pause_is_always_positive_and_bounded(runs: list[float]) -> None:
    record = Record()
    for run in runs:
        record = record.after_death(0, run)
        assert 0 < record.pause_s <= PAUSE_S_MAX
