"""What there is to know for search about songs, artists and releases, read from PostgreSQL: one query for a page of one kind.

What is withdrawn, merged away or unknown has no entry. Moments to come are in the entries: whoever searches compares them.
"""

import re
import uuid
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import moments
from catalog import tables as t
from catalog.model import EntityKind
from catalog.searching.documents import Entry

_YEAR = re.compile(r"[0-9]{4}")
_NAMES = ARRAY(sa.Text)
_IDS = ARRAY(sa.Uuid())
_ABOUT = sa.text(
    "SELECT coalesce(sum(greatest(reltuples, 0)), 0) FROM pg_class"
    " WHERE oid = ANY(CAST(CAST(:names AS text[]) AS regclass[]))"
)


async def entries(connection: AsyncConnection, kind: EntityKind, ids: list[uuid.UUID]) -> list[Entry]:
    """The entries of those of `ids` that are to be found, in no order."""
    statement = _STATEMENTS[kind].where(_TABLES[kind].c.id == sa.any_(sa.literal(ids, _IDS)))
    return [_entry(kind, row) for row in await connection.execute(statement)]


async def page(connection: AsyncConnection, kind: EntityKind, after: uuid.UUID | None, count: int) -> list[uuid.UUID]:
    """The next `count` ids behind `after`, to be found or not."""
    column = _TABLES[kind].c.id
    statement = sa.select(column).order_by(column).limit(count)
    if after is not None:
        statement = statement.where(column > after)
    return list((await connection.execute(statement)).scalars())


async def about(connection: AsyncConnection) -> int:
    """About how many there are of all kinds, by the database's statistics: never counted."""
    names = [table.name for table in _TABLES.values()]
    return int((await connection.execute(_ABOUT, {"names": names})).scalar_one())


def _entry(kind: EntityKind, row: Any) -> Entry:
    year = _YEAR.match(row.date or "")
    return Entry(
        kind=kind,
        id=row.id,
        title=row.title,
        artists=tuple(row.artists),
        artist_ids=tuple(row.artist_ids),
        aliases=tuple(row.aliases),
        album=row.album or "",
        genres=tuple(row.genres),
        genre_ids=tuple(row.genre_ids),
        year=int(year[0]) if year else 0,
        score=row.score,
        available_from_ms=moments.unix_ms(row.available_from) or 0,
    )


def _list(statement: sa.Select[Any], type_: "ARRAY[Any]") -> sa.ColumnElement[Any]:
    """The rows of a one-column subquery as one value."""
    return sa.func.array(statement.scalar_subquery(), type_=type_)


def _credit(credit_id: sa.Column[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    """Names, ids and further names of the artists of a credit."""
    named, alias = t.artist_credit_name, t.artist_alias
    mine = named.c.credit_id == credit_id
    in_order = named.c.position
    # Under his own name an artist is found wherever he is credited by another.
    own = sa.select(t.artist.c.name).where(mine, t.artist.c.id == named.c.artist_id, t.artist.c.name != named.c.name)
    others = sa.select(alias.c.alias).where(mine, alias.c.artist_id == named.c.artist_id)
    return (
        _list(sa.select(named.c.name).where(mine).order_by(in_order), _NAMES).label("artists"),
        _list(sa.select(named.c.artist_id).where(mine).order_by(in_order), _IDS).label("artist_ids"),
        sa.func.array_cat(_list(own, _NAMES), _list(others, _NAMES), type_=_NAMES).label("aliases"),
    )


def _score(kind: EntityKind, id_: sa.Column[Any]) -> sa.ColumnElement[Any]:
    popularity = t.popularity.c
    mine = sa.select(popularity.score).where(popularity.kind == kind, popularity.entity_id == id_)
    return sa.func.coalesce(mine.scalar_subquery(), 0.0).label("score")


def _songs() -> sa.Select[Any]:
    song, track, release = t.recording.c, t.track.c, t.release
    # By the release by which the song is shown: the one that came first.
    first = (
        sa.select(release.c.title, release.c.date)
        .join(t.track, track.release_id == release.c.id)
        .where(track.recording_id == song.id, release.c.withdrawn_at.is_(None))
        .order_by(track.release_id)
        .limit(1)
        .lateral()
    )
    link, genre = t.recording_genre.c, t.genre.c
    genres = (
        sa.select(genre.name).where(link.recording_id == song.id, genre.id == link.genre_id).order_by(link.position)
    )
    genre_ids = sa.select(link.genre_id).where(link.recording_id == song.id).order_by(link.position)
    return (
        sa.select(
            song.id,
            song.title,
            *_credit(song.credit_id),
            first.c.title.label("album"),
            _list(genres, _NAMES).label("genres"),
            _list(genre_ids, _IDS).label("genre_ids"),
            sa.func.coalesce(sa.func.nullif(song.date, ""), first.c.date).label("date"),
            _score(EntityKind.SONG, song.id),
            song.available_from,
        )
        .select_from(t.recording.outerjoin(first, sa.true()))
        .where(song.withdrawn_at.is_(None))
    )


def _artists() -> sa.Select[Any]:
    artist, alias, named = t.artist.c, t.artist_alias.c, t.artist_credit_name.c
    aliases = sa.select(alias.alias).where(alias.artist_id == artist.id).order_by(alias.alias_key)

    def credited(owner: sa.Table) -> sa.ColumnElement[bool]:
        mine = (named.artist_id == artist.id) & (named.credit_id == owner.c.credit_id)
        return sa.exists().where(mine, owner.c.withdrawn_at.is_(None))

    return sa.select(
        artist.id,
        artist.name.label("title"),
        *_nothing(_NAMES, "artists", "genres"),
        *_nothing(_IDS, "artist_ids", "genre_ids"),
        _list(aliases, _NAMES).label("aliases"),
        sa.literal("").label("album"),
        sa.literal("").label("date"),
        _score(EntityKind.ARTIST, artist.id),
        sa.null().label("available_from"),
    ).where(sa.or_(credited(t.recording), credited(t.release)))


def _releases() -> sa.Select[Any]:
    release = t.release.c
    return sa.select(
        release.id,
        release.title,
        *_credit(release.credit_id),
        *_nothing(_NAMES, "genres"),
        *_nothing(_IDS, "genre_ids"),
        sa.literal("").label("album"),
        release.date,
        _score(EntityKind.RELEASE, release.id),
        release.available_from,
    ).where(release.withdrawn_at.is_(None))


def _nothing(type_: "ARRAY[Any]", *names: str) -> list[sa.Label[Any]]:
    return [sa.cast(sa.text("'{}'"), type_).label(name) for name in names]


_TABLES = {EntityKind.SONG: t.recording, EntityKind.ARTIST: t.artist, EntityKind.RELEASE: t.release}
_STATEMENTS = {EntityKind.SONG: _songs(), EntityKind.ARTIST: _artists(), EntityKind.RELEASE: _releases()}
