"""Whether bytes of a file are in the page cache, asked without waiting for the disk."""

import errno
import os

from edge_node.location import Extent, Tier
from edge_node.open_file import OpenFile
from reprise.chunks import CHUNK_BYTES, ByteRange, chunk_range

# The probe copies what it asks for, so a long row would cost more than it saves.
EXTENT_CHUNKS_MAX = 4


class Residency:
    """Owns the memory that probes copy to."""

    def __init__(self) -> None:
        self._probe = memoryview(bytearray(EXTENT_CHUNKS_MAX * CHUNK_BYTES))

    def extent(self, file: OpenFile, chunk: int, chunks: int, size_bytes: int) -> Extent | None:
        """Of `chunks` verified ones from `chunk` on, those in a row whose sending waits for no disk.

        `size_bytes` is the rendition's.
        """
        span = ByteRange(chunk * CHUNK_BYTES, chunk_range(chunk + chunks - 1, size_bytes).end)
        length = self._resident_bytes(file.fd, span)
        if length < span.length:
            length -= length % CHUNK_BYTES
        return Extent(file, span.start, length, Tier.DISK) if length else None

    def _resident_bytes(self, fd: int, span: ByteRange) -> int:
        """How many bytes from the start of `span` can be read without waiting."""
        try:
            return os.preadv(fd, [self._probe[: span.length]], span.start, os.RWF_NOWAIT)
        except BlockingIOError:
            return 0
        except OSError as error:
            # tmpfs cannot be asked, and never waits.
            return span.length if error.errno == errno.EOPNOTSUPP else 0
