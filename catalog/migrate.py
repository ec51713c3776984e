"""Brings the database's schema to this build's version, at every start.

Several catalogs may start at once: an advisory lock lets one migrate while the others wait, and all of it is one
transaction, so a start that is killed leaves nothing half done. What search needs of the server is checked first.
"""

import asyncio
import zlib
from pathlib import Path

import asyncpg
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from catalog import normalise, tables
from catalog.database import FAILURES, cause_of, connect
from reprise.config import ConfigError
from reprise.log import get_logger

log = get_logger()

SERVER_VERSION_MIN = 150000
# Long enough for an index over a large table; a start that hangs longer needs a person.
MIGRATION_S_MAX = 3600
_RETRY_S = 0.25
_LOCK = zlib.crc32(b"reprise catalog migrations")


async def migrate(dsn: str, *, wait_s: float, connect_timeout_s: float) -> None:
    """Migrates to the newest schema. Waits up to `wait_s` for a database that is still starting; raises ConfigError."""
    give_up = asyncio.get_running_loop().time() + wait_s
    while True:
        try:
            async with asyncio.timeout(MIGRATION_S_MAX):
                return await _migrate(dsn, connect_timeout_s)
        except FAILURES as failure:
            if asyncio.get_running_loop().time() >= give_up or not _may_pass(failure):
                raise ConfigError(f"postgres_dsn: the database cannot be used: {_reason(failure)}") from None
        except ValueError as error:
            raise ConfigError(f"postgres_dsn is malformed: {error}") from None
        await asyncio.sleep(_RETRY_S)


async def is_current(connection: AsyncConnection) -> bool:
    """Whether the schema is this build's: then a catalog can read without migrating."""
    version = sa.text("SELECT version_num FROM alembic_version")
    if not (await connection.execute(sa.text("SELECT to_regclass('alembic_version') IS NOT NULL"))).scalar_one():
        return False
    return (await connection.execute(version)).scalar() == ScriptDirectory.from_config(_config()).get_current_head()


async def _migrate(dsn: str, connect_timeout_s: float) -> None:
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: connect(dsn, connect_timeout_s, None), poolclass=NullPool
    )
    async with engine.begin() as connection:
        # Held until commit: who comes second finds the work done.
        await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        await _check_server(connection)
        await connection.run_sync(_upgrade)
        await _check_normaliser(connection)


async def _check_server(connection: AsyncConnection) -> None:
    version = int((await connection.execute(sa.text("SELECT current_setting('server_version_num')"))).scalar_one())
    if version < SERVER_VERSION_MIN:
        raise ConfigError(f"postgres_dsn: PostgreSQL {version // 10000} is too old: 15 or later is needed")
    await connection.execute(sa.text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    if not (await connection.execute(sa.text("SELECT show_trgm('東京')"))).scalar_one():
        raise ConfigError(
            "postgres_dsn: this database's character type is not UTF-8, so search would not find names such as 東京: "
            "make it anew with CREATE DATABASE ... TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8', "
            "or the server with initdb --encoding=UTF8 --locale=C.UTF-8"
        )


def _upgrade(connection: sa.Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


async def _check_normaliser(connection: AsyncConnection) -> None:
    version = (await connection.execute(sa.select(tables.normaliser.c.version))).scalar_one()
    if version != normalise.VERSION:
        raise ConfigError(
            f"postgres_dsn: names were stored by version {version} of the normaliser, this catalog has {normalise.VERSION}: "
            "run the catalog that matches the database"
        )


def _may_pass(failure: Exception) -> bool:
    """Whether waiting can help: the server is starting or restarting. A wrong password stays wrong."""
    origin = failure.orig if isinstance(failure, sa.exc.DBAPIError) else failure
    state = getattr(origin, "sqlstate", None) or ""
    return cause_of(failure) is not None and not state.startswith(("28", "3D"))


def _reason(failure: Exception) -> str:
    origin = failure.orig if isinstance(failure, sa.exc.DBAPIError) else failure
    state = getattr(origin, "sqlstate", None)
    if state in ("42501", "58P01", "0A000"):
        return f"{origin}; install PostgreSQL's contrib modules, or let a superuser run CREATE EXTENSION pg_trgm there"
    if isinstance(origin, TimeoutError):
        return "no answer in time"
    if isinstance(origin, asyncpg.PostgresError | OSError):
        return str(origin)
    return f"{type(origin).__name__}: {origin}"
