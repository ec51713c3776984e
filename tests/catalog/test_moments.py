"""What becomes of a wish to let a release out at a moment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import moments
from catalog.moments import AHEAD_MS_MAX, MOMENT_MS_MAX, check_agrees, new_moment
from reprise.errors import InvalidRequest, NotReady, RepriseError

NOW = 1_800_000_000_000
FIRST_OF_DECEMBER = 1_796_083_200_000


def test_a_moment_to_come_is_given_and_moved() -> None:
    assert new_moment("Post", NOW + 5000, NOW + 9000, NOW) == NOW + 9000
    assert new_moment("Post", NOW + 9000, NOW + 5000, NOW) == NOW + 5000


def test_now_is_now() -> None:
    assert new_moment("Post", NOW + 5000, 0, NOW) == NOW


@pytest.mark.parametrize(("kept", "asked"), [(NOW + 5, NOW + 5), (NOW - 5, NOW - 5), (NOW - 5, 0), (None, 0)])
def test_what_holds_already_changes_nothing(kept: int | None, asked: int) -> None:
    assert new_moment("Post", kept, asked, NOW) is None


@pytest.mark.parametrize("kept", [None, NOW - 5, NOW])
def test_what_is_out_stays_out(kept: int | None) -> None:
    with pytest.raises(NotReady, match="'Post' is out already"):
        new_moment("Post", kept, NOW + 5000, NOW)


@pytest.mark.parametrize(
    ("asked", "wrong"), [(NOW - 1, "is over"), (-1, "is over"), (NOW + AHEAD_MS_MAX + 1, "a year")]
)
def test_a_moment_that_cannot_be_is_named(asked: int, wrong: str) -> None:
    with pytest.raises(InvalidRequest, match=wrong):
        new_moment("Post", NOW + 5000, asked, NOW)


@given(st.none() | st.integers(0, MOMENT_MS_MAX), st.integers(-(1 << 63), (1 << 63) - 1), st.integers(1, MOMENT_MS_MAX))
def test_nothing_that_is_out_is_ever_given_a_moment_to_come(kept: int | None, asked: int, now: int) -> None:
    try:
        moment = new_moment("Post", kept, asked, now)
    except RepriseError:
        return
    if kept is None or kept <= now:
        assert moment is None
    elif moment is not None:
        assert now <= moment <= now + AHEAD_MS_MAX


def test_a_song_comes_out_with_its_release_or_says_why_not() -> None:
    check_agrees("Post", None, 0)
    check_agrees("Post", NOW, 0)
    check_agrees("Post", NOW, NOW)
    with pytest.raises(NotReady, match="'Post' is out already"):
        check_agrees("Post", None, NOW)
    with pytest.raises(NotReady, match="comes out at 2026-12-01T00:00Z, not at 2026-12-01T00:00:01Z"):
        check_agrees("Post", FIRST_OF_DECEMBER, FIRST_OF_DECEMBER + 1000)


@given(st.integers(0, MOMENT_MS_MAX))
def test_no_millisecond_is_lost_on_the_way_through_the_database(unix_ms: int) -> None:
    assert moments.unix_ms(moments.at(unix_ms)) == unix_ms
