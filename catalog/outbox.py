"""The outbox: every change of songs, artists and releases, written in the transaction that makes it and read in order.

The order is (transaction, sequence), and only transactions older than every one that still runs are read. A number taken from a
sequence alone would not do: of two transactions the one that took the higher number may commit first, and a reader that went on
from there would never see the other. Here, what is not committed yet is of a transaction that still runs, so nobody has read
past it. The price: a transaction that hangs holds back what comes after it, at most for the database's own time-outs.

Invariants: a change is committed with its row or not at all; a place that was handed out is never passed by a row that commits
later; who asks from a place whose successors were pruned is told so, never given a gap.
"""

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.model import EntityKind
from reprise.errors import OutOfRange

# NOTIFY without a payload: "there is something to read".
CHANNEL = "reprise_changes"
Place = tuple[int, int]

_ORDER = (t.outbox.c.xid, t.outbox.c.sequence)
_SNAPSHOT = sa.func.pg_current_snapshot()
_OLDEST_RUNNING = sa.func.pg_snapshot_xmin(_SNAPSHOT, type_=t.outbox.c.xid.type)
_NOT_BEGUN = sa.func.pg_snapshot_xmax(_SNAPSHOT, type_=t.outbox.c.xid.type)
# One statement for any number of ids. Equal notifications of one transaction are sent once.
_TELL = sa.text(
    """
    WITH told AS (
        INSERT INTO outbox (kind, entity_id, gone, redirected_to)
        SELECT :kind, id, :gone, :redirected_to FROM unnest(:ids) WITH ORDINALITY AS each (id, number) ORDER BY number
    )
    SELECT pg_notify(:channel, '')
    """
).bindparams(
    sa.bindparam("kind", type_=sa.SmallInteger),
    sa.bindparam("ids", type_=ARRAY(sa.Uuid())),
    sa.bindparam("gone", type_=sa.Boolean),
    sa.bindparam("redirected_to", type_=sa.Uuid()),
    sa.bindparam("channel", type_=sa.Text),
)


@dataclass(frozen=True, slots=True)
class Change:
    """Something about an entity changed, or it is `gone`: taken down, or merged into `redirected_to`."""

    kind: EntityKind
    entity_id: uuid.UUID
    gone: bool
    redirected_to: uuid.UUID | None
    at: datetime
    place: Place


async def tell(
    connection: AsyncConnection,
    kind: EntityKind,
    ids: Iterable[uuid.UUID],
    *,
    gone: bool = False,
    redirected_to: uuid.UUID | None = None,
) -> None:
    """Notes a change of each of `ids` in the transaction of `connection`, and wakes readers when it commits."""
    each = list(dict.fromkeys(ids))
    if each:
        told = {"kind": int(kind), "ids": each, "gone": gone, "redirected_to": redirected_to, "channel": CHANNEL}
        await connection.execute(_TELL, told)


async def changes_after(connection: AsyncConnection, place: Place | None, limit: int) -> list[Change]:
    """At most `limit` changes after `place` in order, or from the oldest kept on. Empty when there are none yet.

    Raises OutOfRange when changes after `place` were pruned, or when it is of a database that this one was restored over.
    """
    statement = sa.select(t.outbox).where(t.outbox.c.xid < _OLDEST_RUNNING).order_by(*_ORDER).limit(limit)
    if place is not None:
        statement = statement.where(sa.tuple_(*_ORDER) > _literal(place))
    rows = (await connection.execute(statement)).all()
    if place is not None:
        # After reading: what was pruned before the reading is known by now.
        await _check_kept(connection, place)
    return [
        Change(
            EntityKind(row.kind), row.entity_id, row.gone, row.redirected_to, row.at, (int(row.xid), int(row.sequence))
        )
        for row in rows
    ]


async def prune(connection: AsyncConnection, keep_s: float, keep_rows: int, limit: int) -> int:
    """Drops at most `limit` of the oldest changes that are too old or too many; how many it dropped."""
    outbox = t.outbox.c
    await _forget_other_database(connection)
    oldest = sa.select(t.outbox).where(outbox.xid < _OLDEST_RUNNING).order_by(*_ORDER).limit(limit).subquery()
    too_old = oldest.c.at < sa.func.now() - sa.func.make_interval(0, 0, 0, 0, 0, 0, keep_s)
    newest = sa.select(sa.func.max(outbox.sequence)).scalar_subquery()
    doomed = sa.select(oldest.c.sequence).where(sa.or_(too_old, oldest.c.sequence <= newest - keep_rows))
    gone = sa.delete(t.outbox).where(outbox.sequence.in_(doomed)).returning(*_ORDER).cte()
    last = sa.select(gone.c.xid, gone.c.sequence, sa.func.count().over().label("rows"))
    row = (await connection.execute(last.order_by(gone.c.xid.desc(), gone.c.sequence.desc()).limit(1))).first()
    if row is None:
        return 0
    pruned = t.outbox_pruned
    further = sa.tuple_(pruned.c.xid, pruned.c.sequence) < _literal((row.xid, row.sequence))
    await connection.execute(sa.update(pruned).where(further).values(xid=row.xid, sequence=row.sequence))
    return int(row.rows)


async def _check_kept(connection: AsyncConnection, place: Place) -> None:
    pruned = t.outbox_pruned.c
    lost = sa.select(sa.tuple_(pruned.xid, pruned.sequence) > _literal(place))
    foreign = sa.select(sa.literal(place[0], t.outbox.c.xid.type) >= _NOT_BEGUN)
    row = (await connection.execute(sa.select(lost.scalar_subquery(), foreign.scalar_subquery()))).one()
    if any(row):
        raise OutOfRange(
            "changes from this place on are no longer kept: read everything anew, then watch without a cursor"
        )


async def _forget_other_database(connection: AsyncConnection) -> None:
    """Drops rows of transactions that have not begun here: they came with a dump of another database."""
    await connection.execute(sa.delete(t.outbox).where(t.outbox.c.xid >= _NOT_BEGUN))
    foreign = t.outbox_pruned.c.xid >= _NOT_BEGUN
    await connection.execute(sa.update(t.outbox_pruned).where(foreign).values(xid=_OLDEST_RUNNING, sequence=0))


def _literal(place: Place) -> sa.Tuple:
    return sa.tuple_(*(sa.literal(value, column.type) for value, column in zip(place, _ORDER, strict=True)))
