"""Between the protos and the catalog's own values: parses requests, builds answers. Pure."""

import uuid
from collections.abc import Iterable, Sequence
from typing import cast

from catalog import browse
from catalog.browse_entries import Entry
from catalog.listing import Filter, Kind, Listing, Order
from catalog.model import Artist, Credit, EntityKind, Genre, Loudness, Publication, Release, Rendition, Upcoming
from catalog.outbox import Change
from catalog.playback import Playables
from catalog.search import Page
from catalog.searching.backend import Filters
from catalog.song_wire import artist_message, loudness_message, release_message, song_message
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.errors import InvalidRequest
from reprise.ids import check_sha256, check_uuid
from reprise.types.v1 import types_pb2 as types

PAGE_SIZE_MAX = 100
SONG_IDS_MAX = 100
SOURCES_MAX = 1000
REASON_CHARS_MAX = 500


def page_size(asked: int, default: int) -> int:
    """How many entries a page gets; 0 asks for the default."""
    if asked > PAGE_SIZE_MAX:
        raise InvalidRequest(f"page_size must be 0 to {PAGE_SIZE_MAX}, not {asked}")
    return asked or default


def song_ids(texts: Sequence[str], count_max: int = SONG_IDS_MAX) -> list[uuid.UUID]:
    """1 to `count_max` ids."""
    if not 1 <= len(texts) <= count_max:
        raise InvalidRequest(f"song_ids must have 1 to {count_max} entries, not {len(texts)}")
    return [check_uuid(text, "song_ids") for text in texts]


def sources(digests: Sequence[str]) -> list[str]:
    """At most SOURCES_MAX digests."""
    if len(digests) > SOURCES_MAX:
        raise InvalidRequest(f"source_sha256 must have at most {SOURCES_MAX} entries, not {len(digests)}")
    return [check_sha256(digest, "source_sha256") for digest in digests]


def filters(request: pb.SearchRequest) -> Filters:
    """What a search is narrowed to."""
    return Filters(
        artist_id=check_uuid(request.artist_id, "artist_id") if request.artist_id else None,
        genre_id=check_uuid(request.genre_id, "genre_id") if request.genre_id else None,
        year_from=request.year_from,
        year_to=request.year_to,
    )


def listing(request: pb.BrowseRequest) -> Listing:
    """Which list a request asks for."""
    if int(request.kind) not in list(Kind):
        raise InvalidRequest("kind is missing: one of artists, releases, genres, songs")
    if int(request.order) not in list(Order):
        raise InvalidRequest(f"order {request.order} is unknown")
    kind, order = Kind(request.kind), Order(request.order)
    name = request.WhichOneof("filter")
    if name is None:
        return Listing(kind, order)
    return Listing(kind, order, Filter(name), check_uuid(getattr(request, name), name))


def publication(request: pb.PublishSongRequest) -> Publication:
    """The song in a request, not checked yet."""
    return Publication(
        source_sha256=request.source_sha256,
        title=request.title,
        artists=_credits(request.artists),
        duration_ms=request.duration_ms,
        renditions=tuple(map(_rendition, request.renditions)),
        album=request.album,
        album_artists=_credits(request.album_artists),
        genres=tuple(request.genres),
        track_number=request.track_number,
        disc_number=request.disc_number,
        date=request.date,
        isrcs=tuple(request.isrcs),
        explicit=request.explicit,
        cover_sha256=request.cover_sha256,
        cover_mime_type=request.cover_mime_type,
        available_from_unix_ms=request.available_from_unix_ms,
        loudness=_loudness(request.loudness) if request.HasField("loudness") else None,
        recording_mbid=request.recording_mbid,
        release_mbid=request.release_mbid,
        release_group_mbid=request.release_group_mbid,
        artist_mbids=tuple(request.artist_mbids),
        album_artist_mbids=tuple(request.album_artist_mbids),
        artist_sort_names=tuple(request.artist_sort_names),
        release_kind=request.release_kind,
        cover_sizes_px=tuple(request.cover_sizes_px),
        label=request.label,
        barcode=request.barcode,
    )


