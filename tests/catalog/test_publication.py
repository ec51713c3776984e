"""What ingest may hand in, and what is refused with the field named."""

from dataclasses import replace

import pytest

from catalog import publication
from catalog.model import Credit, Loudness
from reprise.errors import InvalidRequest
from tests.catalog import songbook

GOOD = songbook.publication(
    "Army of Me", "Björk", album="Post", genres=("Electronic",), date="1995-04", isrcs=("GBAAN9500006",)
)


def test_a_sound_publication_passes() -> None:
    assert publication.check(GOOD) is GOOD


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source_sha256": "AB"}, "source_sha256"),
        ({"title": ""}, "title"),
        ({"title": " \u200b"}, "title"),
        ({"title": "x" * 501}, "title"),
        ({"title": "nul\0"}, "title"),
        ({"artists": ()}, "artists"),
        ({"artists": (Credit(""),)}, "artists.name"),
        ({"artists": (Credit("A", "\0"),)}, "artists.join_phrase"),
        ({"artists": (Credit("A"),) * 51}, "artists"),
        ({"album_artists": (Credit(" "),)}, "album_artists.name"),
        ({"album": "\u200b"}, "album"),
        ({"genres": ("Rock", "")}, "genres"),
        ({"genres": ("Rock",) * 51}, "genres"),
        ({"date": "1995/04"}, "date"),
        ({"date": "95"}, "date"),
        ({"isrcs": ("GB-AAN-95-00006",)}, "isrcs"),
        ({"duration_ms": 1 << 31}, "duration_ms"),
        ({"cover_sha256": "zz"}, "cover_sha256"),
        ({"renditions": ()}, "renditions"),
        ({"renditions": (songbook.rendition("a"), songbook.rendition("a"))}, "renditions"),
        ({"renditions": (songbook.rendition("a", codec=0),)}, "renditions.codec"),
        ({"renditions": (songbook.rendition("a", size_bytes=0),)}, "renditions.size_bytes"),
        ({"renditions": (songbook.rendition("a", mime_type=""),)}, "renditions.mime_type"),
        ({"renditions": (songbook.rendition("a", bitrate_bps=1 << 31),)}, "renditions.bitrate_bps"),
    ],
)
def test_an_unsound_field_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{field} "):
        publication.check(replace(GOOD, **change))  # type: ignore[arg-type]


def test_display_name_joins_as_printed() -> None:
    assert publication.display_name((Credit("A", " feat. "), Credit("B"))) == "A feat. B"


def test_credits_differ_by_artist_name_and_join_phrase() -> None:
    credits_ = [Credit("A", " & ", "1"), Credit("A", " & ", "2"), Credit("a", " & ", "1"), Credit("A", " feat. ", "1")]
    assert len({publication.credit_digest([credit]) for credit in credits_}) == len(credits_)


MBID = "b10bbbfc-cf9e-42e0-be17-e2c3e1d2600d"
MEASURED = Loudness(-9.5, 0.3, 6.0)


@pytest.mark.parametrize(
    "change",
    [
        {"recording_mbid": MBID, "release_mbid": MBID, "release_group_mbid": MBID, "artist_mbids": (MBID,)},
        {"artist_mbids": ("",), "artist_sort_names": ("Bjork",)},
        {"loudness": MEASURED, "release_kind": 6, "label": "One Little Indian", "barcode": "731452770028"},
        {"cover_sizes_px": (128, 512, 1024)},
        {"renditions": (songbook.rendition("a", delay_samples=312, padding_samples=648, samples=9_600_000),)},
    ],
)
def test_further_facts_pass(change: dict[str, object]) -> None:
    assert publication.check(replace(GOOD, **change))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"recording_mbid": "b10bbbfc"}, "recording_mbid"),
        ({"release_mbid": MBID.upper()}, "release_mbid"),
        ({"release_group_mbid": "x"}, "release_group_mbid"),
        ({"artist_mbids": (MBID, MBID)}, "artist_mbids"),
        ({"artist_mbids": ("x",)}, "artist_mbids"),
        ({"album_artist_mbids": (MBID,)}, "album_artist_mbids"),
        ({"artist_sort_names": ("A", "B")}, "artist_sort_names"),
        ({"artist_sort_names": (" \u200b",)}, "artist_sort_names"),
        ({"loudness": replace(MEASURED, integrated_lufs=float("-inf"))}, "loudness.integrated_lufs"),
        ({"loudness": replace(MEASURED, true_peak_dbtp=float("nan"))}, "loudness.true_peak_dbtp"),
        ({"release_kind": 7}, "release_kind"),
        ({"cover_sizes_px": (512, 128)}, "cover_sizes_px"),
        ({"cover_sizes_px": (0,)}, "cover_sizes_px"),
        ({"label": "\0"}, "label"),
        ({"renditions": (songbook.rendition("a", padding_samples=-1),)}, "renditions.padding_samples"),
        ({"renditions": (songbook.rendition("a", samples=1 << 63),)}, "renditions.samples"),
    ],
)
def test_an_unsound_further_fact_is_named(change: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidRequest, match=rf"^{field} "):
        publication.check(replace(GOOD, **change))  # type: ignore[arg-type]
