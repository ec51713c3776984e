"""Where a chunk is, in words that both tiers share. Pure."""

import enum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from edge_node.open_file import OpenFile


class Tier(enum.Enum):
    """Where a chunk is."""

    RAM = "ram"
    DISK = "disk"
    # On disk as far as the index knows, but not verified by this process, or not at hand without waiting for the disk.
    COLD = "cold"


class Extent(NamedTuple):
    """Verified bytes in a row, ready for sendfile, mmap or pread, and good for as long as this or its `file` is held."""

    file: "OpenFile"
    offset: int
    length: int
    tier: Tier

    @property
    def fd(self) -> int:
        return self.file.fd


def run_length(present: int, first: int, chunks_max: int) -> int:
    """How many chunks in a row, from `first` and up to `chunks_max`, have their bit set in `present`."""
    shifted = present >> first & (1 << chunks_max) - 1
    # Adding one carries through the row of ones and stops at the first zero.
    return (shifted ^ (shifted + 1)).bit_length() - 1
