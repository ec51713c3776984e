"""A migrated database per test module, and the catalog's parts on it."""

import asyncio
import itertools
import secrets
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry

from catalog.browse import Browse
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.migrate import migrate
from catalog.progress import Progress
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.search import Search
from catalog.songs import Songs
from reprise.ids import uuid7

CURSOR_KEY = b"k" * 32
_ids = itertools.count(1)


def new_id() -> uuid.UUID:
    """Ids that grow with every call, within a millisecond too."""
    return uuid7(time.time_ns() // 1_000_000, next(_ids) % 4096 << 64 | secrets.randbits(62))


@pytest.fixture(scope="module")
def catalog_dsn(database_dsn: str) -> str:
    """A database with the catalog's schema."""
    asyncio.run(migrate(database_dsn, wait_s=10, connect_timeout_s=5))
    return database_dsn


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def metrics(registry: CollectorRegistry) -> CatalogMetrics:
    return CatalogMetrics(registry)


@pytest.fixture
async def database(catalog_dsn: str, metrics: CatalogMetrics) -> AsyncIterator[Database]:
    pool = Database(catalog_dsn, metrics, connections_max=24, connect_timeout_s=5, statement_timeout_s=10)
    yield pool
    await pool.close()


@pytest.fixture
def publisher(database: Database, metrics: CatalogMetrics) -> Publisher:
    return Publisher(database, new_id, metrics)


@pytest.fixture
def songs(database: Database) -> Songs:
    return Songs(database)


@pytest.fixture
def search(database: Database, metrics: CatalogMetrics) -> Search:
    return Search(database, None, CURSOR_KEY, metrics)


@pytest.fixture
def browse(database: Database) -> Browse:
    return Browse(database, CURSOR_KEY)


@pytest.fixture
def releases(database: Database, metrics: CatalogMetrics) -> Releases:
    return Releases(database, CURSOR_KEY, metrics)


@pytest.fixture
def progress(database: Database, metrics: CatalogMetrics) -> Progress:
    return Progress(database, metrics)