def search_response(page: Page) -> pb.SearchResponse:
    return pb.SearchResponse(
        songs=map(types.Song.FromString, page.songs),
        next_cursor=page.next_cursor,
        partial=page.partial,
        artists=map(artist_message, page.artists),
        releases=map(release_message, page.releases),
    )


def entity_kind(kind: int) -> EntityKind:
    """What a merge is about."""
    if kind not in list(EntityKind):
        raise InvalidRequest("kind is missing: one of song, artist, release")
    return EntityKind(kind)


def taken(request: pb.TakeDownRequest) -> tuple[EntityKind, uuid.UUID]:
    """What is to be taken down, or restored."""
    match request.WhichOneof("what"):
        case "song_id":
            return EntityKind.SONG, check_uuid(request.song_id, "song_id")
        case "release_id":
            return EntityKind.RELEASE, check_uuid(request.release_id, "release_id")
    raise InvalidRequest("what is missing: a song_id or a release_id")


def reason(text: str) -> str:
    """Why something is taken down."""
    if not 1 <= len(text.strip()) <= REASON_CHARS_MAX or "\0" in text:
        raise InvalidRequest(f"reason must have 1 to {REASON_CHARS_MAX} characters, not {len(text)}: say why")
    return text


def change_message(change: Change, cursor: str) -> pb.WatchChangesResponse:
    return pb.WatchChangesResponse(
        kind=cast("pb.EntityKind.ValueType", int(change.kind)),
        id=str(change.entity_id),
        gone=change.gone,
        redirected_to_id=str(change.redirected_to or ""),
        cursor=cursor,
    )


def browse_response(kind: Kind, page: browse.Page) -> pb.BrowseResponse:
    answer = pb.BrowseResponse(next_cursor=page.next_cursor, total_estimate=page.total_estimate)
    getattr(answer, kind.word).extend(map(_entry, page.entries))
    return answer


def upcoming_message(release: Upcoming) -> pb.ListUpcomingResponse.Upcoming:
    return pb.ListUpcomingResponse.Upcoming(
        release_id=release.release_id,
        title=release.title,
        at_unix_ms=release.at_unix_ms,
        songs=map(song_message, release.songs),
    )


def _entry(entry: Entry) -> types.Artist | types.Release | types.Genre | types.Song:
    match entry:
        case Artist():
            return artist_message(entry)
        case Release():
            return release_message(entry)
        case Genre():
            return types.Genre(genre_id=entry.genre_id, name=entry.name)
        case bytes():
            return types.Song.FromString(entry)


def _credits(messages: Iterable[types.ArtistCredit]) -> tuple[Credit, ...]:
    return tuple(Credit(message.name, message.join_phrase) for message in messages)


def _loudness(message: types.Loudness) -> Loudness:
    return Loudness(message.integrated_lufs, message.true_peak_dbtp, message.range_lu)


def _rendition(message: types.Rendition) -> Rendition:
    return Rendition(
        rendition_id=message.rendition_id,
        codec=message.codec,
        bitrate_bps=message.bitrate_bps,
        size_bytes=message.size_bytes,
        duration_ms=message.duration_ms,
        sample_rate_hz=message.sample_rate_hz,
        channels=message.channels,
        mime_type=message.mime_type,
        delay_samples=message.delay_samples,
        padding_samples=message.padding_samples,
        samples=message.samples,
    )


def playback_response(playables: Playables) -> pb.GetPlaybackResponse:
    return pb.GetPlaybackResponse(
        playbacks=[
            pb.GetPlaybackResponse.Playback(
                song_id=song.song_id, manifests=song.manifests, loudness=loudness_message(song.loudness)
            )
            for song in playables.songs
        ],
        unknown_song_ids=playables.unknown_song_ids,
        redirected_song_ids=playables.redirected,
    )
