"""What a publication must be like, and what is derived from it. Pure."""

import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from catalog import moments, normalise
from catalog.model import Credit, Loudness, Publication, Rendition
from reprise.errors import InvalidRequest
from reprise.ids import check_sha256, check_uuid

TEXT_CHARS_MAX = 500
CREDITS_MAX = 50
GENRES_MAX = 50
ISRCS_MAX = 20
RENDITIONS_MAX = 16
COVER_SIZES_MAX = 16
COVER_PX_MAX = 10_000
# Twice what 32-bit float audio spans in use; what is silent is measured as -70 LUFS.
LOUDNESS_MAX = 200
# The last number of `reprise.types.v1.ReleaseKind`.
RELEASE_KIND_MAX = 6
_NUMBER_MAX = (1 << 31) - 1
_DATE = re.compile(r"\d{4}(-\d\d(-\d\d)?)?")
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")


def check(offered: Publication) -> Publication:
    """`offered`, when every field is sound; raises InvalidRequest that names the field and its value."""
    check_sha256(offered.source_sha256, "source_sha256")
    check_name(offered.title, "title")
    _check_credits(offered.artists, "artists")
    if not offered.artists:
        raise InvalidRequest("artists is empty: name at least one, such as 'Unknown artist'")
    if offered.album:
        check_name(offered.album, "album")
    _check_credits(offered.album_artists, "album_artists")
    _check_mbids(offered)
    _check_sort_names(offered)
    _check_count(offered.genres, GENRES_MAX, "genres")
    for genre in offered.genres:
        check_name(genre, "genres")
    _check_facts(offered)
    _check_cover(offered)
    _check_loudness(offered.loudness)
    _check_moment(offered)
    _check_count(offered.renditions, RENDITIONS_MAX, "renditions")
    if not offered.renditions:
        raise InvalidRequest("renditions is empty: a song needs at least one encoding")
    for rendition in offered.renditions:
        _check_rendition(rendition)
    if len({rendition.rendition_id for rendition in offered.renditions}) < len(offered.renditions):
        raise InvalidRequest("renditions names the same rendition_id twice")
    return offered


def check_name(text: str, field: str) -> str:
    """`text`, when it has something to read in it; raises InvalidRequest that names `field`."""
    _check_text(text, field)
    if not normalise.key(text):
        raise InvalidRequest(f"{field} has nothing to read: {text[:80]!r}")
    return text


def credit_digest(credits_: Sequence[Credit]) -> bytes:
    """What makes two credits the same: their artists, the names as written, and what joins them."""
    parts = [[credit.artist_id, credit.name, credit.join_phrase] for credit in credits_]
    return hashlib.sha256(json.dumps(parts).encode()).digest()


def display_name(credits_: Iterable[Credit]) -> str:
    """The credit as it is printed: "A feat. B"; a missing join phrase reads as a space."""
    return "".join(f"{credit.name}{credit.join_phrase or ' '}" for credit in credits_).strip()


def exact_titles(song: Publication) -> set[str]:
    """The forms of a typed query that are this title."""
    return {normalise.key(song.title), normalise.joined(song.title)}


def exact_names(song: Publication) -> set[str]:
    """The forms of a typed query that are one of its artists, the whole credit, or artist and title in either order."""
    artists = [credit.name for credit in song.artists] + [display_name(song.artists)]
    both = [f"{first} {second}" for artist in artists for first, second in ((artist, song.title), (song.title, artist))]
    return {form for name in (*artists, *both) for form in (normalise.key(name), normalise.joined(name))}


def words(song: Publication) -> set[str]:
    """Every word by which the song is found."""
    names = [song.title, song.album, *song.genres, *(credit.name for credit in (*song.artists, *song.album_artists))]
    return set().union(*map(normalise.words, names))


def _check_text(text: str, field: str) -> None:
    if len(text) > TEXT_CHARS_MAX:
        raise InvalidRequest(f"{field} has {len(text)} characters, at most {TEXT_CHARS_MAX}: {text[:40]!r}...")
    if "\0" in text:
        raise InvalidRequest(f"{field} has a NUL character: {text[:80]!r}")


def _check_credits(credits_: Sequence[Credit], field: str) -> None:
    _check_count(credits_, CREDITS_MAX, field)
    for credit in credits_:
        check_name(credit.name, f"{field}.name")
        _check_text(credit.join_phrase, f"{field}.join_phrase")


