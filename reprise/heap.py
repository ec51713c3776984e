"""Keeps the allocator from giving memory back to the system only to ask for it again.

glibc returns what is free at the top of its heap beyond 128 KiB. Messages of that size come and go all the time: each would
cost system calls, and a page fault per 4 KiB. The limit grows by itself to twice the largest block that was mapped alone and
freed, which is what happens here; so up to 32 MiB stay with the process. Other allocators lose nothing by it.
"""

# glibc learns from no block larger than 32 MiB.
_BLOCK_BYTES = 16 << 20


def keep_freed() -> None:
    """Call once, before the first message."""
    # Zeroed by the system when touched, which it is not: this costs no memory.
    bytearray(_BLOCK_BYTES)
