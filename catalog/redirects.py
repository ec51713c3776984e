"""Ids that were merged away, and what they mean now. Never a chain: one look-up is enough (see `merging`)."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.model import EntityKind


async def resolve(
    connection: AsyncConnection, kind: EntityKind, ids: Sequence[uuid.UUID]
) -> dict[uuid.UUID, uuid.UUID]:
    """Old id to new, for those of `ids` that were merged away; all others stand for themselves."""
    redirect = t.redirect.c
    statement = sa.select(redirect.old_id, redirect.new_id).where(redirect.kind == kind, redirect.old_id.in_(ids))
    return {row.old_id: row.new_id for row in await connection.execute(statement)}


async def add(connection: AsyncConnection, kind: EntityKind, old_id: uuid.UUID, new_id: uuid.UUID) -> None:
    """From now on `old_id` means `new_id`, and so does what meant `old_id`."""
    redirect = t.redirect.c
    moved = sa.update(t.redirect).where(redirect.kind == kind, redirect.new_id == old_id).values(new_id=new_id)
    await connection.execute(moved)
    row = {"kind": kind, "old_id": old_id, "new_id": new_id}
    statement = insert(t.redirect).values(row)
    await connection.execute(
        statement.on_conflict_do_update(constraint=t.redirect.primary_key, set_={"new_id": new_id})
    )
