"""The index of a fragmented file: it covers every byte and tick of whatever fragments there are, and damage is noticed."""

import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from origin.ingest import boxes

TIMESCALE = 48_000


def box(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I4s", 8 + len(body), kind) + body


def header(timescale: int = TIMESCALE, version: int = 0, edit: bytes = b"") -> bytes:
    times = struct.pack(">QQ" if version else ">II", 0, 0)
    mdhd = box(b"mdhd", struct.pack(">B3x", version), times, struct.pack(">I", timescale), bytes(8 if version else 4))
    return box(b"ftyp", b"iso6") + box(b"moov", box(b"trak", edit, box(b"mdia", mdhd)))


def fragment(time: int, durations: list[int], payload: int, *, listed: bool = True) -> bytes:
    """A `moof` and its `mdat`; samples tell their durations themselves, or all have the first's by default."""
    tfhd = box(b"tfhd", struct.pack(">III", 0x20008 if not listed else 0x20000, 1, durations[0])[: 8 if listed else 12])
    tfdt = box(b"tfdt", struct.pack(">B3xQ", 1, time))
    samples = b"".join(struct.pack(">II", duration, 1) if listed else struct.pack(">I", 1) for duration in durations)
    flags = 0x301 if listed else 0x201
    trun = box(b"trun", struct.pack(">III", flags, len(durations), 0), samples)
    return box(b"moof", box(b"mfhd", bytes(8)), box(b"traf", tfhd, tfdt, trun)) + box(b"mdat", bytes(payload))


def file_of(fragments: list[tuple[list[int], int]]) -> bytes:
    data, time = header(), 0
    for durations, payload in fragments:
        data += fragment(time, durations, payload)
        time += sum(durations)
    return data


def indexed(data: bytes) -> bytes:
    return b"".join(boxes.with_segments(memoryview(data)))


FRAGMENTS = st.lists(
    st.tuples(st.lists(st.integers(1, 5_000), min_size=1, max_size=5), st.integers(0, 300)), min_size=1, max_size=30
)


@given(FRAGMENTS)
def test_the_index_covers_every_byte_and_every_tick_in_order(fragments: list[tuple[list[int], int]]) -> None:
    data = file_of(fragments)
    made = indexed(data)
    index = boxes.index_of(memoryview(made))
    assert (index.timescale, index.header_bytes) == (TIMESCALE, len(header()))
    assert made[: index.header_bytes] + made[index.init_bytes :] == data, "nothing but the index is new"
    assert index.init_bytes + sum(index.segment_bytes) == len(made)
    ticks = [sum(durations) for durations, _ in fragments]
    assert list(index.segment_ticks) == [ticks[0], *(sum(ticks[at : at + 4]) for at in range(1, len(ticks), 4))]
    assert indexed(made) == made, "an index is replaced, not added"


@given(st.binary(max_size=200) | FRAGMENTS.map(file_of), st.data())
def test_damage_is_malformed_and_nothing_else(data: bytes, draw: st.DataObject) -> None:
    damaged = bytearray(data)
    for _ in range(draw.draw(st.integers(0, 4))):
        if damaged:
            damaged[draw.draw(st.integers(0, len(damaged) - 1))] = draw.draw(st.integers(0, 255))
    damaged = damaged[: draw.draw(st.integers(0, len(damaged)))]
    for read in (boxes.with_segments, boxes.index_of):
        with suppress(boxes.Malformed):
            read(memoryview(bytes(damaged)))


@pytest.mark.parametrize("listed", [True, False])
def test_durations_may_be_told_by_sample_or_once(listed: bool) -> None:
    data = header(version=1) + fragment(0, [960, 960, 960], 10, listed=listed)
    index = boxes.index_of(memoryview(indexed(data)))
    assert (index.segment_ticks, index.timescale) == ((2880,), TIMESCALE)


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (header(), "ends before its sound"),
        (header() + fragment(5, [960], 1), "starts at 5, not at 0"),
        (header() + fragment((1 << 64) - 312, [960], 1), "starts at 18446744073709551304"),
        (header() + fragment(0, [960], 1) + fragment(961, [960], 1), "starts at 961, the one before ends at 960"),
        (header(edit=box(b"edts", box(b"elst", bytes(8)))) + fragment(0, [960], 1), "edit list"),
        (header() + box(b"free") + fragment(0, [960], 1), "out of place"),
        (header() + fragment(0, [960], 1)[:-1], "impossible size"),
    ],
)
def test_what_players_would_stumble_over_is_refused(data: bytes, complaint: str) -> None:
    with pytest.raises(boxes.Malformed, match=complaint):
        indexed(data)


def test_an_index_that_covers_less_than_the_file_is_refused() -> None:
    with pytest.raises(boxes.Malformed, match="covers"):
        boxes.index_of(memoryview(indexed(file_of([([960], 5)])) + b"more"))
