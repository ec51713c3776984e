"""How much room bytes take where they are kept. Pure."""

# Of memory, and of the blocks of every file system that we know of.
PAGE_BYTES = 4096


def pages_bytes(length: int) -> int:
    """`length`, rounded up to whole pages."""
    return -(-length // PAGE_BYTES) * PAGE_BYTES
