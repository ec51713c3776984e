"""RFC 9110, sections 13 and 14, as far as immutable bytes need them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.ranges import NotModified, Partial, PreconditionFailed, Unsatisfiable, Whole, evaluate
from reprise.chunks import ByteRange

ETAG = '"abc"'


def ask(size: int = 1000, method: str = "GET", **headers: str) -> object:
    return evaluate(method, {name.replace("_", "-"): value for name, value in headers.items()}, ETAG, size)


@pytest.mark.parametrize(
    ("header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 1000),
        ("bytes=10-19", 10, 20),
        ("bytes=990-5000", 990, 1000),
        ("bytes=-1", 999, 1000),
        ("bytes=-5000", 0, 1000),
        ("Bytes = 5-6", 5, 7),
    ],
)
def test_a_range_gives_exactly_its_bytes(header: str, start: int, end: int) -> None:
    assert ask(range=header) == Partial(ByteRange(start, end))


@pytest.mark.parametrize("header", ["bytes=1000-", "bytes=1000-1001", "bytes=-0"])
def test_a_range_behind_the_end_is_unsatisfiable(header: str) -> None:
    assert ask(range=header) == Unsatisfiable()


@pytest.mark.parametrize(
    "header",
    ["bytes=5-4", "bytes=a-b", "bytes=-", "bytes=", "bytes 0-1", "items=0-1", "bytes=0-1,5-6", "bytes=0-1-2", ""],
)
def test_what_is_no_single_byte_range_is_ignored(header: str) -> None:
    assert ask(range=header) == Whole()


def test_head_ignores_range() -> None:
    assert ask(method="HEAD", range="bytes=0-1") == Whole()


def test_if_range_needs_the_strong_etag() -> None:
    assert ask(range="bytes=0-1", if_range=ETAG) == Partial(ByteRange(0, 2))
    assert ask(range="bytes=0-1", if_range='W/"abc"') == Whole()
    assert ask(range="bytes=0-1", if_range='"old"') == Whole()


def test_conditions() -> None:
    assert ask(if_none_match=ETAG) == NotModified()
    assert ask(if_none_match='"x", W/"abc"') == NotModified()
    assert ask(if_none_match="*") == NotModified()
    assert ask(if_none_match='"x"') == Whole()
    assert ask(if_match='"x"') == PreconditionFailed()
    assert ask(if_match='W/"abc"') == PreconditionFailed()
    assert ask(if_match=ETAG, range="bytes=0-1") == Partial(ByteRange(0, 2))


@given(st.text(max_size=60), st.integers(1, 10_000))
def test_any_header_gives_an_answer_inside_the_rendition(header: str, size: int) -> None:
    answer = ask(size, range=header)
    if isinstance(answer, Partial):
        assert 0 <= answer.range.start < answer.range.end <= size


@given(st.integers(0, 2**62), st.integers(0, 2**62), st.integers(1, 10_000))
def test_any_pair_of_numbers_gives_an_answer_inside_the_rendition(first: int, last: int, size: int) -> None:
    answer = ask(size, range=f"bytes={first}-{last}")
    if isinstance(answer, Partial):
        assert answer.range == ByteRange(first, min(last + 1, size))
    elif isinstance(answer, Unsatisfiable):
        assert first >= size
    else:
        assert last < first
