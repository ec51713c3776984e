"""A file descriptor that is closed when the last reference to it goes.

A part of a rendition may be evicted while a slow socket still has bytes of it to take. Whoever sends holds the OpenFile, so the
number cannot be given to another file meanwhile: then a listener would hear somebody else's bytes. Reference counting closes
it at once, which is why this leans on CPython.
"""

import os


class OpenFile:
    """Owns `fd`."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)
