"""Songs that operators name, those to come included: what listeners are not told of yet can be warmed and purged."""

from collections.abc import Collection, Sequence

from balancer.songs import Fetch, Songs
from reprise.errors import InvalidRequest, NotFound
from reprise.ids import check_uuid
from reprise.types.v1.types_pb2 import Rendition

# Of one question to the catalog.
SONGS_MAX = 100


class SongLookup:
    """Asks what is remembered first: with the catalog away, what was played lately can still be purged."""

    def __init__(self, songs: Songs, fetch_upcoming: Fetch) -> None:
        self._songs = songs
        self._fetch_upcoming = fetch_upcoming

    async def renditions(self, song_ids: Sequence[str], songs_max: int = SONGS_MAX) -> tuple[Rendition, ...]:
        """All renditions of these songs; raises NotFound that names the first song without any."""
        if not 0 < len(song_ids) <= songs_max:
            raise InvalidRequest(f"name 1 to {songs_max} songs, not {len(song_ids)}")
        for song_id in song_ids:
            check_uuid(song_id, "song_id")
        found: dict[str, Rendition] = {}
        for first in range(0, len(song_ids), SONGS_MAX):
            for rendition in await self._some(song_ids[first : first + SONGS_MAX]):
                found[rendition.rendition_id] = rendition
        return tuple(found.values())

    def forget(self, rendition_ids: Collection[str]) -> None:
        """What has these renditions is to be asked for anew."""
        self._songs.forget(rendition_ids)

    async def _some(self, song_ids: Sequence[str]) -> list[Rendition]:
        known = await self._songs.renditions(song_ids)
        hidden = [song_id for song_id in song_ids if not known[song_id]]
        upcoming = await self._fetch_upcoming(hidden) if hidden else {}
        for song_id in hidden:
            if not upcoming.get(song_id):
                raise NotFound(f"there is no song {song_id}, or it has no rendition")
        return [rendition for song_id in song_ids for rendition in known[song_id] or upcoming[song_id]]
