"""A sidecar tells which chunks were written, and is refused when it was damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.sidecar import ABSENT, PRESENT, Sidecar, decode, encode, flag_offset
from reprise.errors import DataCorrupt


@given(signed=st.binary(max_size=300), flags=st.lists(st.booleans(), max_size=40))
def test_what_was_marked_is_read_back(signed: bytes, flags: list[bool]) -> None:
    content = bytearray(encode(signed, len(flags)))
    for chunk, flag in enumerate(flags):
        offset = flag_offset(len(signed), chunk)
        content[offset : offset + 1] = PRESENT if flag else ABSENT
    expected = sum(1 << chunk for chunk, flag in enumerate(flags) if flag)
    assert decode(bytes(content)) == Sidecar(signed, len(flags), expected)


@given(bit=st.integers(0, 8 * (20 + 50) - 1))
def test_one_flipped_bit_before_the_flags_is_noticed(bit: int) -> None:
    content = bytearray(encode(bytes(range(50)), 4))
    content[bit // 8] ^= 1 << bit % 8
    with pytest.raises(DataCorrupt):
        decode(bytes(content))


@given(bit=st.integers(0, 8 * 4 - 1))
def test_one_flipped_bit_never_makes_a_chunk_present(bit: int) -> None:
    content = bytearray(encode(b"manifest", 4))
    content[flag_offset(8, 0) + bit // 8] ^= 1 << bit % 8
    assert decode(bytes(content)).present == 0


@given(length=st.integers(0, 20 + 50 + 4 - 1))
def test_a_cut_sidecar_is_refused(length: int) -> None:
    with pytest.raises(DataCorrupt):
        decode(encode(bytes(range(50)), 4)[:length])
