"""An edge's store that dies by SIGKILL half-way through its n-th write: `spill_until_killed.py CACHE_DIR N`."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.edge_node.stores import cache, make_song, open_store


class DyingDisk:
    """Writes half of the n-th piece, and that was its last deed."""

    def __init__(self, writes: int) -> None:
        self._left = writes

    def __call__(self, fd: int, data: bytes, offset: int) -> int:
        self._left -= 1
        if self._left == 0:
            os.pwrite(fd, data[: len(data) // 2], offset)
            os.kill(os.getpid(), signal.SIGKILL)
        return os.pwrite(fd, data, offset)


async def main(cache_dir: Path, writes: int) -> None:
    async with open_store(cache_dir, pwrite=DyingDisk(writes)) as store:
        for seed in range(100):
            await cache(store, make_song(12, seed))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
