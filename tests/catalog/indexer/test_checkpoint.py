"""Where an index stands."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.indexer.checkpoint import Checkpoint
from reprise.errors import OutOfRange


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_a_checkpoint_comes_back_from_its_text(xid: int, sequence: int) -> None:
    checkpoint = Checkpoint("7301234567890123456-16384", (xid, sequence))
    assert Checkpoint.parse(checkpoint.text) == checkpoint


@pytest.mark.parametrize("text", ["", "1/2", "1-1/2/-3", "1-1/2/3/4", "x-1/2/3"])
def test_an_index_that_does_not_say_where_it_stands_is_made_anew(text: str) -> None:
    with pytest.raises(OutOfRange):
        Checkpoint.parse(text)


def test_places_of_another_database_mean_nothing_here() -> None:
    checkpoint = Checkpoint("7-1", (2, 3))
    assert checkpoint.of("7-1") is checkpoint
    with pytest.raises(OutOfRange, match="another database"):
        checkpoint.of("7-2")
