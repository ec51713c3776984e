"""The release of a publication, its group and its medium: found, or made, or made more complete.

What a release has stays: later songs only add what it lacks. Its row is locked until the publication commits, so songs of one
release take turns from there on, and a change of its moment waits for the song, or the song for the change.
"""

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import identity, locks, moments, normalise, redirects
from catalog import tables as t
from catalog.identity import Adopt, Candidate, Identity, Known
from catalog.model import EntityKind, Publication

Id = uuid.UUID

# A smaller change of a release's loudness is not worth new cards for all of its songs: nobody hears it.
LOUDNESS_STEP_LU = 0.1
_FACTS = ("date", "cover", "label", "barcode")


@dataclass(frozen=True, slots=True)
class Edition:
    """The release that a song is on. `changed`: songs of its group show something of it that is new."""

    release_id: Id
    group_id: Id
    available_from: datetime | None
    withdrawn_at: datetime | None
    changed: bool


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A release as the tags name it."""

    title: str
    title_key: str
    first_artist_id: Id
    mbid: Id | None
    group_mbid: Id | None

    @property
    def names(self) -> list[str]:
        mbids = [f"release {mbid}" for mbid in (self.mbid, self.group_mbid) if mbid]
        return [f"release {self.first_artist_id} {self.title_key}", *mbids]


async def join(
    connection: AsyncConnection, song: Publication, credit_id: Id, cover: bytes | None, new_id: Callable[[], Id]
) -> Edition | None:
    """The release of `song`, whose artists have their ids; None when it is on none. Raises NotReady (its moment)."""
    if not song.album:
        return None
    wanted = _Wanted(
        song.album,
        normalise.key(song.album),
        uuid.UUID((song.album_artists or song.artists)[0].artist_id),
        uuid.UUID(song.release_mbid) if song.release_mbid else None,
        uuid.UUID(song.release_group_mbid) if song.release_group_mbid else None,
    )
    moment = song.available_from_unix_ms
    facts = {"date": song.date, "cover": cover, "label": song.label, "barcode": song.barcode}
    held = {"credit_id": credit_id, "available_from": moments.at(moment) if moment else None}
    release_id = await _find_or_make(connection, wanted, facts | held, new_id)
    release, added = await _complete(connection, release_id, facts)
    added |= await _complete_group(connection, release.group_id, wanted, song.release_kind)
    medium = {"release_id": release_id, "disc_number": song.disc_number}
    await connection.execute(insert(t.medium).values(medium).on_conflict_do_nothing())
    moments.check_agrees(song.album, moments.unix_ms(release.available_from), moment)
    return Edition(release_id, release.group_id, release.available_from, release.withdrawn_at, added)


async def measure(connection: AsyncConnection, release_id: Id) -> bool:
    """Keeps the loudness of a release up to date with its songs; whether it changed by what can be heard.

    The mean of the songs' energies, weighted by their lengths: what EBU R128 would measure over all of them, but for its
    gates, which leave out more of an album's quiet songs than of each alone. Its loudness range does not follow from its songs.
    """
    recording, release = t.recording.c, t.release.c
    energy = sa.func.sum(recording.duration_ms * sa.func.power(10.0, recording.integrated_lufs / 10.0))
    loudness = 10.0 * sa.func.log(energy / sa.func.sum(recording.duration_ms))
    of_songs = (
        sa.select(loudness.label("lufs"), sa.func.max(recording.true_peak_dbtp).label("peak"))
        .join(t.track, t.track.c.recording_id == recording.id)
        .where(t.track.c.release_id == release_id)
        .where(recording.integrated_lufs.is_not(None), recording.duration_ms > 0)
        .subquery()
    )
    kept = sa.func.coalesce(release.integrated_lufs, 1000.0)
    louder = sa.or_(sa.func.abs(of_songs.c.lufs - kept) >= LOUDNESS_STEP_LU, of_songs.c.peak > release.true_peak_dbtp)
    changed = await connection.execute(
        sa.update(t.release)
        .where(release.id == release_id, of_songs.c.lufs.is_not(None), louder)
        .values(integrated_lufs=of_songs.c.lufs, true_peak_dbtp=of_songs.c.peak)
        .returning(release.id)
    )
    return changed.first() is not None


async def songs_of_group(connection: AsyncConnection, group_id: Id) -> set[Id]:
    """The songs of all editions of an album."""
    songs = sa.select(t.track.c.recording_id).join(t.release, t.release.c.id == t.track.c.release_id)
    return set((await connection.execute(songs.where(t.release.c.group_id == group_id))).scalars())


async def _find_or_make(
    connection: AsyncConnection, wanted: _Wanted, facts: dict[str, Any], new_id: Callable[[], Id]
) -> Id:
    found = await _find(connection, wanted)
    if not (isinstance(found, Known) and await _has_group_mbid(connection, found.id, wanted)):
        await locks.lock_names(connection, wanted.names)
        found = await _find(connection, wanted)
    match found:
        case Known(release_id):
            return release_id
        case Adopt(release_id):
            adopted = sa.update(t.release).where(t.release.c.id == release_id).values(mbid=wanted.mbid)
            await connection.execute(adopted)
            return release_id
    release_id = new_id()
    row = _row(wanted, release_id) | facts | {"group_id": await _group(connection, wanted, new_id)}
    await connection.execute(sa.insert(t.release).values(row))
    return release_id


async def _find(connection: AsyncConnection, wanted: _Wanted) -> Identity:
    release, group = t.release.c, t.release_group.c
    named = sa.and_(release.title_key == wanted.title_key, release.first_artist_id == wanted.first_artist_id)
    condition = named if wanted.mbid is None else sa.or_(named, release.mbid == wanted.mbid)
    select = sa.select(release.id, release.mbid, group.mbid.label("group_mbid")).join_from(t.release, t.release_group)
    rows = (await connection.execute(select.where(condition).order_by(release.id))).all()
    of_mbid = next((row.id for row in rows if wanted.mbid and row.mbid == wanted.mbid), None)
    if wanted.mbid and of_mbid is None:
        of_mbid = (await redirects.resolve(connection, EntityKind.RELEASE, [wanted.mbid])).get(wanted.mbid)
    # A namesake of another group is another album.
    same = [row for row in rows if None in (row.group_mbid, wanted.group_mbid) or row.group_mbid == wanted.group_mbid]
    return identity.decide(wanted.mbid, of_mbid, [Candidate(row.id, row.mbid) for row in same])


async def _group(connection: AsyncConnection, wanted: _Wanted, new_id: Callable[[], Id]) -> Id:
    """The group for a new edition. Under the locks of its names."""
    group = t.release_group.c
    named = sa.and_(group.title_key == wanted.title_key, group.first_artist_id == wanted.first_artist_id)
    condition = named if wanted.group_mbid is None else sa.or_(named, group.mbid == wanted.group_mbid)
    rows = (await connection.execute(sa.select(group.id, group.mbid).where(condition).order_by(group.id))).all()
    of_mbid = next((row.id for row in rows if wanted.group_mbid and row.mbid == wanted.group_mbid), None)
    match identity.decide(wanted.group_mbid, of_mbid, [Candidate(row.id, row.mbid) for row in rows]):
        # Adopting follows, when the edition is complete.
        case Known(group_id) | Adopt(group_id):
            return group_id
    group_id = new_id()
    await connection.execute(sa.insert(t.release_group).values(_row(wanted, group_id) | {"mbid": wanted.group_mbid}))
    return group_id


def _row(wanted: _Wanted, id_: Id) -> dict[str, Any]:
    return {
        "id": id_,
        "title": wanted.title,
        "title_key": wanted.title_key,
        "first_artist_id": wanted.first_artist_id,
        "mbid": wanted.mbid,
    }


async def _complete(connection: AsyncConnection, release_id: Id, facts: dict[str, Any]) -> tuple[sa.Row[Any], bool]:
    """The release, locked, with those facts that it lacked; and whether it lacked any."""
    mine = t.release.c.id == release_id
    row = (await connection.execute(sa.select(t.release).where(mine).with_for_update(key_share=True))).one()
    lacking = {name: facts[name] for name in _FACTS if facts[name] and not getattr(row, name)}
    if lacking:
        await connection.execute(sa.update(t.release).where(mine).values(lacking))
    return row, bool(lacking)


async def _has_group_mbid(connection: AsyncConnection, release_id: Id, wanted: _Wanted) -> bool:
    """Whether the group of a release needs no id of MusicBrainz from this publication."""
    if wanted.group_mbid is None:
        return True
    of_release = sa.select(t.release_group.c.mbid).join(t.release, t.release.c.group_id == t.release_group.c.id)
    return (await connection.execute(of_release.where(t.release.c.id == release_id))).scalar_one() is not None


async def _complete_group(connection: AsyncConnection, group_id: Id, wanted: _Wanted, kind: int) -> bool:
    """Gives the group the kind and the id that it lacks; whether it lacked the kind, which songs show."""
    group = t.release_group.c
    mine = group.id == group_id
    if wanted.group_mbid:
        # Under the lock of this id, unless the group has one. If another album has it, tags disagree, and that one keeps it.
        taken = sa.exists().where(t.release_group.alias("other").c.mbid == wanted.group_mbid)
        adopted = sa.update(t.release_group).where(mine, group.mbid.is_(None), ~taken)
        await connection.execute(adopted.values(mbid=wanted.group_mbid))
    if not kind:
        return False
    given = sa.update(t.release_group).where(mine, group.kind == 0).values(kind=kind).returning(group.id)
    return (await connection.execute(given)).first() is not None
