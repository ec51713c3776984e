"""Cards: each song as the message that listeners get, serialised, beside its rows.

A list or a search takes one statement for all its songs, and parses none of their rows. A card is written in the transaction
that changes what it shows, so it is never old; one that is missing (the database is of an older build) is made from the rows.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

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
from reprise.errors import Unavailable
from reprise.log import get_logger

log = get_logger()

# Of one statement.
BATCH = 500
FILL_AGAIN_S = 5.0
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
    made, after = 0, uuid.UUID(int=0)
    while True:
        filled = await database.write(partial(_fill_some, after))
        if filled.looked_to is None:
            return made
        after = filled.looked_to
        if filled.cards:
            made += filled.cards
            log.info("cards_filled", songs=made)


async def keep_filled(database: Database) -> None:
    """Fills once, however long the database is away, and ends. Until then each read makes what is missing."""
    while True:
        try:
            await fill(database)
        except Unavailable as error:
            log.warning("cards_wait", reason=error.message)
            await asyncio.sleep(FILL_AGAIN_S)
        else:
            return


@dataclass(frozen=True, slots=True)
class _Filled:
    """How many cards were made, and the last song that was looked at, None at the end."""

    cards: int
    looked_to: uuid.UUID | None


async def _fill_some(after: uuid.UUID, connection: AsyncConnection) -> _Filled:
    some = sa.select(t.recording.c.id).where(t.recording.c.id > after).order_by(t.recording.c.id).limit(BATCH)
    page = some.subquery()
    statement = sa.select(page.c.id, t.song_card.c.recording_id).outerjoin(
        t.song_card, t.song_card.c.recording_id == page.c.id
    )
    rows = (await connection.execute(statement.order_by(page.c.id))).all()
    missing = [row.id for row in rows if row.recording_id is None]
    await refresh(connection, missing)
    return _Filled(len(missing), rows[-1].id if rows else None)


def card_of(song: Song) -> bytes:
    """The card of a song."""
    return song_message(song).SerializeToString(deterministic=True)
