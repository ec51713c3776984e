"""A catalog brings its database up to date by itself, or says what is wrong with it."""

import asyncio
import secrets
import time
from pathlib import Path

import asyncpg
import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.ext.asyncio import create_async_engine

import catalog
from catalog import tables
from catalog.database import connect
from catalog.migrate import migrate
from reprise.config import ConfigError
from tests.support.wait import wait_until


async def run(dsn: str) -> None:
    await migrate(dsn, wait_s=0, connect_timeout_s=5)


async def make_database(postgres_dsn: str, options: str = "") -> str:
    """A fresh database made with `options`; its DSN."""
    name = f"catalog_{secrets.token_hex(6)}"
    connection = await asyncpg.connect(postgres_dsn)
    await connection.execute(f"CREATE DATABASE {name} {options}")
    await connection.close()
    return sa.make_url(postgres_dsn).set(database=name).render_as_string(hide_password=False)


async def test_many_catalogs_may_start_together_on_an_empty_database(database_dsn: str) -> None:
    await asyncio.gather(*(run(database_dsn) for _ in range(4)))
    connection = await asyncpg.connect(database_dsn)
    assert await connection.fetchval("SELECT count(*) FROM alembic_version") == 1
    assert await connection.fetchval("SELECT count(*) FROM recording") == 0
    await connection.close()


async def test_a_second_start_changes_nothing(database_dsn: str) -> None:
    await run(database_dsn)
    await run(database_dsn)


async def test_migrations_make_exactly_the_tables_that_queries_are_written_against(database_dsn: str) -> None:
    await run(database_dsn)
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: connect(database_dsn, 5, None))
    async with engine.connect() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(
                MigrationContext.configure(sync, opts={"compare_type": True}), tables.metadata
            )
        )
    await engine.dispose()
    assert differences == []


async def test_a_database_without_utf8_letters_is_refused_and_the_fix_is_named(postgres_dsn: str) -> None:
    dsn = await make_database(
        postgres_dsn, "TEMPLATE template0 ENCODING 'UTF8' LOCALE_PROVIDER libc LC_COLLATE 'C' LC_CTYPE 'C'"
    )
    with pytest.raises(ConfigError, match=r"not UTF-8.*LC_CTYPE 'C.UTF-8'"):
        await run(dsn)


async def test_names_stored_by_another_normaliser_are_refused(postgres_dsn: str) -> None:
    dsn = await make_database(postgres_dsn)
    await run(dsn)
    connection = await asyncpg.connect(dsn)
    await connection.execute("UPDATE normaliser SET version = 999")
    await connection.close()
    with pytest.raises(ConfigError, match="version 999"):
        await run(dsn)


@pytest.mark.parametrize(
    ("dsn", "reason"),
    [
        ("postgresql://postgres@127.0.0.1:1/x", "refused|Connect call failed"),
        ("mysql://x", "scheme"),
        ("postgresql://postgres@127.0.0.1:port/x", "malformed|port"),
    ],
)
async def test_an_unusable_dsn_is_one_clear_line(dsn: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        await run(dsn)
    assert "\n" not in str(caught.value)


async def test_a_wrong_password_is_not_waited_for(postgres_dsn: str) -> None:
    wrong = sa.make_url(postgres_dsn).set(password="wrong").render_as_string(hide_password=False)
    started = time.monotonic()
    with pytest.raises(ConfigError, match="password"):
        await migrate(wrong, wait_s=60, connect_timeout_s=5)
    assert time.monotonic() - started < 30


async def test_a_database_that_is_still_starting_is_waited_for(postgres_dsn: str) -> None:
    port = 0
    calls = 0

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        calls += 1
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    waiting = asyncio.create_task(
        migrate(f"postgresql://x@127.0.0.1:{port}/x?sslmode=disable", wait_s=60, connect_timeout_s=5)
    )
    await wait_until(lambda: calls >= 2, "a second attempt")
    waiting.cancel()
    server.close()


def test_migrations_are_shipped() -> None:
    folder = Path(catalog.__file__).parent / "migrations"
    assert (folder / "env.py").is_file()
    assert list((folder / "versions").glob("v*.py"))
