"""Merging artists: credits name the one that stays, under the name that was printed; albums of one title become one.

The name of the one that goes becomes an alias, so it is found by it, and a file that names it so does not bring it back.
"""

import uuid
from collections import defaultdict
from dataclasses import replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import publication, redirects
from catalog import tables as t
from catalog.merging import releases
from catalog.model import Credit, EntityKind
from reprise.errors import NotReady

Id = uuid.UUID

# Of the one that goes: more than any artist has, but not more than one transaction can move.
CREDITS_MAX = 20_000


async def merge(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    """Both rows are locked."""
    artist = t.artist.c
    rows = await connection.execute(sa.select(t.artist).where(artist.id.in_([from_id, into_id])))
    of = {row.id: row for row in rows}
    gone, kept = of[from_id], of[into_id]
    await _move_credits(connection, from_id, into_id)
    await _move_groups(connection, from_id, into_id)
    await _move_names(connection, gone, kept)
    await connection.execute(sa.delete(t.artist).where(artist.id == from_id))
    if gone.mbid and kept.mbid:
        # Files go on to name the old one by this id.
        await redirects.add(connection, EntityKind.ARTIST, gone.mbid, into_id)
    elif gone.mbid:
        await connection.execute(sa.update(t.artist).where(artist.id == into_id).values(mbid=gone.mbid))


async def songs_of(connection: AsyncConnection, artist_id: Id) -> list[Id]:
    """Songs that name the artist, or whose album does."""
    credits_ = sa.select(t.artist_credit_name.c.credit_id).where(t.artist_credit_name.c.artist_id == artist_id)
    own = sa.select(t.recording.c.id).where(t.recording.c.credit_id.in_(credits_))
    on_album = (
        sa.select(t.track.c.recording_id)
        .join(t.release, t.release.c.id == t.track.c.release_id)
        .where(t.release.c.credit_id.in_(credits_))
    )
    return sorted((await connection.execute(own.union(on_album))).scalars())


async def _move_credits(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    """A credit is what its digest says, so those that change become new ones, or ones that exist already."""
    for old_id, names in (await _credits_naming(connection, from_id)).items():
        named = [
            replace(credit, artist_id=str(into_id)) if credit.artist_id == str(from_id) else credit for credit in names
        ]
        digest = publication.credit_digest(named)
        credit = t.artist_credit.c
        same = (await connection.execute(sa.select(credit.id).where(credit.digest == digest))).scalar_one_or_none()
        of_credit = t.artist_credit_name.c.credit_id == old_id
        if same is None:
            moved = sa.update(t.artist_credit_name).where(of_credit, t.artist_credit_name.c.artist_id == from_id)
            await connection.execute(moved.values(artist_id=into_id))
            await connection.execute(sa.update(t.artist_credit).where(credit.id == old_id).values(digest=digest))
            continue
        for table in (t.recording, t.release):
            await connection.execute(sa.update(table).where(table.c.credit_id == old_id).values(credit_id=same))
        await connection.execute(sa.delete(t.artist_credit_name).where(of_credit))
        await connection.execute(sa.delete(t.artist_credit).where(credit.id == old_id))


async def _credits_naming(connection: AsyncConnection, artist_id: Id) -> dict[Id, list[Credit]]:
    names = t.artist_credit_name
    naming = sa.select(names.c.credit_id).where(names.c.artist_id == artist_id).limit(CREDITS_MAX + 1)
    rows = sa.select(names).where(names.c.credit_id.in_(naming)).order_by(names.c.credit_id, names.c.position)
    found: dict[Id, list[Credit]] = defaultdict(list)
    for row in await connection.execute(rows):
        found[row.credit_id].append(Credit(row.name, row.join_phrase, str(row.artist_id)))
    if len(found) > CREDITS_MAX:
        raise NotReady(
            f"artist {artist_id} is named in over {CREDITS_MAX} different credits: merge the other way round"
        )
    return found


async def _move_groups(connection: AsyncConnection, from_id: Id, into_id: Id) -> None:
    """Albums change hands; those that the other one has under the same title become one with them."""
    group, other = t.release_group, t.release_group.alias("other")
    pairs = (
        sa.select(group.c.id, other.c.id.label("same"))
        .join(other, sa.and_(other.c.title_key == group.c.title_key, other.c.first_artist_id == into_id))
        .where(group.c.first_artist_id == from_id, group.c.mbid.is_(None), other.c.mbid.is_(None))
        .order_by(group.c.id)
    )
    for row in (await connection.execute(pairs)).all():
        await releases.merge_groups(connection, row.id, row.same)
    for table in (t.release_group, t.release):
        moved = sa.update(table).where(table.c.first_artist_id == from_id)
        await connection.execute(moved.values(first_artist_id=into_id))


async def _move_names(connection: AsyncConnection, gone: sa.Row[Any], kept: sa.Row[Any]) -> None:
    alias = t.artist_alias.c
    aliases = sa.select(sa.literal(kept.id, sa.Uuid()), alias.alias_key, alias.alias).where(
        alias.artist_id == gone.id, alias.alias_key != kept.name_key
    )
    taken = insert(t.artist_alias).from_select(["artist_id", "alias_key", "alias"], aliases)
    await connection.execute(taken.on_conflict_do_nothing())
    await connection.execute(sa.delete(t.artist_alias).where(alias.artist_id == gone.id))
    if gone.name_key != kept.name_key:
        row = {"artist_id": kept.id, "alias_key": gone.name_key, "alias": gone.name}
        await connection.execute(insert(t.artist_alias).values(row).on_conflict_do_nothing())
