"""The boxes of a fragmented MP4 file, and its index by segments. Pure.

libav writes a file whose index lists every fragment. HLS and CMAF players fetch segments, so the index is made anew: a short
first segment, so that sound starts soon, then segments of several fragments. What players rely on is checked on the way: decode
times start at 0 and leave no gap, nothing shifts them (no edit list), and the index covers exactly the fragments.

Layouts: ISO/IEC 14496-12. Lengths come from the file, so each is checked before it is used.
"""

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

# A fragment is about a second. The first segment is one of them, each other one four.
FRAGMENTS_A_SEGMENT = 4
SEGMENTS_MAX = (1 << 16) - 1
_CONTAINERS = frozenset((b"moov", b"trak", b"edts", b"mdia", b"moof", b"traf"))
_STARTS_WITH_SAP_1 = 0x90000000
# Flags of `tfhd`: what stands before the default duration, with its size; and that duration.
_TFHD_BEFORE_DURATION = ((0x1, 8), (0x2, 4))
_TFHD_DURATION = 0x8
# Flags of `trun`: what stands before the samples; what each sample has, duration first.
_TRUN_OPTIONAL = (0x1, 0x4)
_TRUN_DURATION = 0x100
_TRUN_A_SAMPLE = (0x100, 0x200, 0x400, 0x800)


class Malformed(ValueError):
    """This is not a file as libav writes it for us; the message says where."""


@dataclass(frozen=True, slots=True)
class Box:
    """A box within a file: `start` to `end`, what it holds from `body` on."""

    kind: bytes
    start: int
    body: int
    end: int

    def number(self, data: memoryview, offset: int, size: int = 4) -> int:
        """The number of `size` bytes at `offset` of the body. Raises Malformed when the box is shorter."""
        at = self.body + offset
        if at + size > self.end:
            raise Malformed(f"the box {self.kind!r} at {self.start} is cut off")
        return int.from_bytes(data[at : at + size])


@dataclass(frozen=True, slots=True)
class Fragment:
    """A `moof` with its `mdat`: bytes, decode time and duration in ticks."""

    size: int
    time: int
    ticks: int


@dataclass(frozen=True, slots=True)
class Index:
    """Where a file may be cut: `header_bytes` initialise a decoder, the segments begin after `init_bytes`."""

    header_bytes: int
    init_bytes: int
    timescale: int
    segment_bytes: tuple[int, ...]
    segment_ticks: tuple[int, ...]


def walk(data: memoryview, start: int, end: int) -> Iterator[Box]:
    """The boxes from `start` to `end`, not those inside of them. Raises Malformed."""
    while start < end:
        if end - start < 8:
            raise Malformed(f"{end - start} bytes at {start} are no box")
        size, kind = struct.unpack_from(">I4s", data, start)
        # Larger forms (size 1 and 0) are for files of over 4 GB, which nothing here makes.
        if not 8 <= size <= end - start:
            raise Malformed(f"the box {kind!r} at {start} has an impossible size {size}")
        yield Box(kind, start, start + 8, start + size)
        start += size


def with_segments(data: memoryview) -> list[memoryview | bytes]:
    """The file `data` with an index by segments in place of its own, as the pieces to write. Raises Malformed."""
    header, timescale, fragments = _read(data)
    first = len(data) - sum(fragment.size for fragment in fragments)
    return [data[:header], _sidx(timescale, list(_segments(fragments))), data[first:]]


def index_of(data: memoryview) -> Index:
    """The index of a finished file, read from its `sidx`. Raises Malformed unless it covers the rest of the file exactly."""
    header = 0
    for box in walk(data, 0, len(data)):
        if box.kind == b"sidx":
            break
        header = box.end
    else:
        raise Malformed("it has no index")
    references = range(32, box.end - box.body, 12)
    sizes = tuple(box.number(data, at) for at in references)
    if box.end + sum(sizes) != len(data):
        raise Malformed(f"its index covers {sum(sizes)} of {len(data) - box.end} bytes")
    ticks = tuple(box.number(data, at + 4) for at in references)
    return Index(header, box.end, box.number(data, 8), sizes, ticks)


