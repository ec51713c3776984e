"""When the database is gone the catalog says so at once, and comes back by itself."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog.database import Database, cause_of
from catalog.metrics import CatalogMetrics
from reprise.errors import Unavailable
from tests.catalog.flaky_proxy import FlakyProxy, proxy

STATEMENT_TIMEOUT_S = 0.5


@pytest.fixture
async def network(database_dsn: str) -> AsyncIterator[FlakyProxy]:
    url = sa.make_url(database_dsn)
    async with proxy(url.host or "127.0.0.1", url.port or 5432) as flaky:
        yield flaky


@pytest.fixture
async def far(network: FlakyProxy, database_dsn: str, metrics: CatalogMetrics) -> AsyncIterator[Database]:
    """A database behind the network, with two connections and short patience."""
    dsn = sa.make_url(database_dsn).set(host="127.0.0.1", port=network.port).update_query_dict({"sslmode": "disable"})
    pool = Database(
        dsn.render_as_string(hide_password=False),
        metrics,
        connections_max=2,
        connect_timeout_s=0.5,
        statement_timeout_s=STATEMENT_TIMEOUT_S,
    )
    yield pool
    await pool.close()


async def one(connection: AsyncConnection) -> int:
    return int((await connection.execute(sa.text("SELECT 1"))).scalar_one())


async def test_a_connection_that_died_in_the_pool_is_replaced_unnoticed(far: Database, network: FlakyProxy) -> None:
    assert await far.read(one) == 1
    network.cut()
    assert await far.read(one) == 1
    assert await far.write(one) == 1
    assert network.accepted == 2


async def test_a_stopped_database_is_unavailable_and_comes_back(
    far: Database, network: FlakyProxy, registry: CollectorRegistry
) -> None:
    await far.read(one)
    network.refuse()
    for ask in (far.read, far.write):
        with pytest.raises(Unavailable, match="database does not answer") as caught:
            await ask(one)
        assert caught.value.retry_after_s
    await network.restore()
    assert await far.read(one) == 1
    assert registry.get_sample_value("reprise_catalog_database_failures_total", {"cause": "unreachable"})


async def test_a_hung_database_costs_no_one_more_than_the_deadline(far: Database, network: FlakyProxy) -> None:
    await far.read(one)
    network.freeze()
    started = time.monotonic()
    results = await asyncio.gather(*(far.read(one) for _ in range(6)), return_exceptions=True)
    assert all(isinstance(result, Unavailable) for result in results), results
    assert time.monotonic() - started < far.deadline_s + 3
    await network.restore()
    assert await far.read(one) == 1


async def test_a_slow_statement_is_stopped_by_the_server(far: Database) -> None:
    with pytest.raises(Unavailable, match="timeout"):
        await far.read(lambda connection: connection.execute(sa.text("SELECT pg_sleep(60)")))
    assert await far.read(one) == 1


async def test_work_of_many_short_statements_is_stopped_at_the_deadline(far: Database) -> None:
    async def plod(connection: AsyncConnection) -> None:
        for _ in range(1000):
            await connection.execute(sa.text("SELECT pg_sleep(0.1)"))

    with pytest.raises(Unavailable, match="timeout"):
        await far.read(plod)
    assert await far.read(one) == 1


async def test_more_work_than_connections_waits_a_bounded_time(
    far: Database, network: FlakyProxy, registry: CollectorRegistry
) -> None:
    holding, release = asyncio.Semaphore(0), asyncio.Event()

    async def hold(connection: AsyncConnection) -> None:
        holding.release()
        await release.wait()

    holders = [asyncio.create_task(far.read(hold)) for _ in range(2)]
    for _ in holders:
        await holding.acquire()
    with pytest.raises(Unavailable, match="pool_full"):
        await far.read(one)
    release.set()
    await asyncio.gather(*holders)
    server = {"server": f"127.0.0.1:{network.port}"}
    assert registry.get_sample_value("reprise_catalog_database_connections_in_use", server) == 0


async def test_readiness_follows_the_database(far: Database, network: FlakyProxy) -> None:
    assert far.missing
    await far.probe()
    assert far.missing == ""
    network.refuse()
    await far.probe()
    assert "does not answer" in far.missing
    await network.restore()
    await far.probe()
    assert far.missing == ""


async def test_work_that_lost_a_race_is_done_again(far: Database) -> None:
    attempts = 0

    async def lose_once(connection: AsyncConnection) -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            await connection.execute(sa.text("DO $$ BEGIN RAISE EXCEPTION 'lost' USING ERRCODE = '40001'; END $$"))
        return attempts

    assert await far.write(lose_once) == 2


async def test_an_error_of_ours_is_not_taken_for_an_outage(far: Database) -> None:
    with pytest.raises(sa.exc.ProgrammingError) as caught:
        await far.read(lambda connection: connection.execute(sa.text("SELEKT 1")))
    assert cause_of(caught.value) is None


async def test_failed_work_leaves_nothing(far: Database) -> None:
    await far.write(lambda connection: connection.execute(sa.text("CREATE TABLE IF NOT EXISTS leftover (x int)")))

    async def fail(connection: AsyncConnection) -> None:
        await connection.execute(sa.text("INSERT INTO leftover VALUES (1)"))
        raise LookupError

    with pytest.raises(LookupError):
        await far.write(fail)
    rows = await far.read(lambda connection: connection.execute(sa.text("SELECT * FROM leftover")))
    assert rows.all() == []


async def test_a_write_tells_a_position_that_later_writes_pass(far: Database) -> None:
    _, first = await far.write_at(lambda connection: connection.execute(sa.text("CREATE TABLE positioned (x int)")))
    _, second = await far.write_at(lambda connection: connection.execute(sa.text("DROP TABLE positioned")))
    assert first < second
    assert first.timeline == 1
    assert await far.read_fresh(one, second) == (1, False)
