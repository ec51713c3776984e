"""Merging releases: the one that stays takes over tracks and discs, and what it lacked of label, date, cover and the like."""

import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import editions, moments, outbox, redirects, shelves
from catalog import tables as t
from catalog.model import EntityKind
from reprise.errors import NotReady

Id = uuid.UUID

_FACTS = ("date", "cover", "label", "barcode", "mbid")


async def merge(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    """Both rows are locked. The group of the one that goes goes too, when that was its only edition."""
    release = t.release.c
    rows = await connection.execute(sa.select(t.release).where(release.id.in_([from_id, into_id])))
    of = {row.id: row for row in rows}
    gone, kept = of[from_id], of[into_id]
    await _check_moments(connection, gone, kept)
    await _move_tracks(connection, from_id, into_id)
    moved = sa.update(t.recording).where(t.recording.c.withdrawn_with == from_id)
    await connection.execute(moved.values(withdrawn_with=into_id))
    await connection.execute(sa.delete(t.release).where(release.id == from_id))
    lacking = {name: getattr(gone, name) for name in _FACTS if getattr(gone, name) and not getattr(kept, name)}
    if lacking:
        await connection.execute(sa.update(t.release).where(release.id == into_id).values(lacking))
    if gone.mbid and kept.mbid:
        await redirects.add(connection, EntityKind.RELEASE, gone.mbid, into_id)
    await editions.measure(connection, into_id)
    await _drop_empty_group(connection, gone.group_id, kept.group_id)


async def merge_groups(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    """Editions change over; those without an id that the other group has under the same title become one with them."""
    release, other = t.release, t.release.alias("other")
    same = sa.and_(other.c.group_id == into_id, other.c.title_key == release.c.title_key, other.c.mbid.is_(None))
    editions_ = sa.select(release.c.id, other.c.id.label("same")).outerjoin(
        other, sa.and_(same, release.c.mbid.is_(None))
    )
    for row in (await connection.execute(editions_.where(release.c.group_id == from_id).order_by(release.c.id))).all():
        if row.same is None:
            await connection.execute(sa.update(release).where(release.c.id == row.id).values(group_id=into_id))
            continue
        await merge(connection, row.id, row.same)
        await shelves.drop(connection, row.id)
        await redirects.add(connection, EntityKind.RELEASE, row.id, row.same)
        await outbox.tell(connection, EntityKind.RELEASE, [row.id], gone=True, redirected_to=row.same)
        await outbox.tell(connection, EntityKind.RELEASE, [row.same])
    await _drop_empty_group(connection, from_id, into_id)


async def songs_of(connection: AsyncConnection, release_id: Id) -> list[Id]:
    songs = sa.select(t.track.c.recording_id).where(t.track.c.release_id == release_id)
    return sorted((await connection.execute(songs)).scalars())


async def _check_moments(connection: AsyncConnection, gone: sa.Row[Any], kept: sa.Row[Any]) -> None:
    now = moments.unix_ms((await connection.execute(sa.select(sa.func.now()))).scalar_one()) or 0
    first, second = (moments.unix_ms(row.available_from) or 0 for row in (gone, kept))
    if first != second and max(first, second) > now:
        raise NotReady(
            f"release {gone.title!r} comes out at {moments.text(first)} and {kept.title!r} at {moments.text(second)}: "
            "give them one moment first"
        )


async def _move_tracks(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    for table, columns in (
        (t.medium, ("disc_number", "title", "format")),
        (t.track, ("recording_id", "disc_number", "track_number")),
    ):
        rows = sa.select(sa.literal(into_id, sa.Uuid()), *(table.c[name] for name in columns))
        taken = insert(table).from_select(["release_id", *columns], rows.where(table.c.release_id == from_id))
        await connection.execute(taken.on_conflict_do_nothing())
    for table in (t.track, t.medium):
        await connection.execute(sa.delete(table).where(table.c.release_id == from_id))


async def _drop_empty_group(connection: AsyncConnection, group_id: Id, heir_id: Id) -> None:
    """Its kind and its id go to the other one, where that has none."""
    group = t.release_group.c
    used = sa.exists().where(t.release.c.group_id == group_id)
    gone = sa.delete(t.release_group).where(group.id == group_id, group.id != heir_id, ~used)
    row = (await connection.execute(gone.returning(group.kind, group.mbid))).first()
    if row is None:
        return
    if row.kind:
        kind = sa.update(t.release_group).where(group.id == heir_id, group.kind == 0)
        await connection.execute(kind.values(kind=row.kind))
    if row.mbid:
        mbid = sa.update(t.release_group).where(group.id == heir_id, group.mbid.is_(None))
        await connection.execute(mbid.values(mbid=row.mbid))
