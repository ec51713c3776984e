"""A cursor goes on exactly where the page ended, and nowhere else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import cursors
from reprise.errors import InvalidRequest

KEY, OTHER_KEY = b"k" * 32, b"o" * 32
SCOPE = ("browse", "songs")
positions = st.lists(st.text(max_size=50) | st.integers(-(2**40), 2**40), max_size=5).map(tuple)


@given(positions)
def test_position_comes_back(position: cursors.Position) -> None:
    assert cursors.unseal(KEY, SCOPE, cursors.seal(KEY, SCOPE, position)) == position


@given(positions, st.data())
def test_a_changed_cursor_is_refused(position: cursors.Position, data: st.DataObject) -> None:
    cursor = cursors.seal(KEY, SCOPE, position)
    at = data.draw(st.integers(0, len(cursor) - 2))
    letter = data.draw(st.sampled_from("ABCDEFabcdef0123456789-_").filter(lambda letter: letter != cursor[at]))
    with pytest.raises(InvalidRequest, match="not from the previous page"):
        cursors.unseal(KEY, SCOPE, cursor[:at] + letter + cursor[at + 1 :])


@given(st.text(max_size=100))
def test_garbage_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidRequest):
        cursors.unseal(KEY, SCOPE, cursor)


def test_a_cursor_of_another_list_or_mesh_is_refused() -> None:
    cursor = cursors.seal(KEY, SCOPE, ("x", 1))
    for key, scope in ((KEY, ("browse", "artists")), (OTHER_KEY, SCOPE)):
        with pytest.raises(InvalidRequest):
            cursors.unseal(key, scope, cursor)


def test_a_huge_cursor_is_refused_unread() -> None:
    with pytest.raises(InvalidRequest):
        cursors.unseal(KEY, SCOPE, "A" * (cursors.CURSOR_CHARS_MAX + 1))
