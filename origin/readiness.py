"""Whether S3 answers for our bucket: asked every two seconds, so that a readiness probe costs nothing."""

import asyncio

from origin.store import Store

CHECK_S = 2.0


class Readiness:
    """`missing` is empty when the origin can do its work, else it says why not."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.missing = "S3 has not answered yet"

    async def watch(self) -> None:
        """Keeps `missing` fresh until cancelled."""
        while True:
            self.missing = await self._store.check()
            await asyncio.sleep(CHECK_S)
