"""Imports what appears in folders, until it is cancelled: `python -m origin.ingest --watch FOLDER...`."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path

from origin.ingest.importer import Importer
from origin.ingest.scan import find_audio
from origin.ingest.settling import Settling, Stamp


async def watch(folders: Sequence[Path], every_s: float, new_importer: Callable[[int], Importer]) -> None:
    """Scans every `every_s` seconds; never returns. `new_importer` makes one for so many files.

    What S3 or the catalog kept from being imported is tried again at the next scan. Raises InvalidRequest when a
    folder is gone.
    """
    settling = Settling()
    while True:
        whole = [Path(path) for path in settling.take(await asyncio.to_thread(_scan, folders))]
        if whole:
            summary = await new_importer(len(whole)).run(whole)
            if summary.error:
                settling.put_back(map(str, whole))
        await asyncio.sleep(every_s)


def _scan(folders: Sequence[Path]) -> dict[str, Stamp]:
    found: dict[str, Stamp] = {}
    for path in find_audio(folders):
        try:
            status = path.stat()
        except FileNotFoundError:  # moved away since it was listed
            continue
        found[str(path)] = Stamp(status.st_size, status.st_mtime_ns)
    return found
