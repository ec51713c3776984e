"""The messages of songs, releases and artists, made of the catalog's own values. Pure."""

from typing import cast

from catalog.model import COVERS_PATH, Artist, Credit, Loudness, Release, Rendition, Song
from reprise.types.v1 import types_pb2 as types


def song_message(song: Song) -> types.Song:
    return types.Song(
        song_id=song.song_id,
        title=song.title,
        artists=map(_credit_message, song.artists),
        album=release_message(song.release) if song.release else None,
        genres=[types.Genre(genre_id=genre.genre_id, name=genre.name) for genre in song.genres],
        cover_url=_cover_url(song.cover),
        audio_url=f"/play/{song.song_id}",
        duration_ms=song.duration_ms,
        track_number=song.track_number,
        disc_number=song.disc_number,
        date=song.date,
        explicit=song.explicit,
        isrcs=song.isrcs,
        renditions=map(_rendition_message, song.renditions),
        loudness=loudness_message(song.loudness),
        cover_sizes_px=song.cover_sizes_px,
    )


def artist_message(artist: Artist) -> types.Artist:
    return types.Artist(artist_id=artist.artist_id, name=artist.name, sort_name=artist.sort_name)


def release_message(release: Release) -> types.Release:
    return types.Release(
        release_id=release.release_id,
        title=release.title,
        artists=map(_credit_message, release.artists),
        date=release.date,
        cover_url=_cover_url(release.cover),
        cover_sizes_px=release.cover_sizes_px,
        kind=cast("types.ReleaseKind.ValueType", release.kind),
        release_group_id=release.group_id,
        loudness=loudness_message(release.loudness),
    )


def loudness_message(loudness: Loudness | None) -> types.Loudness | None:
    if loudness is None:
        return None
    return types.Loudness(
        integrated_lufs=loudness.integrated_lufs,
        true_peak_dbtp=loudness.true_peak_dbtp,
        range_lu=loudness.range_lu,
    )


def _credit_message(credit: Credit) -> types.ArtistCredit:
    return types.ArtistCredit(artist_id=credit.artist_id, name=credit.name, join_phrase=credit.join_phrase)


def _cover_url(cover: str) -> str:
    return f"{COVERS_PATH}{cover}" if cover else ""


def _rendition_message(rendition: Rendition) -> types.Rendition:
    return types.Rendition(
        rendition_id=rendition.rendition_id,
        codec=cast("types.Codec.ValueType", rendition.codec),
        bitrate_bps=rendition.bitrate_bps,
        size_bytes=rendition.size_bytes,
        duration_ms=rendition.duration_ms,
        sample_rate_hz=rendition.sample_rate_hz,
        channels=rendition.channels,
        mime_type=rendition.mime_type,
        delay_samples=rendition.delay_samples,
        padding_samples=rendition.padding_samples,
        samples=rendition.samples,
    )
