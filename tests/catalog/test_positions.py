"""A token is a position that went through a client's hands."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.database.positions import Position, lsn_of
from reprise.errors import InvalidRequest

POSITIONS = st.builds(Position, st.integers(1, 2**32 - 1), st.integers(0, 2**64 - 1))


@given(POSITIONS)
def test_a_token_comes_back_as_the_position_it_was(position: Position) -> None:
    assert Position.from_text(position.to_text()) == position
    assert len(position.to_text()) <= 25


def test_no_token_is_no_position() -> None:
    assert Position.from_text("") is None


@given(st.text("0123456789ABCDEFabcdef-/", max_size=40).filter(bool))
def test_any_other_text_is_refused_or_a_token(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        position = Position.from_text(text)
        assert position is not None
        assert position.to_text() == text


@pytest.mark.parametrize("text", ["0-1", "1-", "-1", "1-0F", "1-1-1", "1-" + "F" * 17, "1-a", "1/0", "100000000-0"])
def test_near_misses_are_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="consistency_token"):
        Position.from_text(text)


def test_lsns_are_read_as_postgresql_writes_them() -> None:
    assert lsn_of("16/B374D848") == 0x16B374D848
    assert lsn_of("0/0") == 0
    with pytest.raises(ValueError, match="not an LSN"):
        lsn_of("16B374D848")
