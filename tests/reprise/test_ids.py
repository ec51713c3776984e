"""Ids: only what fits a path, a key and a log line gets through."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import ids
from reprise.errors import InvalidRequest

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"


@given(st.text(ALPHABET, min_size=1, max_size=64))
def test_ids_of_the_alphabet_pass_unchanged(value: str) -> None:
    assert ids.check_id(value, "song_id") == value


@given(st.text().filter(lambda v: not 0 < len(v) <= 64 or set(v) - set(ALPHABET)))
def test_everything_else_is_refused_and_named(value: str) -> None:
    with pytest.raises(InvalidRequest, match="song_id"):
        ids.check_id(value, "song_id")


@pytest.mark.parametrize("value", ["a\n", "../etc", "a/b", "a b", "ä", "a" * 65, ""])
def test_paths_line_ends_and_overlong_ids_are_refused(value: str) -> None:
    with pytest.raises(InvalidRequest):
        ids.check_id(value, "edge_id")


def test_a_refusal_quotes_at_most_80_characters() -> None:
    with pytest.raises(InvalidRequest) as refused:
        ids.check_id("x" * 100_000, "edge_id")
    assert len(refused.value.message) < 160


@pytest.mark.parametrize("value", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, "0" * 64 + "\n"])
def test_only_64_lower_case_hex_digits_are_a_sha256(value: str) -> None:
    assert ids.check_sha256("0af9" * 16, "rendition_id") == "0af9" * 16
    with pytest.raises(InvalidRequest, match="rendition_id"):
        ids.check_sha256(value, "rendition_id")


@given(st.uuids())
def test_a_canonical_uuid_passes_and_other_spellings_do_not(value: uuid.UUID) -> None:
    assert ids.check_uuid(str(value), "song_id") == value
    for other in (value.hex, f"{{{value}}}", value.urn, f" {value}"):
        with pytest.raises(InvalidRequest, match="song_id"):
            ids.check_uuid(other, "song_id")


@given(st.integers(0, (1 << 48) - 1), st.integers(0, (1 << 80) - 1))
def test_uuid7_has_version_variant_and_time(now_unix_ms: int, bits: int) -> None:
    made = ids.uuid7(now_unix_ms, bits)
    assert (made.version, made.variant) == (7, uuid.RFC_4122)
    assert made.int >> 80 == now_unix_ms


@given(st.integers(0, (1 << 48) - 2), st.integers(0, (1 << 80) - 1), st.integers(0, (1 << 80) - 1))
def test_a_later_uuid7_sorts_behind_an_earlier_one(now_unix_ms: int, bits: int, other_bits: int) -> None:
    earlier, later = ids.uuid7(now_unix_ms, bits), ids.uuid7(now_unix_ms + 1, other_bits)
    assert str(earlier) < str(later)


def test_uuid7_keeps_the_74_random_bits() -> None:
    assert len({ids.uuid7(0, 1 << bit) for bit in range(80)} - {ids.uuid7(0, 0)}) == 74
