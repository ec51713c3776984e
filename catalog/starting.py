"""The start of a catalog on its database: finds the primary and brings the schema up to date before anything is served.

Without a primary a catalog starts all the same if a standby has this build's schema: it searches and browses, and takes saves
as a catalog does whose primary died.
"""

import asyncio

from catalog.database import Database
from catalog.migrate import is_current, migrate
from reprise.config import ConfigError
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()

LOOK_INTERVAL_S = 0.25


async def start(database: Database, dsn: str, *, wait_s: float, connect_timeout_s: float) -> None:
    """Returns when reads may begin. Waits up to `wait_s` for servers that do not answer yet; raises ConfigError.

    `dsn` is migrated where no primary is found: who is asked then says why that cannot be.
    """
    give_up = asyncio.get_running_loop().time() + wait_s
    if len(database.servers) > 1:
        await _find_primary(database, give_up)
        if database.primary_dsn is None and await _can_read(database):
            log.warning("started_without_primary")
            return
    left_s = max(0.0, give_up - asyncio.get_running_loop().time())
    await migrate(database.primary_dsn or dsn, wait_s=left_s, connect_timeout_s=connect_timeout_s)
    await database.expect_all_of_now()


async def _find_primary(database: Database, give_up: float) -> None:
    await _look(database)
    while database.primary_dsn is None and asyncio.get_running_loop().time() < give_up:
        await asyncio.sleep(LOOK_INTERVAL_S)
        await _look(database)


async def _look(database: Database) -> None:
    await database.probe()
    for name, missing in database.servers.items():
        if missing == "malformed":
            raise ConfigError(f"postgres_dsn or postgres_replicas is malformed where it names {name!r}")


async def _can_read(database: Database) -> bool:
    try:
        return await database.read(is_current)
    except Unavailable:
        return False
