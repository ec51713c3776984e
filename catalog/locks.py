"""Locks that are no rows: on names that are about to become rows, and between merges and whoever refers to what they move.

All end with the transaction. Their order, so that nobody waits in a circle: the one of merges, then names of artists, of
releases, of recordings; names of one kind at once.
"""

from collections.abc import Iterable

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

# First halves of the keys, so that locks of different kinds cannot meet.
_NAMES = 0x5245_0001
_MERGES = 0x5245_0002
_PRUNING = 0x5245_0003


async def hold_merges_off(connection: AsyncConnection) -> None:
    """No merge commits until this transaction ends: ids that it reads stay. Any number hold this at once."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock_shared(_MERGES, 0)))


async def be_the_only_merge(connection: AsyncConnection) -> None:
    """Waits for all who hold merges off, and holds them off until this transaction ends."""
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MERGES, 0)))


async def try_to_prune(connection: AsyncConnection) -> bool:
    """Whether this transaction is the only one that prunes until it ends."""
    return bool((await connection.execute(sa.select(sa.func.pg_try_advisory_xact_lock(_PRUNING, 0)))).scalar_one())


async def lock_names(connection: AsyncConnection, names: Iterable[str]) -> None:
    """Whoever else wants one of these names waits until this transaction ends. Two names may share a lock: no harm."""
    hashes = sa.select(
        sa.func.hashtext(sa.func.unnest(sa.literal(list(names), ARRAY(sa.Text)))).label("hash")
    ).subquery()
    ordered = sa.select(hashes.c.hash).distinct().order_by(hashes.c.hash).subquery()
    await connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_NAMES, ordered.c.hash)))
