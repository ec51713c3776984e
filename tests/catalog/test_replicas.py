"""A database on several real servers: who answers while one lags, dies, is promoted, or comes back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.database import Database, Position
from catalog.metrics import CatalogMetrics
from reprise.engines.postgres import create_database, promote
from reprise.errors import Unavailable
from tests.catalog.flaky_proxy import proxy
from tests.support.replication import Replicated, replicated
from tests.support.wait import eventually, wait_until

NAME = "catalog"


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Replicated]]:
    """A primary and its standby, as they are again after each test."""
    with replicated(tmp_path_factory.mktemp("pair")) as servers:
        asyncio.run(prepare(servers))
        yield servers


async def prepare(servers: list[Replicated]) -> None:
    """Both have the table."""
    primary, standby = servers
    await create_database(primary.dsn("postgres"), NAME)
    await tell(primary, "CREATE TABLE kept (x int)")

    async def has_the_table() -> bool:
        with suppress(asyncpg.InvalidCatalogNameError):
            return bool(await tell(standby, "SELECT to_regclass('kept') IS NOT NULL"))
        return False

    await eventually(has_the_table, "the standby has the table")


async def tell(server: Replicated, sql: str) -> Any:
    connection = await asyncpg.connect(server.dsn(NAME))
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


@asynccontextmanager
async def near_the_standby(
    servers: list[Replicated], registry: CollectorRegistry, lag_s_max: float = 60.0
) -> AsyncIterator[Database]:
    """A catalog's database in the region of the standby, watched. It was told the standby's address first."""
    primary, standby = (server.dsn(NAME) for server in servers)
    database = Database(
        standby,
        CatalogMetrics(registry),
        connections_max=2,
        connect_timeout_s=5,
        statement_timeout_s=2,
        replicas=(f"here={standby}", f"there={primary}"),
        region="here",
        lag_s_max=lag_s_max,
    )
    await database.probe()
    watching = asyncio.create_task(database.watch())
    await wait_until(lambda: lag_s(registry, servers[1]) == 0, "the standby has caught up")
    try:
        yield database
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await database.close()


@asynccontextmanager
async def paused(standby: Replicated) -> AsyncIterator[None]:
    """The standby shows nothing new inside the context."""
    await tell(standby, "SELECT pg_wal_replay_pause()")
    await eventually(lambda: tell(standby, "SELECT pg_get_wal_replay_pause_state() = 'paused'"), "replay is paused")
    try:
        yield
    finally:
        await tell(standby, "SELECT pg_wal_replay_resume()")


async def count(connection: AsyncConnection) -> int:
    return int((await connection.execute(sa.text("SELECT count(*) FROM kept"))).scalar_one())


async def add(connection: AsyncConnection) -> int:
    await connection.execute(sa.text("INSERT INTO kept VALUES (1)"))
    return await count(connection)


def served(registry: CollectorRegistry, server: Replicated, outcome: str = "fresh") -> float:
    labels = {"server": f"127.0.0.1:{server.server.port}", "outcome": outcome}
    return registry.get_sample_value("reprise_catalog_database_reads_total", labels) or 0


def lag_s(registry: CollectorRegistry, server: Replicated) -> float | None:
    labels = {"server": f"127.0.0.1:{server.server.port}"}
    return registry.get_sample_value("reprise_catalog_database_lag_seconds", labels)


def has_role(registry: CollectorRegistry, server: Replicated, role: str) -> bool:
    labels = {"server": f"127.0.0.1:{server.server.port}", "role": role}
    return registry.get_sample_value("reprise_catalog_database_servers", labels) == 1


async def test_a_listener_sees_its_own_write_while_the_near_standby_has_not(
    pair: list[Replicated], registry: CollectorRegistry
) -> None:
    async with near_the_standby(pair, registry) as database, paused(pair[1]):
        before = await database.read(count)
        written, token = await database.write_at(add)
        assert await database.read_fresh(count, token) == (written, False)
        assert await database.read_fresh(count, None) == (before, False)
        assert served(registry, pair[0]) == 1
        assert registry.get_sample_value("reprise_catalog_database_waits_total", {"outcome": "gave_up"}) == 1


async def test_a_read_waits_for_the_near_standby_to_see_its_listeners_write(
    pair: list[Replicated], registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("catalog.database.database.WAIT_SEEN_S_MAX", 30)
    async with near_the_standby(pair, registry) as database:
        async with paused(pair[1]):
            written, token = await database.write_at(add)
            reading = [asyncio.create_task(database.read_fresh(count, token)) for _ in range(5)]
        assert await asyncio.gather(*reading) == [(written, False)] * 5
        assert served(registry, pair[0]) == 0


async def test_a_standby_sees_the_end_of_a_finished_log_file(
    pair: list[Replicated], registry: CollectorRegistry
) -> None:
    async with near_the_standby(pair, registry) as database:
        _, token = await database.write_at(lambda connection: connection.execute(sa.text("SELECT pg_switch_wal()")))
        arrived = f"SELECT pg_last_wal_replay_lsn() >= '{token.lsn >> 32:X}/{token.lsn & 0xFFFFFFFF:X}'"
        await eventually(lambda: tell(pair[1], arrived), "the standby is where the primary is")


async def test_a_standby_that_falls_behind_is_left_until_it_caught_up(
    pair: list[Replicated], registry: CollectorRegistry
) -> None:
    async with near_the_standby(pair, registry, lag_s_max=0.5) as database:
        async with paused(pair[1]):
            written = await database.write(add)
            assert await database.read(count) == written - 1
            await eventually(lambda: reads(database, written), "reads go to the primary")
        before = served(registry, pair[1])

        async def is_back() -> bool:
            return await reads(database, written) and served(registry, pair[1]) > before

        await eventually(is_back, "reads are back at the standby")


async def test_a_new_catalog_reads_a_standby_only_once_that_has_the_schema(
    pair: list[Replicated], registry: CollectorRegistry
) -> None:
    async with near_the_standby(pair, registry) as database, paused(pair[1]):
        written = await database.write(add)
        await database.expect_all_of_now()
        assert await database.read_fresh(count, None) == (written, False)
        assert served(registry, pair[1]) == 0


async def test_no_read_fails_when_the_near_standby_dies(pair: list[Replicated], registry: CollectorRegistry) -> None:
    async with near_the_standby(pair, registry) as database:
        _, token = await database.write_at(add)
        expected = await database.read(count, token)
        reading = asyncio.create_task(read_often(database, 200))
        await wait_until(lambda: served(registry, pair[1]) > 20, "reads are under way")
        pair[1].kill()
        assert set(await reading) == {(expected, False)}
        await wait_until(lambda: has_role(registry, pair[1], "missing"), "the standby is missed")
        pair[1].restart()
        await wait_until(lambda: has_role(registry, pair[1], "standby"), "the standby is back")
        before = served(registry, pair[1])
        await eventually(lambda: served_more(database, registry, pair[1], before), "the standby serves again")


async def test_a_read_at_a_standby_that_hangs_ends_at_the_primary(
    pair: list[Replicated], registry: CollectorRegistry
) -> None:
    primary, standby = pair
    async with proxy("127.0.0.1", standby.server.port) as network:
        far = replace(standby, server=replace(standby.server, port=network.port))
        async with near_the_standby([primary, far], registry) as database:
            expected = await database.read_fresh(count, None)
            network.freeze()
            assert await database.read_fresh(count, None) == expected
            assert (served(registry, primary), served(registry, far)) == (1, 1)
            await network.restore()


async def test_a_token_of_the_future_is_answered_and_called_stale(
    pair: list[Replicated], registry: CollectorRegistry
) -> None:
    async with near_the_standby(pair, registry) as database:
        value = await database.read(count)
        assert await database.read_fresh(count, Position(7, 1)) == (value, True)


async def test_reads_outlive_the_primary_and_writes_come_back_with_the_next(
    tmp_path: Path, registry: CollectorRegistry
) -> None:
    with replicated(tmp_path) as servers:
        primary, standby = servers
        await prepare(servers)
        async with near_the_standby(servers, registry) as database:
            _, seen = await database.write_at(add)
            await eventually(lambda: reads(database, 1), "the standby has the first write")
            await tell(standby, "SELECT pg_wal_replay_pause()")
            _, unseen = await database.write_at(add)
            primary.kill()
            # Nobody who is left has seen the second write: the answer says so.
            assert await database.read_fresh(count, unseen) == (1, True)
            assert await database.read_fresh(count, seen) == (1, False)
            assert database.missing == ""
            with pytest.raises(Unavailable, match="database does not answer"):
                await database.write(add)

            await tell(standby, "SELECT pg_wal_replay_resume()")
            await promote(standby.dsn("postgres"))
            await eventually(lambda: writes(database), "writes are back")
            rows, promoted = await database.write_at(add)
            assert promoted.timeline == 2
            assert await database.read_fresh(count, seen) == (rows, False)

            primary.restart()
            await wait_until(lambda: has_role(registry, primary, "fenced"), "the old primary is fenced")
            assert await tell(primary, "SELECT NOT pg_is_in_recovery()")
            held = await tell(primary, "SELECT count(*) FROM kept")
            for _ in range(20):
                rows, promoted = await database.write_at(add)
                assert promoted.timeline == 2
                assert await database.read_fresh(count, None) == (rows, False)
            assert await tell(primary, "SELECT count(*) FROM kept") == held
            assert registry.get_sample_value("reprise_catalog_database_failovers_total") == 1


async def reads(database: Database, expected: int) -> bool:
    return await database.read(count) == expected


async def read_often(database: Database, times: int) -> list[tuple[int, bool]]:
    return [await database.read_fresh(count, None) for _ in range(times)]


async def served_more(database: Database, registry: CollectorRegistry, server: Replicated, before: float) -> bool:
    await database.read(count)
    return served(registry, server) > before


async def writes(database: Database) -> bool:
    try:
        await database.write(add)
    except Unavailable:
        return False
    return True
