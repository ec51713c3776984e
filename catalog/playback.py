"""What a player needs of songs besides their audio: the signed manifests of their renditions, and how loud they are."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import redirects
from catalog import tables as t
from catalog.availability import is_visible
from catalog.database import Database
from catalog.model import EntityKind, Loudness
from catalog.signed_manifests import SignedManifests
from reprise.errors import InvalidRequest
from reprise.types.v1.types_pb2 import SignedManifest

# Together with the rest of an answer below what a client takes.
BYTES_MAX = 3 << 20


@dataclass(frozen=True, slots=True)
class Playable:
    """One song; manifests in the order of its renditions."""

    song_id: str
    manifests: tuple[SignedManifest, ...]
    loudness: Loudness | None


@dataclass(frozen=True, slots=True)
class Playables:
    """Songs in the order asked. `redirected` is old id to the id of the song that is answered."""

    songs: tuple[Playable, ...]
    unknown_song_ids: tuple[str, ...]
    redirected: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Known:
    loudness: Loudness | None
    rendition_ids: list[str]


class Playback:
    """Answers for songs that listeners may see."""

    def __init__(self, database: Database, manifests: SignedManifests) -> None:
        self._database = database
        self._manifests = manifests

    async def get(self, song_ids: Sequence[uuid.UUID]) -> Playables:
        """Raises InvalidRequest when the answer would be too long, DataCorrupt or Unavailable."""
        redirected, known = await self._database.read(lambda connection: _load(connection, song_ids))
        wanted = dict.fromkeys(redirected.get(song_id, song_id) for song_id in song_ids)
        found = [song_id for song_id in wanted if song_id in known]
        manifests = iter(await self._manifests.get([one for song_id in found for one in known[song_id].rendition_ids]))
        songs = tuple(
            Playable(str(song_id), tuple(next(manifests) for _ in song.rendition_ids), song.loudness)
            for song_id, song in ((song_id, known[song_id]) for song_id in found)
        )
        size_bytes = sum(manifest.ByteSize() for song in songs for manifest in song.manifests)
        if size_bytes > BYTES_MAX and len(songs) > 1:
            raise InvalidRequest(f"the manifests of these songs are {size_bytes} bytes: ask for fewer songs at once")
        unknown = dict.fromkeys(str(song_id) for song_id in song_ids if redirected.get(song_id, song_id) not in known)
        followed = {str(old): str(new) for old, new in redirected.items() if new in known}
        return Playables(songs, tuple(unknown), followed)


async def _load(
    connection: AsyncConnection, song_ids: Sequence[uuid.UUID]
) -> tuple[dict[uuid.UUID, uuid.UUID], dict[uuid.UUID, _Known]]:
    redirected = await redirects.resolve(connection, EntityKind.SONG, song_ids)
    wanted = {redirected.get(song_id, song_id) for song_id in song_ids}
    song, rendition = t.recording.c, t.rendition.c
    statement = (
        sa.select(song.id, song.integrated_lufs, song.true_peak_dbtp, song.loudness_range_lu, rendition.rendition_id)
        .join(t.rendition, rendition.recording_id == song.id)
        .where(song.id.in_(wanted), is_visible(t.recording))
        .order_by(song.id, rendition.position)
    )
    known: dict[uuid.UUID, _Known] = {}
    for row in await connection.execute(statement):
        measured = row.integrated_lufs is not None
        loudness = Loudness(row.integrated_lufs, row.true_peak_dbtp, row.loudness_range_lu) if measured else None
        known.setdefault(row.id, _Known(loudness, [])).rendition_ids.append(row.rendition_id.hex())
    return redirected, known
