"""One edge's cache of whole songs: S3-FIFO (Yang et al., SOSP 2023) by bytes. Pure.

Not the production cache, which `bench cache` measures: chunks, RAM and disk would cost the simulation its speed and are the
same under every rule. Invariant: held bytes never pass the limit.
"""

SMALL_SHARE = 0.1
FREQUENCY_MAX = 3


class Cache:
    """Renditions by number; a song larger than the whole is not kept."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._small_max = int(SMALL_SHARE * bytes_max)
        self._small: dict[int, int] = {}
        self._main: dict[int, int] = {}
        self._small_bytes = self._main_bytes = 0
        self._frequency: dict[int, int] = {}
        self._ghosts: dict[int, None] = {}

    @property
    def bytes_held(self) -> int:
        return self._small_bytes + self._main_bytes

    def __contains__(self, rendition: int) -> bool:
        return rendition in self._frequency

    def touch(self, rendition: int) -> bool:
        """A play; says whether the rendition is held."""
        frequency = self._frequency.get(rendition)
        if frequency is None:
            return False
        if frequency < FREQUENCY_MAX:
            self._frequency[rendition] = frequency + 1
        return True

    def keep(self, rendition: int, size_bytes: int) -> None:
        """Holds a rendition that every run starts with."""
        self._main[rendition] = size_bytes
        self._main_bytes += size_bytes
        self._frequency[rendition] = 0

    def add(self, rendition: int, size_bytes: int) -> None:
        """Holds a rendition that is not held; others go."""
        if size_bytes > self._bytes_max:
            return
        while self.bytes_held + size_bytes > self._bytes_max:
            self._evict()
        self._frequency[rendition] = 0
        if rendition in self._ghosts:
            del self._ghosts[rendition]
            self._main[rendition] = size_bytes
            self._main_bytes += size_bytes
        else:
            self._small[rendition] = size_bytes
            self._small_bytes += size_bytes

    def _evict(self) -> None:
        if self._small_bytes > self._small_max or not self._main:
            self._evict_small()
        else:
            self._evict_main()

    def _evict_small(self) -> None:
        rendition = next(iter(self._small))
        size_bytes = self._small.pop(rendition)
        self._small_bytes -= size_bytes
        if self._frequency[rendition]:
            self._frequency[rendition] = 0
            self._main[rendition] = size_bytes
            self._main_bytes += size_bytes
            return
        del self._frequency[rendition]
        self._ghosts[rendition] = None
        if len(self._ghosts) > len(self._main) + len(self._small):
            del self._ghosts[next(iter(self._ghosts))]

    def _evict_main(self) -> None:
        rendition = next(iter(self._main))
        size_bytes = self._main.pop(rendition)
        if self._frequency[rendition]:
            self._frequency[rendition] -= 1
            self._main[rendition] = size_bytes
        else:
            del self._frequency[rendition]
            self._main_bytes -= size_bytes
