"""Opens one connection to PostgreSQL, with the settings that the catalog's queries rely on."""

import asyncpg


async def connect(dsn: str, connect_timeout_s: float, statement_timeout_s: float | None) -> asyncpg.Connection:
    """A connection to `dsn`, as libpq reads it. Without `statement_timeout_s`, statements may run on: for migrations."""
    settings = {
        "application_name": "reprise-catalog",
        # Every statement walks an index, whatever the values: planning it each time took longer than running it.
        "plan_cache_mode": "force_generic_plan",
    }
    if statement_timeout_s is not None:
        settings["statement_timeout"] = str(int(statement_timeout_s * 1000))
        settings["idle_in_transaction_session_timeout"] = str(int(statement_timeout_s * 4000))
    client_timeout_s = None if statement_timeout_s is None else statement_timeout_s + 0.5
    return await asyncpg.connect(
        dsn, timeout=connect_timeout_s, command_timeout=client_timeout_s, server_settings=settings
    )
