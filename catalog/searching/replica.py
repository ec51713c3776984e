"""A catalog's copy of the search index: follows what the indexer publishes, and answers from what it has.

Whatever fails - the store, the disk, the indexer - the last good copy goes on answering; without any, `find` raises Unavailable
and the catalog searches by the database. An index of other versions than this build's is never opened: names would be compared
that were made differently.

Invariants: finds see one view from beginning to end; a view is swapped in whole, after every file of it was checked.
"""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge

from catalog.searching.backend import Ask, Found, Place, SearchIndex
from catalog.searching.index_folder import IndexFolder, View
from catalog.searching.index_store import IndexStore
from catalog.searching.manifest import IndexManifest, Versions
from catalog.searching.pulling import pull
from reprise.errors import RepriseError, Unavailable
from reprise.log import get_logger

log = get_logger()

POLL_S = 0.5
# After a failure, which is logged, longer.
RETRY_S = 2.0


class ReplicaMetrics:
    """What replicas count."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.pulls = Counter(
            "reprise_catalog_index_pulls_total",
            "New versions of the search index by outcome: opened, failed or other_versions",
            ["outcome"],
            registry=registry,
        )
        self.fetched_bytes = Counter(
            "reprise_catalog_index_fetched_bytes_total", "Bytes of index files fetched from S3", registry=registry
        )
        self.damaged_files = Counter(
            "reprise_catalog_index_damaged_files_total",
            "Files of the local copy that were not as they should be, and were fetched anew",
            registry=registry,
        )
        self.documents = Gauge(
            "reprise_catalog_index_documents", "Documents in the search index in use; 0 without one", registry=registry
        )
        self.publication = Gauge(
            "reprise_catalog_index_publication", "Number of the publication in use; 0 without one", registry=registry
        )
        self.size_bytes = Gauge(
            "reprise_catalog_index_size_bytes", "Bytes of the search index in use; 0 without one", registry=registry
        )


class Engine(SearchIndex, Protocol):
    """Reads an index on local disk."""

    def reload(self, path: Path) -> None:
        """Opens the index in `path`; finds under way end on what they began with. Raises NotReady, DataCorrupt."""


class Replica:
    """A SearchIndex."""

    def __init__(
        self,
        store: IndexStore,
        folder: IndexFolder,
        engine: Engine,
        versions: Versions,
        metrics: ReplicaMetrics,
    ) -> None:
        self._store = store
        self._folder = folder
        self._engine = engine
        self._versions = versions
        self._metrics = metrics
        self._usable = False
        self._view: View | None = None
        self._etag = ""
        # Why there is no index, or none newer than the one in use; empty when nothing is wrong.
        self.trouble = "no search index was published yet"

    @property
    def manifest(self) -> IndexManifest | None:
        """Of the index in use."""
        return self._view.manifest if self._usable and self._view else None

    async def find(self, ask: Ask, count: int, after: Place | None) -> Found:
        """As `SearchIndex`."""
        if not self._usable:
            raise Unavailable(f"the search index is not available: {self.trouble}")
        return await self._engine.find(ask, count, after)

    async def open(self) -> None:
        """Opens the copy of the last run, so that answers do not wait for the store. Never raises for what is wrong with it.

        Every byte is looked at before: an engine that meets a damaged file may end the process.
        """
        view = await asyncio.to_thread(self._folder.newest)
        if view is None:
            return
        # What is good in it need not be fetched again.
        self._use(view, usable=False)
        if damaged := await asyncio.to_thread(self._folder.damaged, view):
            self._metrics.damaged_files.inc(len(damaged))
            self._note(f"the local copy is damaged: {', '.join(damaged)}")
        elif view.manifest.versions == self._versions:
            try:
                await self._open(view)
            except (RepriseError, OSError) as error:
                self._note(f"the local copy cannot be opened: {error}")

    async def run(self) -> None:
        """Follows what is published, until cancelled."""
        while True:
            try:
                await self._follow()
                pause_s = POLL_S
            except (RepriseError, OSError) as error:
                self._metrics.pulls.labels("failed").inc()
                self._note(f"the published one cannot be used: {error}")
                pause_s = RETRY_S
            await asyncio.sleep(pause_s)

    async def _follow(self) -> None:
        published = await self._store.newer(self._etag)
        if published is None:
            return
        manifest = published.manifest
        if manifest.versions != self._versions:
            self._metrics.pulls.labels("other_versions").inc()
            self._note(f"the published one is of {manifest.versions}, this build reads {self._versions}")
        elif self._usable and self._view and self._view.manifest.files == manifest.files:
            self._use(replace(self._view, manifest=manifest), usable=True)
        else:
            view, fetched = await pull(self._store, self._folder, manifest, self._view)
            self._metrics.fetched_bytes.inc(fetched)
            await self._open(view)
            await asyncio.to_thread(self._folder.drop_all_but, view)
            self._metrics.pulls.labels("opened").inc()
        self._etag = published.etag

    async def _open(self, view: View) -> None:
        await asyncio.to_thread(self._engine.reload, view.path)
        self._use(view, usable=True)
        self._note("")

    def _use(self, view: View, *, usable: bool) -> None:
        self._view, self._usable = view, usable
        self._metrics.documents.set(view.manifest.documents if usable else 0)
        self._metrics.size_bytes.set(view.manifest.size_bytes if usable else 0)
        self._metrics.publication.set(view.manifest.number if usable else 0)

    def _note(self, trouble: str) -> None:
        """Keeps what is wrong, and logs it once."""
        if trouble and trouble != self.trouble:
            log.warning("search_index", trouble=trouble)
        self.trouble = trouble
