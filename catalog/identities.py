"""The artists, credits and genres of a publication: found, or made.

Races: what exists already needs no lock. Who must make or change an artist locks all names of the publication first and looks
again, so of two that bring the same new artist the second finds the first one's. Credits and genres are inserted or, if another
publication was faster, waited for and read.
"""

import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import identity, locks, normalise, publication, redirects
from catalog import tables as t
from catalog.identity import Adopt, Candidate, Identity, Known
from catalog.model import Credit, EntityKind, Publication

Id = uuid.UUID
NewId = Callable[[], Id]


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An artist as the tags name it."""

    key: str
    mbid: Id | None


class _Shelf:
    """The artists that have one of the wanted names or ids."""

    def __init__(self) -> None:
        self._of_mbid: dict[Id, Id] = {}
        self._of_name: dict[str, list[Candidate]] = defaultdict(list)

    def put(self, key: str, artist_id: Id, mbid: Id | None) -> None:
        self._of_name[key] = [one for one in self._of_name[key] if one.id != artist_id] + [Candidate(artist_id, mbid)]
        if mbid is not None:
            self._of_mbid[mbid] = artist_id

    def redirect(self, mbid: Id, artist_id: Id) -> None:
        self._of_mbid[mbid] = artist_id

    def knows(self, wanted: _Wanted) -> bool:
        return bool(self._of_name[wanted.key])

    def find(self, wanted: _Wanted) -> Identity:
        of_mbid = self._of_mbid.get(wanted.mbid) if wanted.mbid else None
        return identity.decide(wanted.mbid, of_mbid, self._of_name[wanted.key])


async def assign_artists(connection: AsyncConnection, song: Publication, new_id: NewId) -> Publication:
    """`song` with an artist's id in every credit; new artists are made."""
    of_song = list(zip(song.artists, _mbids(song.artists, song.artist_mbids), strict=True))
    of_album = list(zip(song.album_artists, _mbids(song.album_artists, song.album_artist_mbids), strict=True))
    # A name that has an id anywhere in a publication has it everywhere.
    mbids = {normalise.key(credit.name): mbid for credit, mbid in (*of_album, *of_song) if mbid}
    sort_names = dict(zip((credit.name for credit in song.artists), song.artist_sort_names, strict=False))
    rows: dict[_Wanted, dict[str, Any]] = {}

    def wanted(credit: Credit, mbid: Id | None) -> _Wanted:
        key = normalise.key(credit.name)
        return _Wanted(key, mbid or mbids.get(key))

    for credit, mbid in (*of_song, *of_album):
        rows.setdefault(wanted(credit, mbid), _artist_row(credit.name, sort_names.get(credit.name, "")))
    ids = await _find_or_make(connection, rows, new_id)

    def assigned(credits_: Sequence[tuple[Credit, Id | None]]) -> tuple[Credit, ...]:
        return tuple(replace(credit, artist_id=str(ids[wanted(credit, mbid)])) for credit, mbid in credits_)

    return replace(song, artists=assigned(of_song), album_artists=assigned(of_album))


async def credit_ids(connection: AsyncConnection, wanted: Sequence[Sequence[Credit]], new_id: NewId) -> list[Id]:
    """The row of each list of artists, in that order."""
    by_digest = {publication.credit_digest(credits_): credits_ for credits_ in wanted}
    made: set[object] = set()
    ids = await _ids_by(connection, t.artist_credit.c.digest, {digest: {} for digest in by_digest}, new_id, made)
    names = [
        {
            "credit_id": ids[digest],
            "position": position,
            "artist_id": uuid.UUID(credit.artist_id),
            "name": credit.name,
            "join_phrase": credit.join_phrase,
        }
        for digest, credits_ in by_digest.items()
        if digest in made
        for position, credit in enumerate(credits_)
    ]
    if names:
        await connection.execute(sa.insert(t.artist_credit_name), names)
    return [ids[publication.credit_digest(credits_)] for credits_ in wanted]


async def genre_ids(connection: AsyncConnection, genres: Sequence[str], new_id: NewId) -> list[Id]:
    """The row of each genre, once, in that order."""
    rows: dict[object, dict[str, Any]] = {}
    for name in genres:
        rows.setdefault(normalise.key(name), {"name": name})
    ids = await _ids_by(connection, t.genre.c.name_key, rows, new_id) if rows else {}
    return [ids[key] for key in rows]


