"""Chunk arithmetic: a rendition is a row of 64 KiB chunks, the last one shorter. Pure."""

from dataclasses import dataclass

CHUNK_BYTES = 65536
# A song whose prefix is cached can start at once; 512 KiB is about 40 s at 96 kb/s.
PREFIX_CHUNKS = 8


@dataclass(frozen=True, slots=True)
class ByteRange:
    """Bytes `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


def chunk_count(size_bytes: int) -> int:
    """How many chunks `size_bytes` make."""
    return -(-size_bytes // CHUNK_BYTES)


def chunk_range(index: int, size_bytes: int) -> ByteRange:
    """The bytes of chunk `index` of a rendition of `size_bytes`."""
    start = index * CHUNK_BYTES
    return ByteRange(start, min(start + CHUNK_BYTES, size_bytes))
