"""`python -m catalog`: builds the catalog from its settings and runs it."""

import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from catalog import cards
from catalog.admin_servicer import CatalogAdminServicer
from catalog.aliases import Aliases
from catalog.browse import Browse
from catalog.changes import Changes
from catalog.covers import Covers
from catalog.curation import Curation
from catalog.database import Database
from catalog.merging import Merging
from catalog.metrics import CatalogMetrics
from catalog.model import COVERS_PATH
from catalog.operators import Operators
from catalog.playback import Playback
from catalog.plays import Plays
from catalog.pruning import Pruning
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.resuming.heartbeats import Heartbeats
from catalog.resuming.hot_points import HotPoints
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.pipelining import Pipelining, connect
from catalog.resuming.points import Resume
from catalog.resuming.replay import Replayer
from catalog.resuming.spool import Spool
from catalog.search import Search
from catalog.searching import opensearch_client
from catalog.searching.backend import SearchIndex
from catalog.searching.backend_settings import OPENSEARCH
from catalog.searching.index_folder import IndexFolder
from catalog.searching.index_store import IndexStore
from catalog.searching.manifest import THIS_BUILD
from catalog.searching.opensearch_index import OpenSearchIndex
from catalog.searching.replica import Replica, ReplicaMetrics
from catalog.searching.tantivy_index import TantivyIndex
from catalog.servicer import CatalogServicer
from catalog.sessions.issuing import Issuer
from catalog.sessions.listeners import Listeners
from catalog.sessions.logins import Logins
from catalog.sessions.metrics import SessionMetrics
from catalog.sessions.passwords import Passwords
from catalog.sessions.servicer import SessionServicer
from catalog.sessions.sessions import Sessions
from catalog.settings import Settings
from catalog.signed_manifests import ManifestMetrics, SignedManifests
from catalog.songs import Songs
from catalog.starting import start
from catalog.takedown import Takedown
from reprise import s3
from reprise.catalog.v1.catalog_service_pb2_grpc import (
    add_CatalogAdminServiceServicer_to_server,
    add_CatalogServiceServicer_to_server,
    add_SessionServiceServicer_to_server,
)
from reprise.clients import Clients
from reprise.config import read_key, read_public_keys
from reprise.grants import OPERATOR, derive_key
from reprise.http_message import Route
from reprise.ids import uuid7
from reprise.manifests import key_id_of
from reprise.metrics import LoopLag
from reprise.service import App, main
from reprise.session_tokens import Verifier

# No edge id contains a slash, so no edge's key is one of these.
CURSOR_KEY_OWNER = "catalog/cursor"
REFRESH_KEY_OWNER = "catalog/refresh"


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The catalog, connected and migrated, ready to listen."""
    mesh_key = read_key(settings.mesh_key_path, "mesh_key_path")
    cursor_key = derive_key(mesh_key, CURSOR_KEY_OWNER)
    registry = CollectorRegistry()
    metrics = CatalogMetrics(registry)
    async with AsyncExitStack() as stack:
        database = await _open_database(settings, metrics, stack)
        bucket = s3.Bucket(settings.s3_endpoint, settings.s3_bucket, settings.s3_credentials_path)
        store = await stack.enter_async_context(s3.client(bucket))
        covers = Covers(store, bucket.name, settings.cover_cache_bytes_max, metrics)
        manifests = SignedManifests(store, bucket.name, settings.manifest_cache_bytes_max, ManifestMetrics(registry))
        stack.push_async_callback(manifests.close)
        index, following = await _open_index(settings, IndexStore(store, bucket.name), registry, stack)
        publisher = Publisher(database, _new_id, metrics)
        accounts = _Accounts(settings, database, derive_key(mesh_key, REFRESH_KEY_OWNER), registry, stack)
        plays = Plays(database, registry)
        resuming = _Resuming(settings, database, plays, cursor_key, registry)
        stack.push_async_callback(resuming.close)
        operators = Operators(derive_key(mesh_key, OPERATOR), time.time)
        servicer = CatalogServicer(
            Search(database, index, cursor_key, metrics),
            Browse(database, cursor_key),
            Songs(database),
            Playback(database, manifests),
            resuming.resume,
            accounts.listeners,
            operators,
        )
        releases, changes = Releases(database, cursor_key, metrics), Changes(database, cursor_key, metrics)
        curation = Curation(Takedown(database, metrics), Merging(database, metrics), Aliases(database), changes)
        admin = CatalogAdminServicer(publisher, releases, curation, accounts.logins, operators)
        pruning = Pruning(database, metrics)
        loop_lag = LoopLag("catalog")
        yield App(
            name="catalog",
            settings=settings,
            servicers=(
                (add_CatalogServiceServicer_to_server, servicer),
                (add_SessionServiceServicer_to_server, accounts.servicer),
                (add_CatalogAdminServiceServicer_to_server, admin),
            ),
            registry=registry,
            routes=(Route(COVERS_PATH, covers.handle),),
            ready=lambda: database.missing,
            background=(
                *(
                    database.watch,
                    partial(cards.keep_filled, database),
                    accounts.sessions.sweep,
                    changes.listen,
                    pruning.run,
                    loop_lag.run,
                ),
                *resuming.background,
                *following,
            ),
            drain=changes.stop,
            loop_lag=loop_lag,
        )


async def _open_database(settings: Settings, metrics: CatalogMetrics, stack: AsyncExitStack) -> Database:
    """The database, with this build's schema."""
    connect_timeout_s = settings.database_connect_timeout_s
    database = Database(
        settings.postgres_dsn,
        metrics,
        connections_max=settings.database_connections_max,
        connect_timeout_s=connect_timeout_s,
        statement_timeout_s=settings.database_statement_timeout_s,
        replicas=settings.postgres_replicas,
        region=settings.region,
        lag_s_max=settings.replica_lag_s_max,
    )
    stack.push_async_callback(database.close)
    wait_s = settings.database_wait_s
    await start(database, settings.postgres_dsn, wait_s=wait_s, connect_timeout_s=connect_timeout_s)
    return database


