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
def test_one_edit_is_a_distance_of_one(pair: tuple[str, str]) -> None:
    word, typed = pair
    assert spelling.distance(word, typed) <= 1


@given(edited(), st.text(alphabet=letters, max_size=6))
def test_one_edit_in_the_start_of_a_word_is_a_distance_of_one_to_its_start(pair: tuple[str, str], rest: str) -> None:
    word, typed = pair
    assert spelling.distance_of_start(typed, word + rest) <= 1


@given(words, words)
def test_the_start_of_a_word_is_no_further_than_the_word(a: str, b: str) -> None:
    if len(b) <= len(a) + spelling.edits_max(a):
        assert spelling.distance_of_start(a, b) <= spelling.distance(a, b)


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


def test_of_three_letters_only_a_fourth_is_forgiven() -> None:
    assert not spelling.may_mean("cat", "car")
    assert spelling.may_mean("cat", "cats")
    assert spelling.may_mean("cat", "cat")


def test_long_words_may_have_two_edits_and_short_ones_may_not() -> None:
    assert (spelling.edits_max("metallica"), spelling.edits_max("queen")) == (2, 1)


def test_numbers_and_very_long_words_are_left_alone() -> None:
    assert not spelling.correctable("1999")
    assert not spelling.correctable("x" * 25)
    assert spelling.correctable("blink182")
