"""A file descriptor that is closed when the last reference to it goes.

A part of a rendition may be evicted while a slow socket still has bytes of it to take. Whoever sends holds the OpenFile, so the
number cannot be given to another file meanwhile: then a listener would hear somebody else's bytes. Reference counting closes
it at once, which is why this leans on CPython.
"""

import ctypes
import mmap
import os

from reprise.http_message import Mapped


class OpenFile:
    """Owns `fd`."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def __del__(self) -> None:
        os.close(self.fd)

    def mapped(self) -> Mapped | None:
        """A file on disk is not mapped: a page that is not in memory would block the loop."""
        return None


class MemoryFile(OpenFile):
    """A memfd: always in memory, so it can be read as such."""

    __slots__ = ("_mapped",)

    def __init__(self, fd: int) -> None:
        super().__init__(fd)
        self._mapped: Mapped | None = None

    def mapped(self) -> Mapped | None:
        """The whole file; only what was written may be read, holes would cost memory. None: the system gives no mapping.

        A slice of its view keeps the memory for as long as it lives, whatever happens to the file.
        """
        if self._mapped is None:
            try:
                memory = mmap.mmap(self.fd, 0, mmap.MAP_SHARED)
            except (OSError, ValueError):
                return None
            address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
            self._mapped = Mapped(memoryview(memory).toreadonly(), address)
        return self._mapped
