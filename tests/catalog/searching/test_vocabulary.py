"""A mistyped word is told from the words that are known."""

from bisect import bisect_left

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import query, spelling
from catalog.searching import vocabulary
from catalog.searching.vocabulary import Dictionary

letters = st.sampled_from("abcdeé")
words = st.text(alphabet=letters, min_size=4, max_size=12)


def dictionary(*known: str) -> Dictionary:
    """Sorted lists in place of an engine's dictionary."""
    stems = {stem for word in known for stem in vocabulary.stems(word)}
    near = sorted(entry for stem in stems for entry in vocabulary.entries(stem))
    by_name = sorted(known)

    def look(terms: list[str], text: str) -> list[tuple[str, int]]:
        start = bisect_left(terms, text)
        return [(term, 1) for term in terms[start:] if term.startswith(text)]

    return Dictionary(lambda text: look(near, text), lambda text: look(by_name, text), known.count)


def guessed(typed: str, *known: str, alone: bool = True) -> tuple[str, ...]:
    return vocabulary.guess(typed, dictionary(*known), last=False, alone=alone).words


@given(words, st.data())
def test_any_one_edit_is_corrected(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    letter = data.draw(letters)
    forms = [
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
    ]
    assert word in guessed(data.draw(st.sampled_from(forms)), word, "zzzzzzzz")


@given(words, st.text(alphabet=letters, max_size=6), st.data())
def test_any_one_edit_in_what_was_typed_so_far_is_corrected(word: str, rest: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    typed = word[:at] + data.draw(letters) + word[at + 1 :]
    guess = vocabulary.guess(typed, dictionary(word + rest), last=True, alone=True)
    assert any((word + rest).startswith(start) for start in (*guess.starts, *guess.words))


@pytest.mark.parametrize("typed", ["metalicca", "mettallica", "metalllica", "metalica", "metallicaa"])
def test_two_edits_are_corrected_in_long_words(typed: str) -> None:
    assert spelling.distance(typed, "metallica") <= 2
    assert guessed(typed, "metallica") == ("metallica",)


def test_two_edits_are_not_corrected_in_short_words() -> None:
    assert guessed("quueen", "queer") == ()


def test_three_letters_beside_other_words_may_mean_more() -> None:
    assert guessed("fln", "fly") == ()
    assert guessed("fln", "fly", alone=False) == ("fly",)


def test_the_closest_come_first_and_their_number_is_bounded() -> None:
    known = [f"hon{letter}" for letter in "abcdefghijklmnopqrstuvwxyz"] + [
        f"{letter}one" for letter in "abcdfghijklmno"
    ]
    found = guessed("hone", *known, "home")
    assert found[0] == "hone"
    assert len(found) == vocabulary.WORDS_MAX


def test_only_words_that_nobody_knows_are_doubted() -> None:
    guesses = vocabulary.guesses(query.parse("iron maidne"), dictionary("iron", "irony", "maiden"))
    assert set(guesses) == {"maidne", "ironmaidne"}
    assert guesses["maidne"].words == ("maiden",)


def test_where_all_are_known_the_rarest_are_doubted() -> None:
    known = dictionary("gel", "get", "right", "come", "come", "as", "as", "you", "you")
    assert set(vocabulary.guesses(query.parse("as you come gel right"), known)) == {
        "gel",
        "right",
        "as",
        "asyoucomegelright",
    }
