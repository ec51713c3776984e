"""`python -m catalog`: builds the catalog from its settings and runs it."""

import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from prometheus_client import CollectorRegistry

from catalog.admin_servicer import CatalogAdminServicer
from catalog.browse import Browse
from catalog.covers import Covers
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.migrate import migrate
from catalog.model import COVERS_PATH
from catalog.operators import Operators
from catalog.progress import Progress
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.search import Search
from catalog.servicer import CatalogServicer
from catalog.settings import Settings
from catalog.songs import Songs
from reprise import s3
from reprise.catalog.v1.catalog_service_pb2_grpc import (
    add_CatalogAdminServiceServicer_to_server,
    add_CatalogServiceServicer_to_server,
)
from reprise.config import read_key
from reprise.grants import OPERATOR, derive_key
from reprise.http_message import Route
from reprise.ids import uuid7
from reprise.metrics import LoopLag
from reprise.service import App, main

# No edge id contains a slash, so no edge's key is this one.
CURSOR_KEY_OWNER = "catalog/cursor"


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The catalog, connected and migrated, ready to listen."""
    mesh_key = read_key(settings.mesh_key_path, "mesh_key_path")
    cursor_key = derive_key(mesh_key, CURSOR_KEY_OWNER)
    registry = CollectorRegistry()
    metrics = CatalogMetrics(registry)
    connect_timeout_s = settings.database_connect_timeout_s
    await migrate(settings.postgres_dsn, wait_s=settings.database_wait_s, connect_timeout_s=connect_timeout_s)
    async with AsyncExitStack() as stack:
        database = Database(
            settings.postgres_dsn,
            metrics,
            connections_max=settings.database_connections_max,
            connect_timeout_s=connect_timeout_s,
            statement_timeout_s=settings.database_statement_timeout_s,
        )
        stack.push_async_callback(database.close)
        await database.probe()
        bucket = s3.Bucket(settings.s3_endpoint, settings.s3_bucket, settings.s3_credentials_path)
        covers = Covers(
            await stack.enter_async_context(s3.client(bucket)), bucket.name, settings.cover_cache_bytes_max, metrics
        )
        publisher = Publisher(database, lambda: uuid7(time.time_ns() // 1_000_000, secrets.randbits(80)), metrics)
        operators = Operators(derive_key(mesh_key, OPERATOR), time.time)
        servicer = CatalogServicer(
            Search(database, None, cursor_key, metrics),
            Browse(database, cursor_key),
            Songs(database),
            Progress(database, metrics),
            operators,
        )
        admin = CatalogAdminServicer(publisher, Releases(database, cursor_key, metrics), operators)
        loop_lag = LoopLag("catalog")
        yield App(
            name="catalog",
            settings=settings,
            servicers=(
                (add_CatalogServiceServicer_to_server, servicer),
                (add_CatalogAdminServiceServicer_to_server, admin),
            ),
            registry=registry,
            routes=(Route(COVERS_PATH, covers.handle),),
            ready=lambda: database.missing,
            background=(database.watch, loop_lag.run),
            loop_lag=loop_lag,
        )


if __name__ == "__main__":
    main("catalog", Settings, build)
