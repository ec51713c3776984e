"""The hand-made messages are what protobuf would have made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.play_stream import bytes_head, fixed_part, redirect_message, span_behind, span_of, step
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse, RelayResponse
from reprise.errors import OutOfRange


@given(st.binary(max_size=70_000))
def test_a_head_in_front_of_bytes_is_a_data_message(data: bytes) -> None:
    message = bytes_head(len(data)) + data
    assert PlayResponse.FromString(message).data == data
    assert RelayResponse.FromString(message).chunk == data
    assert message == PlayResponse(data=data).SerializeToString()


@given(st.integers(0, 1 << 40), st.integers(1, 1 << 30))
def test_steps_end_on_chunk_boundaries(position: int, length: int) -> None:
    size = step(position, position + length)
    assert 0 < size <= CHUNK_BYTES
    assert (position + size) % CHUNK_BYTES == 0 or size == length


def test_a_length_of_zero_means_to_the_end() -> None:
    assert span_of(PlayRequest(offset_bytes=10), 100) == ByteRange(10, 100)
    assert span_of(PlayRequest(offset_bytes=10, length_bytes=5), 100) == ByteRange(10, 15)
    assert span_of(PlayRequest(offset_bytes=10, length_bytes=500), 100) == ByteRange(10, 100)


def test_an_offset_behind_the_end_is_out_of_range() -> None:
    with pytest.raises(OutOfRange, match="100 bytes"):
        span_of(PlayRequest(offset_bytes=100), 100)


def test_a_redirect_names_the_next_byte() -> None:
    assert PlayResponse.FromString(redirect_message(7)).redirect.offset_bytes == 7


OFFSETS = st.integers(0, 1 << 40)


@given(OFFSETS, OFFSETS)
def test_the_span_stands_behind_the_fixed_part(offset: int, length: int) -> None:
    first = PlayRequest(grant="g", song_id="s", rendition_id="r", offset_bytes=7, length_bytes=9)
    message = PlayRequest(grant="g", song_id="s", rendition_id="r", offset_bytes=offset, length_bytes=length)
    assert span_behind(fixed_part(first), message.SerializeToString()) == (offset, length)


@pytest.mark.parametrize(
    "other",
    [
        PlayRequest(grant="h", song_id="s", rendition_id="r").SerializeToString(),
        # The last of repeated fields counts: these end as another listener's, another song's, or as nothing at all.
        PlayRequest(grant="g", song_id="s", rendition_id="r").SerializeToString()
        + PlayRequest(grant="h").SerializeToString(),
        PlayRequest(grant="g", song_id="s", rendition_id="r").SerializeToString()
        + PlayRequest(song_id="t").SerializeToString(),
        PlayRequest(grant="g", song_id="s", rendition_id="r").SerializeToString() + b"\xff\xff",
    ],
)
def test_a_request_that_says_anything_else_has_no_span_behind(other: bytes) -> None:
    fixed = fixed_part(PlayRequest(grant="g", song_id="s", rendition_id="r", offset_bytes=3))
    assert span_behind(fixed, other) is None
