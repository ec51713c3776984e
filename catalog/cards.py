"""Cards: each song as the message that listeners get, serialised, beside its rows.

A list or a search takes one statement for all its songs, and sends the bytes as they are. A card is written in the transaction
that changes what it shows, so it is never old; one that is missing (the database is of an older build) is made from the rows.
"""

import uuid
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import shelves
from catalog import tables as t
from catalog.availability import is_visible
from catalog.database import Database
from catalog.model import Song
from catalog.song_wire import song_message
from catalog.songs import load_songs
from reprise.log import get_logger

log = get_logger()

# Of one statement.
BATCH = 500
_SHOWN = sa.select(t.song_card).where(
    t.song_card.c.recording_id == t.recording.c.id,
    t.recording.c.id.in_(sa.bindparam("ids", expanding=True)),
    is_visible(t.recording),
)


async def refresh(connection: AsyncConnection, song_ids: Sequence[uuid.UUID]) -> None:
    """Writes the cards of these songs anew. Sorted, so that two transactions never wait for each other in a circle.

    Each song is locked before it is read: of two transactions that change what it shows, the later one sees both changes.
    """
    ordered = sorted(set(song_ids))
    for first in range(0, len(ordered), BATCH):
        batch = ordered[first : first + BATCH]
        locked = sa.select(t.recording.c.id).where(t.recording.c.id.in_(batch)).order_by(t.recording.c.id)
        await connection.execute(locked.with_for_update(key_share=True))
        songs = await load_songs(connection, batch)
        rows = [{"recording_id": uuid.UUID(song.song_id), "message": card_of(song)} for song in songs]
        if rows:
            statement = insert(t.song_card).values(rows)
            written = {"message": statement.excluded.message}
            await connection.execute(statement.on_conflict_do_update(constraint=t.song_card.primary_key, set_=written))
        await shelves.refresh(connection, batch)


async def load_cards(connection: AsyncConnection, song_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, bytes]:
    """The cards of those songs that are to be seen."""
    if not song_ids:
        return {}
    rows = await connection.execute(_SHOWN, {"ids": list(song_ids)})
    cards = {row.recording_id: row.message for row in rows}
    missing = [song_id for song_id in song_ids if song_id not in cards]
    for song in await load_songs(connection, missing, is_visible(t.recording)) if missing else ():
        cards[uuid.UUID(song.song_id)] = card_of(song)
    return cards


async def fill(database: Database) -> int:
    """Makes the cards that are missing, batch by batch; how many those were. Raises Unavailable."""
    made = 0
    while batch := await database.write(_fill_some):
        made += batch
        log.info("cards_filled", songs=made)
    return made


async def _fill_some(connection: AsyncConnection) -> int:
    without = ~sa.exists().where(t.song_card.c.recording_id == t.recording.c.id)
    # Several catalogs may start at once: each takes others.
    some = sa.select(t.recording.c.id).where(without).order_by(t.recording.c.id).limit(BATCH)
    ids = list((await connection.execute(some.with_for_update(skip_locked=True))).scalars())
    await refresh(connection, ids)
    return len(ids)


def card_of(song: Song) -> bytes:
    """The card of a song."""
    return song_message(song).SerializeToString(deterministic=True)
