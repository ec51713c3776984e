"""Chunk arithmetic: the chunks of a rendition are its bytes, once each, in order."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from reprise.chunks import CHUNK_BYTES, ByteRange, chunk_count, chunk_range

SIZES = st.one_of(st.integers(1, 1 << 33), st.integers(1, 1000).map(lambda n: n * CHUNK_BYTES))


@given(st.integers(1, 100 * CHUNK_BYTES))
def test_chunks_tile_the_rendition(size_bytes: int) -> None:
    ranges = [chunk_range(index, size_bytes) for index in range(chunk_count(size_bytes))]
    assert ranges[0].start == 0
    assert ranges[-1].end == size_bytes
    assert all(left.end == right.start for left, right in itertools.pairwise(ranges))


@given(SIZES)
def test_every_chunk_but_the_last_is_whole(size_bytes: int) -> None:
    last = chunk_count(size_bytes) - 1
    assert 0 < chunk_range(last, size_bytes).length <= CHUNK_BYTES
    if last:
        assert chunk_range(last - 1, size_bytes).length == CHUNK_BYTES


def test_a_byte_more_than_a_chunk_makes_two() -> None:
    assert [chunk_count(n) for n in (0, 1, CHUNK_BYTES, CHUNK_BYTES + 1)] == [0, 1, 1, 2]
    assert chunk_range(1, CHUNK_BYTES + 1) == ByteRange(CHUNK_BYTES, CHUNK_BYTES + 1)
