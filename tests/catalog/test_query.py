"""From what is typed to what is asked."""

import pytest

from catalog import query
from reprise.errors import InvalidRequest


@pytest.mark.parametrize(
    ("typed", "pieces"),
    [
        ("Björk", (("bjork",),)),
        ("AC/DC live", (("ac", "dc"), ("live",))),
        ("東京事変", (("東京", "京事", "事変"),)),
    ],
)
def test_a_query_is_normalised_like_a_name(typed: str, pieces: tuple[tuple[str, ...], ...]) -> None:
    assert query.parse(typed).pieces == pieces


def test_joined_is_without_spaces() -> None:
    assert query.parse("Sugar  Cane!").joined == "sugarcane"


def test_corrected_names_are_bounded_and_closest_first() -> None:
    many = [f"w{number}" for number in range(12)]
    found = query.corrected_names(query.parse("one two six"), {"one": many, "two": many, "six": many})
    assert found[0] == "w0w0w0"
    assert len(found) <= 48


def test_a_space_may_be_missing_or_too_many() -> None:
    found = list(query.respaced(["metal", "lica"]))
    assert (["metallica"], ["metallica"]) in found
    assert (["me", "tal", "lica"], ["me", "tal"]) in found


@pytest.mark.parametrize("typed", ["", "   ", "\u200b", "x" * 201])
def test_nothing_and_too_much_are_refused(typed: str) -> None:
    with pytest.raises(InvalidRequest, match="query"):
        query.parse(typed)