async def _find_or_make(
    connection: AsyncConnection, rows: Mapping[_Wanted, dict[str, Any]], new_id: NewId
) -> dict[_Wanted, Id]:
    shelf = await _look(connection, list(rows))
    found = {wanted: shelf.find(wanted) for wanted in rows}
    ids = {wanted: known.id for wanted, known in found.items() if isinstance(known, Known)}
    if len(ids) == len(rows):
        return ids
    names = [f"artist {name}" for wanted in rows for name in (wanted.key, wanted.mbid) if name]
    await locks.lock_names(connection, names)
    shelf = await _look(connection, list(rows))
    # Those with an id first: a namesake without one may be the same.
    for wanted in sorted(rows, key=lambda wanted: (wanted.mbid is None, wanted.key, str(wanted.mbid))):
        match shelf.find(wanted):
            case Known(artist_id):
                pass
            case Adopt(artist_id):
                adopted = sa.update(t.artist).where(t.artist.c.id == artist_id).values(mbid=wanted.mbid)
                await connection.execute(adopted)
            case _:
                artist_id = new_id()
                row = {"id": artist_id, "name_key": wanted.key, "mbid": wanted.mbid, **rows[wanted]}
                await connection.execute(sa.insert(t.artist).values(row))
        ids[wanted] = artist_id
        shelf.put(wanted.key, artist_id, wanted.mbid)
    return ids


async def _look(connection: AsyncConnection, wanted: Sequence[_Wanted]) -> _Shelf:
    artist, alias = t.artist.c, t.artist_alias.c
    keys, mbids = [one.key for one in wanted], [one.mbid for one in wanted if one.mbid]
    select = sa.select(artist.name_key, artist.id, artist.mbid)
    select = select.where(sa.or_(artist.name_key.in_(keys), artist.mbid.in_(mbids)))
    shelf = _Shelf()
    for row in await connection.execute(select.order_by(artist.id)):
        shelf.put(row.name_key, row.id, row.mbid)
    if mbids:
        for mbid, artist_id in (await redirects.resolve(connection, EntityKind.ARTIST, mbids)).items():
            shelf.redirect(mbid, artist_id)
    # Without an artist of that name, the only one that is also called so: who was merged away does not come back with a file.
    unknown = [one.key for one in wanted if one.mbid is None and not shelf.knows(one)]
    if unknown:
        of_alias = sa.select(alias.alias_key, sa.func.array_agg(alias.artist_id)).where(alias.alias_key.in_(unknown))
        for key, artist_ids in await connection.execute(of_alias.group_by(alias.alias_key)):
            if len(artist_ids) == 1:
                shelf.put(key, artist_ids[0], None)
    return shelf


def _mbids(credits_: Sequence[Credit], mbids: Sequence[str]) -> list[Id | None]:
    return [uuid.UUID(mbid) if mbid else None for mbid in mbids or [""] * len(credits_)]


def _artist_row(name: str, sort_name: str) -> dict[str, Any]:
    sort_name = sort_name or normalise.sort_name(name)
    return {"name": name, "sort_name": sort_name, "sort_key": normalise.key(sort_name)}


async def _ids_by(
    connection: AsyncConnection,
    key: sa.Column[Any],
    rows: Mapping[object, dict[str, Any]],
    new_id: NewId,
    made: set[object] | None = None,
) -> dict[object, Id]:
    """The id of each row by its unique `key`; missing ones are inserted, and their keys put into `made`."""
    table = key.table
    select = sa.select(key, table.c.id).where(key.in_(list(rows)))
    ids: dict[object, Id] = {row[0]: row[1] for row in await connection.execute(select)}
    missing = sorted(rows.keys() - ids.keys())  # type: ignore[type-var]
    if not missing:
        return ids
    values = [{"id": new_id(), key.name: value, **rows[value]} for value in missing]
    statement = insert(table).values(values).on_conflict_do_nothing(index_elements=[key]).returning(key)
    inserted = [row[0] for row in await connection.execute(statement)]
    if made is not None:
        made.update(inserted)
    # Those that another publication inserted meanwhile were waited for: they are committed and visible now.
    return {row[0]: row[1] for row in await connection.execute(select)}
