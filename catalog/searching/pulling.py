"""Brings a published index to this machine: what is not here yet is fetched, a few files at a time, and checked."""

import asyncio

from catalog.searching.index_folder import IndexFolder, View
from catalog.searching.index_store import IndexStore
from catalog.searching.manifest import IndexFile, IndexManifest

DOWNLOADS_MAX = 4


async def pull(store: IndexStore, folder: IndexFolder, manifest: IndexManifest, have: View | None) -> tuple[View, int]:
    """The view of `manifest`, made of what `have` shares with it and of the store, and the bytes that were fetched.

    Raises Unavailable, NotFound (it is no longer the published one), DataCorrupt, or OSError when the disk fails. What came in
    by then is kept for the next attempt.
    """
    missing = await asyncio.to_thread(folder.take_over, manifest, have)
    turns = asyncio.Semaphore(DOWNLOADS_MAX)

    async def fetch(file: IndexFile) -> None:
        async with turns:
            path = folder.incoming(file)
            part = path.with_suffix(".part")
            await store.download(manifest.generation, file, part)
            part.rename(path)

    fetches = [asyncio.ensure_future(fetch(file)) for file in missing]
    try:
        await asyncio.gather(*fetches)
    finally:
        for each in fetches:
            each.cancel()
        await asyncio.gather(*fetches, return_exceptions=True)
    view = await asyncio.to_thread(folder.complete, manifest, have)
    return view, sum(file.size_bytes for file in missing)
