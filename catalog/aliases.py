"""The other names by which an artist is found, as an operator sets them."""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import locks, normalise, outbox, redirects
from catalog import tables as t
from catalog.database import Database
from catalog.model import EntityKind
from catalog.publication import check_name
from reprise.errors import InvalidRequest, NotFound

ALIASES_MAX = 50


class Aliases:
    """Aliases in one catalog database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def set(self, artist_id: uuid.UUID, aliases: Sequence[str]) -> None:
        """Replaces those set before. Raises InvalidRequest, NotFound or Unavailable."""
        if len(aliases) > ALIASES_MAX:
            raise InvalidRequest(f"aliases has {len(aliases)} entries, at most {ALIASES_MAX}")
        # Of two that read the same the first counts.
        by_key = {normalise.key(check_name(alias, "aliases")): alias for alias in reversed(aliases)}
        await self._database.write(lambda connection: _set(connection, artist_id, by_key))


async def _set(connection: AsyncConnection, artist_id: uuid.UUID, by_key: dict[str, str]) -> None:
    await locks.hold_merges_off(connection)
    artist_id = (await redirects.resolve(connection, EntityKind.ARTIST, [artist_id])).get(artist_id, artist_id)
    # Locked, so that of two at once one is whole.
    artist = sa.select(t.artist.c.id).where(t.artist.c.id == artist_id).with_for_update(key_share=True)
    if (await connection.execute(artist)).first() is None:
        raise NotFound(f"no such artist: {artist_id}")
    await connection.execute(sa.delete(t.artist_alias).where(t.artist_alias.c.artist_id == artist_id))
    rows = [{"artist_id": artist_id, "alias_key": key, "alias": alias} for key, alias in by_key.items()]
    if rows:
        await connection.execute(sa.insert(t.artist_alias), rows)
    await outbox.tell(connection, EntityKind.ARTIST, [artist_id])
    await outbox.tell(connection, EntityKind.SONG, await _songs(connection, artist_id))


async def _songs(connection: AsyncConnection, artist_id: uuid.UUID) -> list[uuid.UUID]:
    """Songs are found by their artists' other names too."""
    songs = sa.select(t.recording.c.id).join(
        t.artist_credit_name, t.artist_credit_name.c.credit_id == t.recording.c.credit_id
    )
    return list(
        (await connection.execute(songs.where(t.artist_credit_name.c.artist_id == artist_id).distinct())).scalars()
    )
