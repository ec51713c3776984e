"""PostgreSQL as the indexer reads it: few connections, outside of transactions, each statement with a deadline."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from catalog.database import FAILURES, cause_of, connect
from reprise.errors import Unavailable

# Tells databases apart: a cluster by the number that it was made with, a database within by its own.
_IDENTITY = sa.text(
    "SELECT system_identifier || '-' || (SELECT oid FROM pg_database WHERE datname = current_database())"
    " FROM pg_control_system()"
)


class Source:
    """Opens connections; keeps none."""

    def __init__(self, dsn: str, connect_timeout_s: float, statement_timeout_s: float) -> None:
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=lambda: connect(dsn, connect_timeout_s, statement_timeout_s),
            poolclass=NullPool,
        )
        self._engine = engine.execution_options(isolation_level="AUTOCOMMIT")

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection, closed at the end. Raises Unavailable whenever the database does not serve what is done with it."""
        with _named():
            async with self._engine.connect() as connection:
                yield connection


async def identity(connection: AsyncConnection) -> str:
    """Which database this is; a copy restored from a dump is another one."""
    return str((await connection.execute(_IDENTITY)).scalar_one())


@contextmanager
def _named() -> Iterator[None]:
    try:
        yield
    except FAILURES as failure:
        cause = cause_of(failure)
        if cause is None:
            raise
        raise Unavailable(f"the database does not answer ({cause})", retry_after_s=1) from None
