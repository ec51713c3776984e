"""One edit is always found, whatever it is and wherever."""

from hypothesis import assume, given
from hypothesis import strategies as st

from catalog import spelling

letters = st.sampled_from("abcdeé")
words = st.text(alphabet=letters, min_size=4, max_size=12)


@st.composite
def edited(draw: st.DrawFn) -> tuple[str, str]:
    """A word, and the word after one edit."""
    word = draw(words)
    at = draw(st.integers(0, len(word) - 1))
    letter = draw(letters)
    forms = [
        word[:at] + letter + word[at:],
        word[:at] + word[at + 1 :],
        word[:at] + letter + word[at + 1 :],
        word[:at] + word[at + 1 : at + 2] + word[at : at + 1] + word[at + 2 :],
    ]
    return word, draw(st.sampled_from(forms))


@given(edited())
def test_words_one_edit_apart_share_a_deletion(pair: tuple[str, str]) -> None:
    word, typed = pair
    assert spelling.deletions(word) & spelling.deletions(typed)


@given(edited())
def test_one_edit_is_corrected(pair: tuple[str, str]) -> None:
    word, typed = pair
    assert spelling.distance(word, typed) <= 1
    assert word in spelling.corrections(typed, [word, "zzzzzzzzzzzz"])


@given(words, words)
def test_distance_is_symmetric_and_zero_only_for_the_same(a: str, b: str) -> None:
    assert spelling.distance(a, b) == spelling.distance(b, a)
    assert (spelling.distance(a, b) == 0) == (a == b)


@given(words, words)
def test_distance_is_at_least_the_difference_in_length(a: str, b: str) -> None:
    assume(a != b)
    assert max(1, abs(len(a) - len(b))) <= spelling.distance(a, b) <= max(len(a), len(b))


def test_a_swap_is_one_edit() -> None:
    assert spelling.distance("bjork", "bjrok") == 1


def test_short_words_are_not_guessed_at() -> None:
    assert spelling.corrections("cat", ["car", "at", "cats"]) == ["cats"]


def test_long_words_may_have_two_edits_and_short_ones_may_not() -> None:
    assert spelling.corrections("metalicca", ["metallica"]) == ["metallica"]
    assert spelling.corrections("quueen", ["queer"]) == []


def test_closest_come_first_and_their_number_is_bounded() -> None:
    known = ["home", "hope", "hone", *(f"hon{letter}" for letter in "abcdfghijklmnop")]
    found = spelling.corrections("hone", known)
    assert found[0] == "hone"
    assert len(found) == spelling.ALTERNATIVES_MAX


def test_numbers_and_very_long_words_are_left_alone() -> None:
    assert not spelling.correctable("1999")
    assert not spelling.correctable("x" * 25)
    assert spelling.correctable("blink182")
