"""From the outbox into an index: what changed is read anew from the database, whole, and replaces what was there.

A change only says which song, artist or release; what it is now is what counts. So applying a change twice, or an old one late,
ends in the same index, and a crash anywhere costs no more than doing the last batch again.
"""

import time
from collections import defaultdict
from dataclasses import dataclass
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import outbox
from catalog import tables as t
from catalog.indexer import facts
from catalog.indexer.checkpoint import Checkpoint
from catalog.indexer.generation import Generation
from catalog.indexer.source import identity
from catalog.model import EntityKind

CHANGES_MAX = 2000
# Behind by more is not counted any further.
BEHIND_MAX = 100_000
_SEQUENCE_MAX = 2**63 - 1
_OLDEST_RUNNING = sa.text("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")


@dataclass(frozen=True, slots=True)
class Advanced:
    """How many changes went in, and the Unix time of the oldest; 0 for none."""

    changes: int = 0
    oldest_unix_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Behind:
    """Changes that an index does not have yet, and the age of the oldest."""

    changes: int
    age_s: float


async def now(connection: AsyncConnection) -> Checkpoint:
    """A checkpoint for whatever is read from here on: every change before it is in what is read."""
    running = int((await connection.execute(_OLDEST_RUNNING)).scalar_one())
    return Checkpoint(await identity(connection), (running - 1, _SEQUENCE_MAX))


async def advance(connection: AsyncConnection, database: str, generation: Generation) -> Advanced:
    """Takes the next changes of `database`, as `identity` calls it, into `generation`, and commits them with their place.

    Raises OutOfRange when the index cannot be brought up to date from where it stands: it is to be made anew.
    """
    kept = Checkpoint.parse(generation.checkpoint).of(database)
    changes = await outbox.changes_after(connection, kept.place, CHANGES_MAX)
    if not changes:
        return Advanced()
    changed: dict[EntityKind, set[UUID]] = defaultdict(set)
    for change in changes:
        changed[change.kind].add(change.entity_id)
    for kind, ids in changed.items():
        await take(connection, generation, kind, ids)
    await generation.commit(Checkpoint(kept.database, changes[-1].place).text)
    return Advanced(len(changes), min(change.at for change in changes).timestamp())


async def take(connection: AsyncConnection, generation: Generation, kind: EntityKind, ids: set[UUID]) -> None:
    """Puts in what these are now; what is not to be found goes out."""
    entries = await facts.entries(connection, kind, list(ids))
    gone = ids.difference(entry.id for entry in entries)
    await generation.apply(entries, [(kind, id_) for id_ in gone])


async def behind(connection: AsyncConnection, checkpoint: str) -> Behind:
    """How far an index is behind the database."""
    place = Checkpoint.parse(checkpoint).place
    order = (t.outbox.c.xid, t.outbox.c.sequence)
    after = sa.tuple_(*order) > sa.tuple_(
        *(sa.literal(value, column.type) for value, column in zip(place, order, strict=True))
    )
    left = sa.select(t.outbox.c.at).where(after).limit(BEHIND_MAX).subquery()
    row = (await connection.execute(sa.select(sa.func.count(), sa.func.min(left.c.at)).select_from(left))).one()
    count, oldest = row
    return Behind(count, max(0.0, time.time() - oldest.timestamp()) if oldest else 0.0)
