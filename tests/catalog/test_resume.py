"""Which of two saves of one device counts."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from catalog.resume import Outcome, Point, decide

points = st.builds(
    Point,
    song_id=st.just("song"),
    device_id=st.just("phone"),
    position_ms=st.integers(0, 10),
    finished=st.booleans(),
    epoch=st.integers(0, 3),
    sequence=st.integers(0, 3),
    saved_unix_ms=st.integers(0, 10),
)


def keep(kept: Point | None, offered: Point) -> Point:
    if decide(kept, offered) is Outcome.ACCEPTED:
        return offered
    assert kept is not None
    return kept


@given(st.lists(points, min_size=1), st.randoms())
def test_any_order_of_arrival_keeps_the_greatest_epoch_and_sequence(offered: list[Point], random) -> None:  # type: ignore[no-untyped-def]
    random.shuffle(offered)
    kept = None
    for point in offered:
        kept = keep(kept, point)
    assert kept is not None
    assert (kept.epoch, kept.sequence) == max((point.epoch, point.sequence) for point in offered)


@given(points, points)
def test_clock_and_position_do_not_decide(kept: Point, offered: Point) -> None:
    outcome = decide(kept, offered)
    assert (
        decide(replace(kept, saved_unix_ms=99, position_ms=99), replace(offered, saved_unix_ms=0, position_ms=0))
        is outcome
    )


@given(points)
def test_the_same_save_again_is_recognised(point: Point) -> None:
    assert decide(point, point) is Outcome.RESENT


def test_a_new_session_counts_from_its_first_save() -> None:
    assert decide(Point("s", "d", 9, False, 1, 99), Point("s", "d", 0, False, 2, 0)) is Outcome.ACCEPTED


def test_the_first_save_is_accepted() -> None:
    assert decide(None, Point("s", "d", 0, False, 0, 0)) is Outcome.ACCEPTED
