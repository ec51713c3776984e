"""Reads a Tantivy index: tier by tier, the most popular first, on a few threads beside the event loop.

Engines search without Python's lock, so a search on a thread delays nobody else. More searches at once than threads wait, a
bounded number of them.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from catalog.searching.backend import Ask, Busy, Found, Place
from catalog.searching.tantivy_reading import Reading
from reprise.errors import Unavailable

THREADS = 2
WAITING_MAX = 64


class TantivyIndex:
    """The index that `reload` opened last; before that there is none, and `find` raises Unavailable."""

    def __init__(self, path: Path | None = None, *, threads: int = THREADS, waiting_max: int = WAITING_MAX) -> None:
        self._path = path
        self._reading: Reading | None = None
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="search")
        self._under_way_max = threads + waiting_max
        self._under_way = 0

    def reload(self, path: Path | None = None) -> None:
        """Opens the index in `path`, or where it was, as it is now; searches under way end on what they began with. Blocks.

        Raises NotReady when it was made by other versions, DataCorrupt when it cannot be read; then the last one stays in use.
        """
        folder = path or self._path
        assert folder is not None, "no folder was given yet"
        self._reading = Reading.open(folder)
        self._path = folder

    async def find(self, ask: Ask, count: int, after: Place | None) -> Found:
        """At most `count` songs behind `after`. Raises Unavailable (no index yet) or Busy."""
        reading = self._reading
        if reading is None:
            raise Unavailable("there is no search index yet", retry_after_s=1)
        if self._under_way >= self._under_way_max:
            raise Busy(f"{self._under_way} searches are under way already: try again", retry_after_s=1)
        self._under_way += 1
        search = asyncio.get_running_loop().run_in_executor(self._threads, reading.find, ask, count, after)
        # Counted until it ends, also when nobody waits for it any longer.
        search.add_done_callback(self._ended)
        return await search

    def close(self) -> None:
        """Ends the threads when what they do is done."""
        self._threads.shutdown(wait=False)

    def _ended(self, _: "asyncio.Future[Found]") -> None:
        self._under_way -= 1
