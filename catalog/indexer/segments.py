"""A Tantivy index on its way out: from the writer's folder through S3 to every catalog.

Segments never change once they are committed, so a publication uploads what is new and replaces the manifest. The writer goes
on meanwhile: the published files are linked away first, where its merges cannot delete them.

Invariants: the manifest is replaced only by whoever replaced it last, so an indexer that was superseded can change nothing that
searchers see; a file is uploaded before a manifest names it, and anew whenever the manifest before did not, so that it cannot
be garbage by then.
"""

import asyncio
import json
import secrets
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from catalog.indexer.garbage import Garbage
from catalog.indexer.generation import Generation
from catalog.indexer.metrics import IndexerMetrics
from catalog.indexer.target import Size
from catalog.searching.backend import IndexWriter
from catalog.searching.index_folder import IndexFolder, View
from catalog.searching.index_store import IndexStore, Published
from catalog.searching.manifest import IndexFile, IndexManifest, Versions
from catalog.searching.pulling import pull
from catalog.searching.sealed import link_sealed
from reprise.errors import DataCorrupt, NotFound
from reprise.log import get_logger
from reprise.s3 import search_file_key

log = get_logger()

UPLOADS_MAX = 8


class SegmentTarget:
    """The index in S3. `work` is a folder for writers' files, on the same disk as the views of `folder`."""

    backend = "tantivy"

    def __init__(
        self,
        store: IndexStore,
        folder: IndexFolder,
        work: Path,
        open_writer: Callable[[Path], IndexWriter],
        versions: Versions,
        garbage: Garbage,
        now: Callable[[], float],
        metrics: IndexerMetrics,
    ) -> None:
        self._store = store
        self._folder = folder
        self._work = work
        self._open_writer = open_writer
        self._versions = versions
        self._garbage = garbage
        self._now = now
        self._metrics = metrics
        self._published: Published | None = None
        # Of this process' own making, so its bytes are known to be right.
        self._view: View | None = None

    @property
    def size(self) -> Size:
        manifest = self._published.manifest if self._published else None
        return Size(manifest.documents, manifest.size_bytes, manifest.number) if manifest else Size()

    async def take_over(self) -> Generation | None:
        """Counts the epoch up, which shuts out whoever wrote before. Then goes on from what is published, not from files of
        its own: another one may have written since. What changed in between is in the outbox."""
        await asyncio.to_thread(shutil.rmtree, self._work, ignore_errors=True)
        self._published = await self._store.current()
        if self._published is None:
            return None
        last = self._published.manifest
        manifest = replace(last, epoch=last.epoch + 1, number=last.number + 1)
        self._published = await self._store.replace(manifest, self._published.etag)
        log.info("index_taken_over", generation=manifest.generation, epoch=manifest.epoch)
        if manifest.versions != self._versions:
            log.warning("index_of_other_versions", published=str(manifest.versions), this_build=str(self._versions))
            return None
        try:
            view = await self._bring(manifest)
            path = await asyncio.to_thread(_writable, view, self._work / manifest.generation)
            return await self._open(manifest.generation, path)
        except (NotFound, DataCorrupt) as error:
            log.error("index_unusable", reason=error.message)
            return None

    async def begin(self) -> Generation:
        """An empty index of a new name."""
        name = secrets.token_hex(16)
        path = self._work / name
        path.mkdir(mode=0o700, parents=True)
        return await self._open(name, path)

    async def publish(self, generation: Generation) -> None:
        """Uploads what is new and replaces the manifest."""
        assert generation.path is not None
        last = self._published.manifest if self._published else None
        shared = last.files if last and last.generation == generation.name else ()
        sealed = await asyncio.to_thread(link_sealed, generation.path, self._work / "sealed", shared)
        manifest = IndexManifest(
            generation=generation.name,
            epoch=last.epoch if last else 1,
            number=last.number + 1 if last else 1,
            versions=self._versions,
            checkpoint=generation.checkpoint,
            documents=sealed.documents,
            files=sealed.files,
        )
        await self._upload(manifest, set(shared), sealed.path)
        self._published = await self._store.replace(manifest, self._published.etag if self._published else "")
        self._view = await asyncio.to_thread(self._folder.keep, manifest, sealed.path)
        await asyncio.to_thread(self._folder.drop_all_but, self._view)

    async def tidy(self) -> None:
        """Deletes files that no manifest has named for a while."""
        if self._published is None:
            return
        manifest = self._published.manifest
        named = [search_file_key(manifest.generation, file.sha256) for file in manifest.files]
        due = self._garbage.due(await self._store.stored(), named, self._now())
        await self._store.delete(due)
        self._metrics.deleted_files.inc(len(due))

    async def _bring(self, manifest: IndexManifest) -> View:
        if self._view is None and (found := await asyncio.to_thread(self._folder.newest)):
            if damaged := await asyncio.to_thread(self._folder.damaged, found):
                log.warning("index_files_damaged", files=damaged)
            self._view = found
        self._view, fetched = await pull(self._store, self._folder, manifest, self._view)
        self._metrics.fetched_bytes.inc(fetched)
        await asyncio.to_thread(self._folder.drop_all_but, self._view)
        return self._view

    async def _open(self, name: str, path: Path) -> Generation:
        return Generation(name, await asyncio.to_thread(self._open_writer, path), path)

    async def _upload(self, manifest: IndexManifest, shared: set[IndexFile], path: Path) -> None:
        turns = asyncio.Semaphore(UPLOADS_MAX)

        async def upload(file: IndexFile) -> None:
            async with turns:
                await self._store.upload(manifest.generation, file, path / file.name)
                self._metrics.uploaded_bytes.inc(file.size_bytes)

        async with asyncio.TaskGroup() as group:
            for file in manifest.files:
                if file not in shared:
                    group.create_task(upload(file))


def _writable(view: View, path: Path) -> Path:
    """A writer's folder with the files of `view`. The list that the engine keeps of its files says which ones it may delete."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700, parents=True)
    names = [file.name for file in view.manifest.files]
    for name in names:
        (path / name).hardlink_to(view.path / name)
    (path / ".managed.json").write_text(json.dumps(names))
    return path
