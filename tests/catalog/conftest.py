"""A migrated database per test module, and the catalog's parts on it."""

import asyncio
import itertools
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from argon2 import PasswordHasher
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from catalog.aliases import Aliases
from catalog.browse import Browse
from catalog.changes import Changes
from catalog.curation import Curation
from catalog.database import Database
from catalog.merging import Merging
from catalog.metrics import CatalogMetrics
from catalog.migrate import migrate
from catalog.playback import Playback
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.resuming.heartbeats import Heartbeats
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.points import Resume
from catalog.search import Search
from catalog.sessions.issuing import Issuer
from catalog.sessions.listeners import Listeners
from catalog.sessions.logins import Logins
from catalog.sessions.metrics import SessionMetrics
from catalog.sessions.passwords import Passwords
from catalog.sessions.sessions import Sessions
from catalog.signed_manifests import ManifestMetrics, SignedManifests
from catalog.songs import Songs
from catalog.takedown import Takedown
from reprise.ids import uuid7
from reprise.manifests import key_id_of
from reprise.session_tokens import Verifier

CURSOR_KEY = b"k" * 32
REFRESH_KEY = b"r" * 32
SESSION_KEY = Ed25519PrivateKey.from_private_bytes(b"s" * 32)
# As safe as the data of a test.
QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
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
def curation(database: Database, metrics: CatalogMetrics) -> Curation:
    changes = Changes(database, CURSOR_KEY, metrics)
    return Curation(Takedown(database, metrics), Merging(database, metrics), Aliases(database), changes)


@pytest.fixture
def resume_metrics(registry: CollectorRegistry) -> ResumeMetrics:
    return ResumeMetrics(registry)


@pytest.fixture
def resume(database: Database, resume_metrics: ResumeMetrics) -> Resume:
    """Without Valkey and without a spool."""
    heartbeats = Heartbeats(database, None, resume_metrics)
    return Resume(database, heartbeats, None, lambda *_: None, CURSOR_KEY, resume_metrics, time.time)


@pytest.fixture
def verifier() -> Verifier:
    return Verifier({key_id_of(SESSION_KEY.public_key()): SESSION_KEY.public_key()})


@pytest.fixture
def listeners(verifier: Verifier) -> Listeners:
    return Listeners(verifier, time.time, anonymous=True)


@pytest.fixture
def session_metrics(registry: CollectorRegistry) -> SessionMetrics:
    return SessionMetrics(registry)


@pytest.fixture
def sessions(database: Database, session_metrics: SessionMetrics) -> Sessions:
    issuer = Issuer(SESSION_KEY, time.time)
    return Sessions(database, issuer, REFRESH_KEY, new_id, secrets.token_bytes, session_metrics)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(QUICK_HASHER)
    yield made
    made.close()


@pytest.fixture
def logins(database: Database, sessions: Sessions, passwords: Passwords, session_metrics: SessionMetrics) -> Logins:
    return Logins(database, sessions, passwords, new_id, time.monotonic, session_metrics)


@pytest.fixture
def playback(database: Database, registry: CollectorRegistry) -> Playback:
    """Over a store that is never asked."""
    return Playback(database, SignedManifests(None, "none", 1 << 20, ManifestMetrics(registry)))
