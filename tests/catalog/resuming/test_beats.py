"""What Valkey keeps of a heartbeat, and how heartbeats show in an answer."""

from hypothesis import given
from hypothesis import strategies as st

from catalog.resuming.beats import from_text, laid_over, to_text
from catalog.resuming.resume import Kind, Point, Pointer, Save, State

counts = st.integers(0, (1 << 63) - 1)
points = st.builds(
    Point,
    song_id=st.just("song"),
    device_id=st.sampled_from(["phone", "car"]),
    position_ms=st.integers(0, (1 << 32) - 1),
    finished=st.booleans(),
    epoch=counts,
    sequence=counts,
    saved_unix_ms=st.integers(0, 1 << 44),
)


@given(points)
def test_a_text_gives_the_point_back(point: Point) -> None:
    assert from_text(to_text(point), point.song_id, point.device_id) == point


@given(points, points)
def test_the_first_half_of_texts_compares_as_places_do(one: Point, other: Point) -> None:
    assert (to_text(one)[:32] < to_text(other)[:32]) == (one.place < other.place)


@given(st.text(max_size=60))
def test_what_is_not_ours_is_no_point(text: str) -> None:
    assert from_text(text, "song", "phone") is None


@given(st.lists(points), st.lists(points))
def test_heartbeats_replace_older_points_only_and_leave_the_pointer(kept: list[Point], beats: list[Point]) -> None:
    state = State()
    for point in kept:
        state, _ = state.after(Save(point, Kind.ACTION))
    shown = laid_over(state, beats)
    for device, point in shown.points.items():
        offered = [one.place for one in [*kept, *beats] if one.device_id == device]
        assert point.place == max(offered)
    assert state.pointer is None or shown.pointer == state.pointer


def test_without_a_pointer_the_last_heartbeat_is_first() -> None:
    beats = [Point("song", "phone", 1, False, 1, 1, 10), Point("song", "car", 1, False, 1, 1, 20)]
    assert laid_over(State(), beats).pointer == Pointer("car", 0)
