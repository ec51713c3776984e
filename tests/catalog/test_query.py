"""From what is typed to what is asked."""

import pytest

from catalog import query
from reprise.errors import InvalidRequest


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("bjork", "(('bjork':*))"),
        ("Army of", "(('army')) & (('of':*))"),
        ("AC/DC", "((('ac') & ('dc':*)) | ('acdc':*))"),
        ("東京事変", "(('東京') & ('京事') & ('事変':*))"),
    ],
)
def test_all_words_are_asked_for_and_the_last_may_go_on(typed: str, asked: str) -> None:
    assert query.tsquery(query.parse(typed)) == asked


def test_alternatives_stand_beside_the_word_as_typed() -> None:
    asked = query.corrected_tsquery(query.parse("bjrok army"), {"bjrok": ["bjork", "brook"]})
    assert asked == "(('bjrok' | 'bjork' | 'brook')) & (('army':*))"


def test_words_too_short_to_correct_are_not_insisted_on() -> None:
    assert query.corrected_tsquery(query.parse("closer hte heart"), {}) == "(('closer')) & (('heart':*))"
    assert query.corrected_tsquery(query.parse("hte of"), {}) == "(('hte')) & (('of':*))"
    assert query.corrected_tsquery(query.parse("hte 東京"), {}) == "(('東京':*))"


def test_quotes_and_backslashes_are_only_letters_to_the_database() -> None:
    assert query.tsquery(query.parse(r"'\'")) == r"(('''\\''':*))"


def test_spellings_are_with_and_without_spaces() -> None:
    assert query.parse("Sugar Cane").spellings == ["sugar cane", "sugarcane"]


def test_corrected_spellings_are_bounded_and_closest_first() -> None:
    many = [f"w{number}" for number in range(12)]
    found = query.corrected_spellings(query.parse("one two six"), {"one": many, "two": many, "six": many})
    assert found[0] == "w0 w0 w0"
    assert len(found) <= 48


@pytest.mark.parametrize("typed", ["", "   ", "\u200b", "x" * 201])
def test_nothing_and_too_much_are_refused(typed: str) -> None:
    with pytest.raises(InvalidRequest, match="query"):
        query.parse(typed)
