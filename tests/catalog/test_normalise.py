"""One form for what is stored and what is typed."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog import normalise

names = st.text(max_size=60)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Björk", "bjork"),
        ("BJO\u0308RK", "bjork"),
        ("Sigur Rós", "sigur ros"),
        ("Mötley Crüe", "motley crue"),
        ("Łódź", "lodz"),
        ("Ænima", "aenima"),
        ("Straße", "strasse"),
        ("Þeyr", "theyr"),
        ("DIYARBAKIR", "diyarbakir"),
        ("Diyarbakır", "diyarbakir"),
        ("İstanbul", "istanbul"),
        ("Ёлка", "елка"),
        ("Άλφα", "αλφα"),
        ("T.N.T.", "t n t"),
        ("AC/DC", "ac dc"),
        ("  Army   of\tMe ", "army of me"),
        ("ﬁve ①", "five 1"),
        ("ＡＢＢＡ", "abba"),
        ("東京事変", "東京事変"),
        ("がんばれ", "がんばれ"),
        ("ｶﾞﾝﾊﾞﾚ", "ガンバレ"),
        ("방탄소년단", "방탄소년단"),
        ("हिन्दी", "हिन्दी"),
        ("soft\u00adhyphen", "softhyphen"),
        ("!!!", "!!!"),
        ("÷", "÷"),
        ("+ / -", "+/-"),
        ("", ""),
        (" \u200b ", ""),
    ],
)
def test_key_is_what_people_type(name: str, key: str) -> None:
    assert normalise.key(name) == key


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("T.N.T.", "tnt"),
        ("AC/DC", "acdc"),
        ("AC/DC", "dc"),
        ("P!nk", "pnk"),
        ("Don't Stop", "dont"),
        ("!!!", "!!!"),
        ("東京事変", "東"),
        ("東京事変", "京事"),
        ("東京tokyo", "tokyo"),
    ],
)
def test_words_hold_every_form_by_which_a_name_is_found(name: str, word: str) -> None:
    assert word in normalise.words(name)


def test_marks_that_make_other_letters_stay() -> None:
    assert normalise.key("か") != normalise.key("が")
    assert normalise.key("न") != normalise.key("ने")


@pytest.mark.parametrize(
    ("name", "sort_name"),
    [
        ("The Beatles", "Beatles, The"),
        ("A Tribe Called Quest", "Tribe Called Quest, A"),
        ("Theory", "Theory"),
        ("The", "The"),
    ],
)
def test_sort_name_moves_the_article(name: str, sort_name: str) -> None:
    assert normalise.sort_name(name) == sort_name


def test_key_of_every_single_character_is_idempotent() -> None:
    keys = {normalise.key(chr(code)) for code in range(sys.maxunicode + 1) if not 0xD800 <= code < 0xE000}
    assert {key for key in keys if normalise.key(key) != key} == set()


@given(names)
def test_key_is_idempotent(name: str) -> None:
    assert normalise.key(normalise.key(name)) == normalise.key(name)


@given(st.text(alphabet="aåäöéøßñçčłzž жяёλώσς"))
def test_case_does_not_matter(name: str) -> None:
    assert normalise.key(name.upper()) == normalise.key(name.lower()) == normalise.key(name)


@given(names)
def test_every_name_with_a_key_has_words_and_each_is_bounded(name: str) -> None:
    words = normalise.words(name)
    assert bool(words) == bool(normalise.key(name))
    assert all(0 < len(word) <= max(normalise.WORD_CHARS_MAX, 1) for word in words)


@given(st.text(alphabet="あ東京事変abc 1!", max_size=12))
def test_a_query_that_is_the_name_asks_only_for_words_of_the_name(name: str) -> None:
    asked = {word for piece in normalise.tokens(name) for word in piece}
    assert asked <= normalise.words(name)


@given(st.text(max_size=2000))
def test_key_is_bounded(name: str) -> None:
    assert len(normalise.key(name)) <= normalise.KEY_CHARS_MAX


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=40))
def test_ascii_takes_a_shorter_way_to_the_same_key(name: str) -> None:
    assert normalise.key(f"a {name} é") == f"a {normalise.key(f'b {name}')[2:]} e".replace("  ", " ")
