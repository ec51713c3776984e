"""What the catalog knows, as plain values. Ids are UUIDs in canonical text; digests are lower-case hex."""

from dataclasses import dataclass
from enum import IntEnum

# On the catalog's HTTP port; the digest of the image follows.
COVERS_PATH = "/covers/"


class EntityKind(IntEnum):
    """What changes, merges and is searched; numbered as `reprise.catalog.v1.EntityKind`."""

    SONG = 1
    ARTIST = 2
    RELEASE = 3


@dataclass(frozen=True, slots=True)
class Credit:
    """One artist as named on a song or release; `join_phrase` follows the name."""

    name: str
    join_phrase: str = ""
    artist_id: str = ""


@dataclass(frozen=True, slots=True)
class Artist:
    artist_id: str
    name: str
    sort_name: str


@dataclass(frozen=True, slots=True)
class Genre:
    genre_id: str
    name: str


@dataclass(frozen=True, slots=True)
class Release:
    """An edition of an album, single or other publication.

    `cover` is the digest of its image, or empty; `kind` is the number of `reprise.types.v1.ReleaseKind`.
    """

    release_id: str
    title: str
    artists: tuple[Credit, ...]
    date: str = ""
    cover: str = ""
    cover_sizes_px: tuple[int, ...] = ()
    kind: int = 0
    group_id: str = ""
    loudness: "Loudness | None" = None


@dataclass(frozen=True, slots=True)
class Loudness:
    """EBU R128: LUFS, dBTP and LU."""

    integrated_lufs: float
    true_peak_dbtp: float
    range_lu: float


@dataclass(frozen=True, slots=True)
class Rendition:
    """One immutable encoding of a song; `codec` is the number of `reprise.types.v1.Codec`."""

    rendition_id: str
    codec: int
    bitrate_bps: int
    size_bytes: int
    duration_ms: int
    sample_rate_hz: int
    channels: int
    mime_type: str
    # Per channel: before the song, after it, and its own; 0 own samples when it was not measured.
    delay_samples: int = 0
    padding_samples: int = 0
    samples: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Song:
    """What a listener finds and plays, without any state of a listener."""

    song_id: str
    title: str
    artists: tuple[Credit, ...]
    duration_ms: int
    release: Release | None = None
    genres: tuple[Genre, ...] = ()
    cover: str = ""
    cover_sizes_px: tuple[int, ...] = ()
    track_number: int = 0
    disc_number: int = 0
    date: str = ""
    explicit: bool = False
    isrcs: tuple[str, ...] = ()
    renditions: tuple[Rendition, ...] = ()
    loudness: Loudness | None = None


@dataclass(frozen=True, slots=True)
class Upcoming:
    """A release to come, with songs of it."""

    release_id: str
    title: str
    at_unix_ms: int
    songs: tuple[Song, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """A song as ingest hands it in: names, not ids. `publication.check` says what a valid one is."""

    source_sha256: str
    title: str
    artists: tuple[Credit, ...]
    duration_ms: int
    renditions: tuple[Rendition, ...]
    album: str = ""
    album_artists: tuple[Credit, ...] = ()
    genres: tuple[str, ...] = ()
    track_number: int = 0
    disc_number: int = 0
    date: str = ""
    isrcs: tuple[str, ...] = ()
    explicit: bool = False
    cover_sha256: str = ""
    cover_mime_type: str = ""
    # 0 leaves it to the release.
    available_from_unix_ms: int = 0
    loudness: Loudness | None = None
    # MusicBrainz ids, empty when the tags have none; those of artists one per credit, or none at all.
    recording_mbid: str = ""
    release_mbid: str = ""
    release_group_mbid: str = ""
    artist_mbids: tuple[str, ...] = ()
    album_artist_mbids: tuple[str, ...] = ()
    # One per entry of `artists`, or none at all.
    artist_sort_names: tuple[str, ...] = ()
    # The number of `reprise.types.v1.ReleaseKind`.
    release_kind: int = 0
    cover_sizes_px: tuple[int, ...] = ()
    label: str = ""
    barcode: str = ""
