"""The hand-made messages are what protobuf would have made."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.play_stream import (
    bytes_head,
    info_behind,
    info_message,
    redirect_message,
    rendition_field,
    span_of,
    step,
)
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse, RelayResponse, StreamInfo
from reprise.errors import OutOfRange
from reprise.manifests import Manifest
from reprise.types.v1.types_pb2 import Rendition, SignedManifest


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


NUMBERS = st.integers(0, 1 << 62)


@given(NUMBERS, st.integers(1, 1 << 62), st.integers(0, 1 << 40), st.text(max_size=200))
def test_an_info_behind_its_rendition_is_what_protobuf_makes(start: int, length: int, size: int, mime: str) -> None:
    facts = Rendition(rendition_id="a" * 64, size_bytes=size, mime_type=mime)
    manifest = Manifest(facts, (), SignedManifest())
    span = ByteRange(start, start + length)
    made = info_behind(rendition_field(manifest), span)
    assert made == info_message(manifest, span)
    assert PlayResponse.FromString(made).info == StreamInfo(rendition=facts, offset_bytes=start, length_bytes=length)
