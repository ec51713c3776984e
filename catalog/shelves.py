"""Shelves: the lists that can be browsed, kept in the orders in which they are walked.

A row says that a song, release, artist or genre is on the list of everything, of an artist or of a genre, and from which moment
on; an index over its key, its score or its id is the list. So a page costs the same at any depth and by any filter, and nothing
is counted. What is taken down has no row. An artist or genre has its place by a song that is there too, a release group by
one of its editions.

Written in the transaction that changes what belongs where. Race to know: a publication finds an artist's place and leaves it,
while a takedown finds it empty and removes it. Hence a publication locks places against removal, and a removal looks again
once it has its lock.
"""

import uuid
from collections.abc import Iterable, Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import shelf_rows
from catalog import tables as t
from catalog.listing import Kind
from catalog.model import EntityKind

Id = uuid.UUID
_KINDS = {EntityKind.SONG: Kind.SONGS, EntityKind.ARTIST: Kind.ARTISTS, EntityKind.RELEASE: Kind.RELEASES}


async def refresh(connection: AsyncConnection, song_ids: Sequence[Id]) -> None:
    """Puts these songs, and their releases, artists and genres, where they now belong. The songs' rows are locked."""
    ids = list(song_ids)
    if not ids:
        return
    touched = set((await connection.execute(_SHELVES_OF, {"ids": ids})).scalars())
    await connection.execute(_PUT_SONGS, {"ids": ids})
    groups = list((await connection.execute(_LOCK_GROUPS, {"ids": ids})).scalars())
    if groups:
        await connection.execute(_PUT_RELEASES, {"groups": groups})
    touched |= set((await connection.execute(_SHELVES_OF, {"ids": ids})).scalars())
    await connection.execute(_KEEP_PLACES, {"touched": list(touched)})
    await connection.execute(_PUT_ARTISTS_AND_GENRES, {"ids": ids})
    if (await connection.execute(_LOCK_EMPTY_PLACES, {"touched": list(touched)})).first():
        await connection.execute(_DROP_EMPTY_PLACES, {"touched": list(touched)})


async def drop(connection: AsyncConnection, id_: Id) -> None:
    """Takes what was merged away off all shelves, and its own shelves away."""
    shelf = t.shelf.c
    own = sa.and_(shelf.kind.in_([int(kind) for kind in Kind]), shelf.shelf_id == id_)
    await connection.execute(sa.delete(t.shelf).where(sa.or_(own, shelf.entity_id == id_)))


async def rank(connection: AsyncConnection, kind: EntityKind, ids: Iterable[Id]) -> None:
    """Moves these to where their popularity now puts them."""
    shelf, popularity = t.shelf.c, t.popularity.c
    moved = sa.update(t.shelf).where(shelf.kind == int(_KINDS[kind]), shelf.entity_id.in_(list(ids)))
    scored = moved.where(popularity.kind == int(kind), popularity.entity_id == shelf.entity_id)
    await connection.execute(scored.values(score=popularity.score))


async def rebuild(connection: AsyncConnection) -> None:
    """Makes all shelves anew, after rows were loaded past the catalog. Until it is committed, nobody can browse."""
    await connection.execute(sa.text("TRUNCATE shelf"))
    rows = (shelf_rows.SONGS, shelf_rows.RELEASES, shelf_rows.ALL_ARTISTS, shelf_rows.ALL_GENRES)
    for select in rows:
        await connection.execute(sa.text(f"INSERT INTO shelf ({shelf_rows.COLUMNS}) {select}"))
    await connection.execute(sa.text("ANALYZE shelf"))


def _text(statement: str, *names: str) -> sa.TextClause:
    return sa.text(statement).bindparams(*(sa.bindparam(name, type_=ARRAY(sa.Uuid())) for name in names))


def _put(select: str, scope: str, name: str) -> sa.TextClause:
    """Makes the rows in `scope` those of `select`. What is so already is not touched."""
    statement = f"""
    WITH wanted AS ({select}), gone AS (
        DELETE FROM shelf WHERE {scope} AND NOT EXISTS (
            SELECT FROM wanted WHERE wanted.shelf_id = shelf.shelf_id AND wanted.entity_id = shelf.entity_id
        )
    )
    {_INSERT}
    """
    return _text(statement, name)


# In one order, so that two transactions do not wait for each other in a circle.
_INSERT = f"""
    INSERT INTO shelf ({shelf_rows.COLUMNS}) SELECT {shelf_rows.COLUMNS} FROM wanted
    WHERE NOT EXISTS (
        SELECT FROM shelf WHERE shelf.kind = wanted.kind AND shelf.shelf_id = wanted.shelf_id
            AND shelf.entity_id = wanted.entity_id AND shelf.sort_key = wanted.sort_key
            AND shelf.visible_from = wanted.visible_from
    )
    ORDER BY kind, shelf_id, entity_id
    ON CONFLICT (kind, shelf_id, entity_id)
        DO UPDATE SET sort_key = excluded.sort_key, visible_from = excluded.visible_from
"""
_SHELVES_OF = _text("SELECT DISTINCT shelf_id FROM shelf WHERE kind = 4 AND entity_id = ANY(:ids)", "ids")
_PUT_SONGS = _put(shelf_rows.SONGS + shelf_rows.OF_SONGS, "kind = 4 AND entity_id = ANY(:ids)", "ids")
_LOCK_GROUPS = _text(
    """
    SELECT id FROM release_group WHERE id IN (
        SELECT e.group_id FROM track k JOIN release e ON e.id = k.release_id WHERE k.recording_id = ANY(:ids)
    ) ORDER BY id FOR NO KEY UPDATE
    """,
    "ids",
)
_PUT_RELEASES = _put(
    shelf_rows.RELEASES_OF_GROUPS,
    "kind = 2 AND entity_id IN (SELECT id FROM release WHERE group_id = ANY(:groups))",
    "groups",
)
_KEEP_PLACES = _text(
    f"""
    SELECT FROM shelf WHERE kind IN (1, 3) AND entity_id = ANY(:touched)
        AND (shelf_id = {shelf_rows.NIL} OR shelf_id = ANY(:touched))
    ORDER BY kind, shelf_id, entity_id FOR KEY SHARE
    """,
    "touched",
)
_PUT_ARTISTS_AND_GENRES = _text(f"WITH wanted AS ({shelf_rows.ARTISTS_AND_GENRES}) {_INSERT}", "ids")
_LOCK_EMPTY_PLACES = _text(
    f"SELECT 1 FROM shelf place WHERE {shelf_rows.EMPTY_PLACES} ORDER BY kind, shelf_id, entity_id FOR UPDATE",
    "touched",
)
_DROP_EMPTY_PLACES = _text(f"DELETE FROM shelf place WHERE {shelf_rows.EMPTY_PLACES}", "touched")
