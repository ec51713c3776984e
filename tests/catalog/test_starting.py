"""A catalog starts on whatever servers there are: on a promoted standby, and on a standby alone for reads."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.migrate import is_current
from catalog.starting import start
from reprise.config import ConfigError
from reprise.engines.postgres import create_database, promote
from reprise.errors import Unavailable
from tests.support.replication import Replicated, replicated
from tests.support.wait import eventually

NAME = "catalog"


def database_on(*servers: Replicated) -> Database:
    dsns = [server.dsn(NAME) for server in servers]
    return Database(
        dsns[0],
        CatalogMetrics(CollectorRegistry()),
        connections_max=2,
        connect_timeout_s=5,
        statement_timeout_s=5,
        replicas=[f"here={dsn}" for dsn in dsns[1:]],
    )


async def started(*servers: Replicated, wait_s: float = 0) -> Database:
    database = database_on(*servers)
    try:
        await start(database, servers[0].dsn(NAME), wait_s=wait_s, connect_timeout_s=5)
    except ConfigError:
        await database.close()
        raise
    return database


async def has_schema(server: Replicated) -> bool:
    database = database_on(server)
    try:
        return await database.read(is_current)
    except Unavailable:
        return False
    finally:
        await database.close()


async def test_a_catalog_starts_wherever_the_primary_is_and_for_reads_where_there_is_none(tmp_path: Path) -> None:
    with replicated(tmp_path) as (primary, standby):
        await create_database(primary.dsn("postgres"), NAME)
        # The server that the setting names is a standby: the schema goes to the primary, and comes from there.
        database = await started(standby, primary, wait_s=10)
        assert await database.write(is_current)
        await database.close()
        await eventually(lambda: has_schema(standby), "the standby has the schema")

        primary.kill()
        database = await started(primary, standby)
        assert database.missing == ""
        assert await database.read(is_current)
        with pytest.raises(Unavailable):
            await database.write(is_current)
        await promote(standby.dsn("postgres"))
        watching = asyncio.create_task(database.watch())
        await eventually(lambda: can_write(database), "writes are back")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await database.close()


async def can_write(database: Database) -> bool:
    try:
        return await database.write(is_current)
    except Unavailable:
        return False


async def test_without_a_schema_a_standby_is_not_enough(postgres_dsn: str) -> None:
    database = Database(
        "postgresql://x@127.0.0.1:1/x",
        CatalogMetrics(CollectorRegistry()),
        connections_max=1,
        connect_timeout_s=1,
        statement_timeout_s=1,
        replicas=["here=postgresql://x@127.0.0.1:2/x"],
    )
    with pytest.raises(ConfigError, match="postgres_dsn: the database cannot be used"):
        await start(database, "postgresql://x@127.0.0.1:1/x", wait_s=0, connect_timeout_s=1)
    await database.close()


@pytest.mark.parametrize(
    "entry", ["postgresql://x@y/z", "=postgresql://x@y/z", "eu=mysql://x", "eu=", "e u=postgresql://x"]
)
def test_a_replica_without_region_or_dsn_is_refused_without_showing_its_password(entry: str) -> None:
    with pytest.raises(ConfigError, match="postgres_replicas") as caught:
        Database(
            "postgresql://x",
            CatalogMetrics(CollectorRegistry()),
            connections_max=1,
            connect_timeout_s=1,
            statement_timeout_s=1,
            replicas=[entry],
        )
    assert "//" not in str(caught.value).replace("=postgresql://...", "")


async def test_a_malformed_replica_ends_the_start(postgres_dsn: str) -> None:
    database = Database(
        postgres_dsn,
        CatalogMetrics(CollectorRegistry()),
        connections_max=1,
        connect_timeout_s=1,
        statement_timeout_s=1,
        replicas=["eu=postgresql://x:secret@y:port/z"],
    )
    with pytest.raises(ConfigError, match="malformed where it names 'y:port'"):
        await start(database, postgres_dsn, wait_s=0, connect_timeout_s=1)
    await database.close()
