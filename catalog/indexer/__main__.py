"""`python -m catalog.indexer`: builds the indexer from its settings and runs it."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import CollectorRegistry

from catalog.indexer.election import Election
from catalog.indexer.garbage import Garbage
from catalog.indexer.indexer import Indexer
from catalog.indexer.metrics import IndexerMetrics
from catalog.indexer.opensearch import OpenSearchTarget
from catalog.indexer.segments import SegmentTarget
from catalog.indexer.servicer import IndexServicer
from catalog.indexer.settings import Settings
from catalog.indexer.source import Source
from catalog.indexer.target import Target
from catalog.migrate import migrate
from catalog.operators import Operators
from catalog.searching import opensearch_client
from catalog.searching.backend_settings import OPENSEARCH
from catalog.searching.index_folder import IndexFolder
from catalog.searching.index_store import IndexStore
from catalog.searching.manifest import THIS_BUILD
from catalog.searching.tantivy_writer import TantivyWriter
from reprise import s3
from reprise.catalog.v1.catalog_service_pb2_grpc import add_IndexServiceServicer_to_server
from reprise.config import read_key
from reprise.grants import OPERATOR, derive_key
from reprise.metrics import LoopLag
from reprise.service import App, main


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The indexer, with the database migrated, ready to stand for the place."""
    mesh_key = read_key(settings.mesh_key_path, "mesh_key_path")
    registry = CollectorRegistry()
    metrics = IndexerMetrics(registry)
    connect_timeout_s = settings.database_connect_timeout_s
    await migrate(settings.postgres_dsn, wait_s=settings.database_wait_s, connect_timeout_s=connect_timeout_s)
    source = Source(settings.postgres_dsn, connect_timeout_s, settings.database_statement_timeout_s)
    async with AsyncExitStack() as stack:
        target = await _target(settings, metrics, stack)
        indexer = Indexer(source, Election(source), target, metrics)
        servicer = IndexServicer(indexer, Operators(derive_key(mesh_key, OPERATOR), time.time))
        loop_lag = LoopLag("indexer")
        yield App(
            name="indexer",
            settings=settings,
            servicers=((add_IndexServiceServicer_to_server, servicer),),
            registry=registry,
            ready=lambda: indexer.missing,
            background=(indexer.run, loop_lag.run),
            loop_lag=loop_lag,
        )


async def _target(settings: Settings, metrics: IndexerMetrics, stack: AsyncExitStack) -> Target:
    if settings.search_backend == OPENSEARCH:
        cluster = opensearch_client.client(settings)
        stack.callback(cluster.close)
        return OpenSearchTarget(cluster, opensearch_client.alias_of(settings))
    bucket = s3.Bucket(settings.s3_endpoint, settings.s3_bucket, settings.s3_credentials_path)
    client = await stack.enter_async_context(s3.client(bucket))
    folder = IndexFolder(settings.index_dir)
    stack.callback(folder.close)
    folder.open()
    return SegmentTarget(
        IndexStore(client, bucket.name),
        folder,
        settings.index_dir / "writing",
        TantivyWriter,
        THIS_BUILD,
        Garbage(settings.garbage_grace_s),
        time.monotonic,
        metrics,
    )


if __name__ == "__main__":
    main("indexer", Settings, build)
