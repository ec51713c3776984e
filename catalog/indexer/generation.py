"""One index while it is written: its engine's writer, on a thread of its own, because engines write without yielding."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar
from uuid import UUID

from catalog.model import EntityKind
from catalog.searching.backend import IndexWriter
from catalog.searching.documents import Entry
from reprise.errors import Unavailable

T = TypeVar("T")


class Generation:
    """An index that takes entries. Calls run one after the other, each to its end even when nobody waits for it any longer."""

    def __init__(self, name: str, writer: IndexWriter, path: Path | None = None) -> None:
        self.name = name
        # Where the writer has its files; None for an engine that keeps them elsewhere.
        self.path = path
        self._writer = writer
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"index-{name[:8]}")
        self.checkpoint = writer.checkpoint

    async def apply(self, entries: Sequence[Entry], gone: Sequence[tuple[EntityKind, UUID]]) -> None:
        """Puts entries in and takes out what is gone, for the next `commit`."""
        await self._run(lambda: self._writer.apply(entries, gone))

    async def commit(self, checkpoint: str) -> None:
        """Makes what was applied durable, with the checkpoint."""
        await self._run(lambda: self._writer.commit(checkpoint))
        self.checkpoint = checkpoint

    async def close(self) -> None:
        """Ends writing; what was not committed is dropped."""
        await self._run(self._writer.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except (ValueError, OSError) as error:  # what engines raise when a disk fails, or their own files
            raise Unavailable(f"the search index cannot be written: {error}", retry_after_s=1) from None
