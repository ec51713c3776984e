"""What each tier asks for."""

import pytest

from catalog import query
from catalog.searching import tiers
from catalog.searching.backend import Tier
from catalog.searching.tiers import All, Any, Begins, Expression, Guess, Term


def said(expression: Expression) -> str:
    """An expression as one would write it down."""
    match expression:
        case Term(field, text):
            return f"{field.value}:{text}"
        case Begins(field, text):
            return f"{field.value}:{text}*"
        case All(parts):
            return "(" + " & ".join(map(said, parts)) + ")"
        case Any(parts):
            return "(" + " | ".join(map(said, parts)) + ")"


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        ("bjork", "(word:bjork*)"),
        ("Army of", "(word:army & start:of)"),
        ("AC/DC", "(((word:ac & start:dc) | word:acdc*))"),
        ("ac/dc live", "(((word:ac & word:dc) | word:acdc) & word:live*)"),
        ("東京事変", "((word:東京 & word:京事 & word:事変))"),
    ],
)
def test_all_words_are_asked_for_and_the_last_may_go_on(typed: str, asked: str) -> None:
    assert said(tiers.as_typed(query.parse(typed))[Tier.WORDS]) == asked


@pytest.mark.parametrize(
    ("typed", "asked"),
    [("sea of", "beginning:sea of"), ("sea of love", "(beginning:sea of l & (word:sea & word:of & word:love*))")],
)
def test_a_long_beginning_is_told_by_its_words_too(typed: str, asked: str) -> None:
    assert said(tiers.as_typed(query.parse(typed))[Tier.PREFIX]) == asked


def test_guesses_stand_beside_the_word_as_typed() -> None:
    guesses = {"bjrok": Guess(("bjork", "brook"))}
    asked = tiers.corrected(query.parse("bjrok army"), guesses, [["bjrokarmy"]])
    assert said(asked[Tier.CORRECTED_WORDS]) == (
        "(((anywhere:bjrok | anywhere:bjork | anywhere:brook) & anywhere:army) | (word:bjrokarmy))"
    )
    assert "exact_title:bjorkarmy" in said(asked[Tier.CORRECTED_NAME])


def test_one_short_word_is_not_insisted_on() -> None:
    asked = tiers.corrected(query.parse("closer hte heart"), {}, [])
    assert said(asked[Tier.CORRECTED_SHORT]) == "((anywhere:closer & anywhere:heart))"
    assert said(tiers.corrected(query.parse("hte"), {}, [])[Tier.CORRECTED_SHORT]) == "()"


@pytest.mark.parametrize(
    ("typed", "last", "found", "enough"),
    [
        ("dome", Tier.EXACT_TITLE, 1, True),
        ("dome", Tier.CORRECTED_NAME, 1, True),
        ("dome", Tier.PREFIX, 9, False),
        ("dome", Tier.PREFIX, 10, True),
        ("bohemian", Tier.WORDS, 1, True),
        ("bohemian", Tier.CORRECTED_WORDS, 9, False),
        ("bohemian", None, 0, False),
    ],
)
def test_guesses_are_for_who_was_not_understood(typed: str, last: Tier | None, found: int, enough: bool) -> None:
    assert tiers.is_enough(query.parse(typed), last, found) is enough