async def _open_index(
    settings: Settings, store: IndexStore, registry: CollectorRegistry, stack: AsyncExitStack
) -> tuple[SearchIndex | None, Sequence[Callable[[], Coroutine[Any, Any, None]]]]:
    """What answers searches, and what keeps it up to date: a cluster, the copy in `index_dir`, or without one, nothing."""
    if settings.search_backend == OPENSEARCH:
        cluster = opensearch_client.async_client(settings)
        stack.push_async_callback(cluster.close)
        return OpenSearchIndex(cluster, opensearch_client.alias_of(settings)), ()
    if settings.index_dir is None:
        return None, ()
    folder, engine = IndexFolder(settings.index_dir), TantivyIndex()
    stack.callback(folder.close)
    stack.callback(engine.close)
    folder.open()
    replica = Replica(store, folder, engine, THIS_BUILD, ReplicaMetrics(registry))
    await replica.open()
    return replica, (replica.run,)


class _Resuming:
    """Resume points, and what brings them to the database."""

    def __init__(
        self, settings: Settings, database: Database, plays: Plays, cursor_key: bytes, registry: CollectorRegistry
    ) -> None:
        metrics = ResumeMetrics(registry)
        self._hot: HotPoints | None = None
        if settings.valkey_url:
            self._hot = HotPoints(Pipelining(connect(settings.valkey_url), metrics), metrics)
        self._heartbeats = Heartbeats(database, self._hot, metrics)
        self._spool: Spool | None = None
        self.background: tuple[Callable[[], Coroutine[Any, Any, None]], ...] = (self._heartbeats.run, plays.run)
        if settings.spool_dir is not None:
            self._spool = Spool(settings.spool_dir, settings.spool_bytes_max, metrics, time.time)
            self.background += (Replayer(database, self._spool, metrics).run,)
        self.resume = Resume(database, self._heartbeats, self._spool, plays.note, cursor_key, metrics, time.time)

    async def close(self) -> None:
        await self._heartbeats.close()
        if self._spool is not None:
            await self._spool.close()
        if self._hot is not None:
            await self._hot.close()


class _Accounts:
    """Who listens, and how they say so."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        refresh_key: bytes,
        registry: CollectorRegistry,
        stack: AsyncExitStack,
    ) -> None:
        metrics = SessionMetrics(registry)
        key = Ed25519PrivateKey.from_private_bytes(read_key(settings.session_key_path, "session_key_path"))
        keys = {key_id_of(key.public_key()): key.public_key()}
        if settings.session_keys_path:
            keys |= read_public_keys(settings.session_keys_path, "session_keys_path")
        self.listeners = Listeners(Verifier(keys), time.time, anonymous=settings.anonymous_listeners)
        issuer = Issuer(key, time.time)
        self.sessions = Sessions(database, issuer, refresh_key, _new_id, secrets.token_bytes, metrics)
        passwords = Passwords()
        stack.callback(passwords.close)
        self.logins = Logins(database, self.sessions, passwords, _new_id, time.monotonic, metrics)
        self.servicer = SessionServicer(self.logins, self.sessions, Clients(settings.trusted_proxies))


def _new_id() -> uuid.UUID:
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(80))


if __name__ == "__main__":
    main("catalog", Settings, build)
