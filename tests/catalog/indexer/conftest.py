"""An index service on a real database and store, its parts put together by hand; `test_processes` has it as processes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from catalog import query
from catalog.indexer.election import Election
from catalog.indexer.garbage import Garbage
from catalog.indexer.indexer import Indexer
from catalog.indexer.metrics import IndexerMetrics
from catalog.indexer.segments import SegmentTarget
from catalog.indexer.source import Source
from catalog.searching.backend import Ask
from catalog.searching.index_folder import IndexFolder
from catalog.searching.index_store import IndexStore
from catalog.searching.manifest import THIS_BUILD, Versions
from catalog.searching.replica import Replica, ReplicaMetrics
from catalog.searching.tantivy_index import TantivyIndex
from catalog.searching.tantivy_writer import TantivyWriter
from reprise import s3
from reprise.errors import Unavailable
from tests.support.wait import wait_until

NOW_MS = 1_800_000_000_000


@dataclass
class Site:
    """One database and one bucket, and any number of indexers and replicas on them."""

    dsn: str
    bucket: str
    client: Any
    folder: Path

    @property
    def store(self) -> IndexStore:
        return IndexStore(self.client, self.bucket)

    @asynccontextmanager
    async def indexer(self, name: str = "indexer", grace_s: float = 300) -> AsyncIterator[Indexer]:
        """An indexer that runs until the end of the context."""
        async with self.parts(name, grace_s) as (indexer, _):
            task = asyncio.create_task(indexer.run())
            try:
                yield indexer
            finally:
                task.cancel()
                await asyncio.wait([task])

    @asynccontextmanager
    async def parts(self, name: str, grace_s: float = 300) -> AsyncIterator[tuple[Indexer, SegmentTarget]]:
        """An indexer that does not run, and its target."""
        metrics = IndexerMetrics(CollectorRegistry())
        source = Source(self.dsn, 5, 30)
        folder = IndexFolder(self.folder / name)
        folder.open()
        work = self.folder / name / "writing"
        clock = asyncio.get_running_loop().time
        target = SegmentTarget(self.store, folder, work, TantivyWriter, THIS_BUILD, Garbage(grace_s), clock, metrics)
        try:
            yield Indexer(source, Election(source), target, metrics), target
        finally:
            folder.close()

    @asynccontextmanager
    async def replica(self, name: str = "replica", versions: Versions = THIS_BUILD) -> AsyncIterator["Reader"]:
        """A replica that runs until the end of the context."""
        folder = IndexFolder(self.folder / name)
        folder.open()
        registry = CollectorRegistry()
        engine = TantivyIndex()
        replica = Replica(self.store, folder, engine, versions, ReplicaMetrics(registry))
        await replica.open()
        task = asyncio.create_task(replica.run())
        try:
            yield Reader(replica, registry)
        finally:
            task.cancel()
            await asyncio.wait([task])
            engine.close()
            folder.close()


@dataclass
class Reader:
    """Somebody who searches by a replica."""

    replica: Replica
    registry: CollectorRegistry

    async def finds(self, text: str) -> bool:
        """Whether there is a song for `text`; False too while there is no index."""
        try:
            return bool((await self.replica.find(Ask(query.parse(text), NOW_MS), 10, None)).hits)
        except Unavailable:
            return False

    async def wait_finds(self, text: str, *, found: bool = True, deadline_s: float = 20) -> None:
        """Returns when a song for `text` is found, or no longer found."""
        end = asyncio.get_running_loop().time() + deadline_s
        while await self.finds(text) is not found:
            assert asyncio.get_running_loop().time() < end, f"{text!r} found is not {found}: {self.replica.trouble}"
            await asyncio.sleep(0.02)

    def counted(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(f"reprise_catalog_index_{name}_total", labels) or 0.0


@pytest.fixture
async def site(catalog_dsn: str, s3_bucket: s3.Bucket, tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        client = await stack.enter_async_context(s3.client(s3_bucket))
        yield Site(catalog_dsn, s3_bucket.name, client, tmp_path)
        await _empty(client, s3_bucket.name)


async def _empty(client: Any, bucket: str) -> None:
    async for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        objects = [{"Key": entry["Key"]} for entry in page.get("Contents", ())]
        if objects:
            await client.delete_objects(Bucket=bucket, Delete={"Objects": objects})


async def wait_writing(indexer: Indexer) -> None:
    """Returns when the indexer writes an index."""
    await wait_until(lambda: indexer._live is not None, "an index to write", 20)
