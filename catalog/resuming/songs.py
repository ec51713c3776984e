"""The ids of songs, remembered for a while: heartbeats are too many to ask the database about each."""

import time

from cachetools import TTLCache

from catalog.database import Database
from catalog.resuming.rows import existing
from reprise.errors import Unavailable

SONGS_MAX = 50_000
# A song that is merged goes on by its old id for so long; `batches` looks again.
KNOWN_S = 300.0


class KnownSongs:
    """What each song's id is now."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: TTLCache[str, str] = TTLCache(SONGS_MAX, KNOWN_S, timer=time.monotonic)

    async def canonical(self, song_id: str) -> str:
        """The id that a song goes by since it was merged, or the same. Raises NotFound, if the database can be asked."""
        known = self._ids.get(song_id)
        if known is None:
            try:
                known = str(await self._database.read(lambda connection: existing(connection, song_id)))
            except Unavailable:
                return song_id
            self._ids[song_id] = known
        return known