def _check_facts(offered: Publication) -> None:
    for field in ("duration_ms", "track_number", "disc_number"):
        _check_number(getattr(offered, field), field)
    if offered.date and not _DATE.fullmatch(offered.date):
        raise InvalidRequest(f"date must be like 2004, 2004-05 or 2004-05-01, not {offered.date[:40]!r}")
    _check_count(offered.isrcs, ISRCS_MAX, "isrcs")
    for isrc in offered.isrcs:
        if not _ISRC.fullmatch(isrc):
            raise InvalidRequest(f"isrcs must be like USRC17607839, not {isrc[:40]!r}")
    for field in ("label", "barcode"):
        _check_text(getattr(offered, field), field)
    if not 0 <= offered.release_kind <= RELEASE_KIND_MAX:
        raise InvalidRequest(f"release_kind must be 0 to {RELEASE_KIND_MAX}, not {offered.release_kind}")


def _check_mbids(offered: Publication) -> None:
    for field in ("recording_mbid", "release_mbid", "release_group_mbid"):
        if getattr(offered, field):
            check_uuid(getattr(offered, field), field)
    _check_one_each("artist_mbids", offered.artist_mbids, offered.artists)
    _check_one_each("album_artist_mbids", offered.album_artist_mbids, offered.album_artists)
    for field in ("artist_mbids", "album_artist_mbids"):
        for mbid in filter(None, getattr(offered, field)):
            check_uuid(mbid, field)


def _check_sort_names(offered: Publication) -> None:
    _check_one_each("artist_sort_names", offered.artist_sort_names, offered.artists)
    for name in filter(None, offered.artist_sort_names):
        check_name(name, "artist_sort_names")


def _check_one_each(field: str, values: Sequence[str], credits_: Sequence[Credit]) -> None:
    if values and len(values) != len(credits_):
        raise InvalidRequest(f"{field} has {len(values)} entries for {len(credits_)} artists: give one each, or none")


def _check_cover(offered: Publication) -> None:
    if offered.cover_sha256:
        check_sha256(offered.cover_sha256, "cover_sha256")
        _check_text(offered.cover_mime_type, "cover_mime_type")
    sizes = offered.cover_sizes_px
    _check_count(sizes, COVER_SIZES_MAX, "cover_sizes_px")
    if list(sizes) != sorted(set(sizes)) or not all(0 < size <= COVER_PX_MAX for size in sizes):
        raise InvalidRequest(f"cover_sizes_px must ascend from 1 to {COVER_PX_MAX} at most, not {list(sizes)}")


def _check_loudness(loudness: Loudness | None) -> None:
    if loudness is None:
        return
    for field in ("integrated_lufs", "true_peak_dbtp", "range_lu"):
        value = getattr(loudness, field)
        if not abs(value) <= LOUDNESS_MAX:
            raise InvalidRequest(f"loudness.{field} must be within -{LOUDNESS_MAX} to {LOUDNESS_MAX}, not {value}")


def _check_moment(offered: Publication) -> None:
    moment = offered.available_from_unix_ms
    if not 0 <= moment <= moments.MOMENT_MS_MAX:
        raise InvalidRequest(f"available_from_unix_ms must be 0 to {moments.MOMENT_MS_MAX}, not {moment}")
    if moment and not offered.album:
        raise InvalidRequest(
            f"available_from_unix_ms needs an album: {offered.title!r} has none, and only releases come out"
        )


def _check_rendition(rendition: Rendition) -> None:
    check_sha256(rendition.rendition_id, "renditions.rendition_id")
    if rendition.codec <= 0:
        raise InvalidRequest(f"renditions.codec is missing for {rendition.rendition_id}")
    if rendition.size_bytes <= 0 or rendition.size_bytes >= 1 << 63:
        raise InvalidRequest(f"renditions.size_bytes must be positive, not {rendition.size_bytes}")
    if not rendition.mime_type:
        raise InvalidRequest(f"renditions.mime_type is missing for {rendition.rendition_id}")
    _check_text(rendition.mime_type, "renditions.mime_type")
    for field in ("bitrate_bps", "duration_ms", "sample_rate_hz", "channels", "delay_samples", "padding_samples"):
        _check_number(getattr(rendition, field), f"renditions.{field}")
    if not 0 <= rendition.samples < 1 << 63:
        raise InvalidRequest(f"renditions.samples must be below 2^63, not {rendition.samples}")


def _check_number(number: int, field: str) -> None:
    if not 0 <= number <= _NUMBER_MAX:
        raise InvalidRequest(f"{field} must be 0 to {_NUMBER_MAX}, not {number}")


def _check_count(values: Sequence[object], most: int, field: str) -> None:
    if len(values) > most:
        raise InvalidRequest(f"{field} has {len(values)} entries, at most {most}")
