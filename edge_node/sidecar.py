"""The sidecar of a rendition on disk: its signed manifest, then one byte per chunk that says "written whole". Pure.

A chunk's byte is set after its data was written, and the bytes of a part are cleared before its file is made anew; without
the file they mean nothing. So after a crash of the process a set byte means written data, without journal and repair. After
a loss of power it may mean less: whoever adopts a sidecar still verifies each chunk before it leaves.
"""

import struct
import zlib
from dataclasses import dataclass

from reprise.errors import DataCorrupt

_MAGIC = b"reprise1"
# Magic, length of the signed manifest, number of chunks, CRC-32 of the manifest.
_HEADER = struct.Struct(">8sIII")
# Far from 0 and 1 in bits, so that no single flip makes a chunk of nothing.
PRESENT = b"\xa5"
ABSENT = b"\0"


@dataclass(frozen=True, slots=True)
class Sidecar:
    """`signed` is a serialised SignedManifest; `present` has a bit per chunk."""

    signed: bytes
    chunks: int
    present: int


def encode(signed: bytes, chunks: int) -> bytes:
    """A sidecar in which no chunk is present."""
    return _HEADER.pack(_MAGIC, len(signed), chunks, zlib.crc32(signed)) + signed + ABSENT * chunks


def flag_offset(signed_length: int, chunk: int) -> int:
    """Where the byte of `chunk` is."""
    return _HEADER.size + signed_length + chunk


def decode(data: bytes) -> Sidecar:
    """Raises DataCorrupt when `data` is torn, damaged or something else. The signature is for the caller to verify."""
    if len(data) < _HEADER.size:
        raise DataCorrupt("the sidecar is shorter than its header")
    magic, length, chunks, checksum = _HEADER.unpack_from(data)
    signed, flags = data[_HEADER.size : _HEADER.size + length], data[_HEADER.size + length :]
    if magic != _MAGIC or len(signed) != length or len(flags) != chunks or zlib.crc32(signed) != checksum:
        raise DataCorrupt("the sidecar is damaged")
    present = sum(1 << chunk for chunk, flag in enumerate(flags) if flag == PRESENT[0])
    return Sidecar(signed, chunks, present)
