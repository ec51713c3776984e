"""What can go wrong between the catalog and a server, and its name."""

import asyncpg
import sqlalchemy as sa

# The internal error is what asyncpg raises when a server's last words arrive between two steps of a query.
FAILURES = (
    sa.exc.DBAPIError,
    sa.exc.TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
)
# SQLSTATE classes: connection, resources, operator intervention, system error; and states of their own: lock not available,
# wrong password, no such database.
_OUTAGES = ("08", "53", "57", "58", "55P03", "28", "3D")
# A foreign key: what was referred to was merged away since it was read in the same transaction; read again, it redirects.
_LOST_RACES = ("40", "23503")
# Read-only: it became a standby.
_READ_ONLY = "25006"


def cause_of(failure: Exception) -> str | None:
    """Why a server did not serve a request, as a metric label; None for an error of ours, such as wrong SQL."""
    if isinstance(failure, sa.exc.TimeoutError):
        return "pool_full"
    origin = failure.orig if isinstance(failure, sa.exc.DBAPIError) else failure
    state = getattr(origin, "sqlstate", None) or ""
    if state.startswith(_LOST_RACES):
        return "lost_race"
    if state == _READ_ONLY:
        return "read_only"
    if isinstance(origin, TimeoutError) or state == "57014":
        return "timeout"
    if isinstance(origin, asyncpg.InternalClientError):
        return "disconnected"
    if isinstance(failure, sa.exc.DBAPIError) and (failure.connection_invalidated or state.startswith(_OUTAGES)):
        return "disconnected"
    if isinstance(origin, OSError | asyncpg.InterfaceError) or state.startswith(_OUTAGES):
        return "unreachable"
    return None