def _read(data: memoryview) -> tuple[int, int, list[Fragment]]:
    """The size of `ftyp` and `moov`, the timescale, and the fragments, checked to follow each other in bytes and time."""
    header, timescale, moof = 0, 0, None
    fragments: list[Fragment] = []
    for box in walk(data, 0, len(data)):
        if box.kind in (b"ftyp", b"moov") and not fragments:
            header, timescale = box.end, timescale or _timescale(data, box)
        elif box.kind == b"moof" and moof is None:
            moof = box
        elif box.kind == b"mdat" and moof is not None:
            fragments.append(_fragment(data, moof, box.end))
            moof = None
        elif box.kind != b"sidx" or fragments or moof:
            raise Malformed(f"a box {box.kind!r} at {box.start} is out of place")
    if not timescale or not fragments or moof is not None:
        raise Malformed("it ends before its sound does")
    _check_times(fragments)
    return header, timescale, fragments


def _check_times(fragments: Sequence[Fragment]) -> None:
    if fragments[0].time != 0:
        raise Malformed(f"its time starts at {fragments[0].time}, not at 0")
    for one, following in pairwise(fragments):
        if one.time + one.ticks != following.time:
            raise Malformed(f"a fragment starts at {following.time}, the one before ends at {one.time + one.ticks}")


def _timescale(data: memoryview, top: Box) -> int:
    """The ticks a second by the `mdhd` in `top`, 0 when there is none. Raises Malformed for an edit list."""
    found = 0
    for box in _inside(data, top) if top.kind == b"moov" else ():
        if box.kind == b"elst":
            raise Malformed("it has an edit list")
        if box.kind == b"mdhd":
            found = box.number(data, 20 if box.number(data, 0, 1) == 1 else 12)
    return found


def _fragment(data: memoryview, moof: Box, end: int) -> Fragment:
    found = {box.kind: box for box in _inside(data, moof)}
    if len([box for box in _inside(data, moof) if box.kind == b"trun"]) != 1 or not {b"tfdt", b"tfhd"} <= found.keys():
        raise Malformed(f"the fragment at {moof.start} is not one run of samples with a time")
    tfdt = found[b"tfdt"]
    time = tfdt.number(data, 4, 8 if tfdt.number(data, 0, 1) == 1 else 4)
    return Fragment(end - moof.start, time, _run_ticks(data, found[b"trun"], _default_ticks(data, found[b"tfhd"])))


def _default_ticks(data: memoryview, tfhd: Box) -> int:
    """How long a sample lasts that does not say so itself; 0 when that is not said either."""
    flags = tfhd.number(data, 1, 3)
    before = sum(size for flag, size in _TFHD_BEFORE_DURATION if flags & flag)
    return tfhd.number(data, 8 + before) if flags & _TFHD_DURATION else 0


def _run_ticks(data: memoryview, trun: Box, default: int) -> int:
    flags, count = trun.number(data, 1, 3), trun.number(data, 4)
    first = 8 + sum(4 for flag in _TRUN_OPTIONAL if flags & flag)
    size = sum(4 for flag in _TRUN_A_SAMPLE if flags & flag)
    if count * size > trun.end - trun.body - first:
        raise Malformed(f"the box {trun.kind!r} at {trun.start} is cut off")
    ticks = default * count
    if flags & _TRUN_DURATION:
        ticks = sum(trun.number(data, first + size * at) for at in range(count))
    if not ticks:
        raise Malformed(f"the fragment at {trun.start} has no length")
    return ticks


def _inside(data: memoryview, box: Box) -> Iterator[Box]:
    """All boxes in `box`, at any depth."""
    for inner in walk(data, box.body, box.end):
        yield inner
        if inner.kind in _CONTAINERS:
            yield from _inside(data, inner)


def _segments(fragments: Sequence[Fragment]) -> Iterator[Sequence[Fragment]]:
    yield fragments[:1]
    for start in range(1, len(fragments), FRAGMENTS_A_SEGMENT):
        yield fragments[start : start + FRAGMENTS_A_SEGMENT]


def _sidx(timescale: int, segments: Sequence[Sequence[Fragment]]) -> bytes:
    if len(segments) > SEGMENTS_MAX:
        raise Malformed(f"it has {len(segments)} segments, at most {SEGMENTS_MAX}")
    # Version 1, of track 1: earliest time 0, the first segment follows at once. Each segment starts with a point of access.
    fixed = struct.pack(">IIIQQHH", 1 << 24, 1, timescale, 0, 0, 0, len(segments))
    references = (
        struct.pack(">III", sum(f.size for f in fragments), sum(f.ticks for f in fragments), _STARTS_WITH_SAP_1)
        for fragments in segments
    )
    body = fixed + b"".join(references)
    return struct.pack(">I4s", 8 + len(body), b"sidx") + body
