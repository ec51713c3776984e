"""What ingest may hand in, and what is refused with the field named."""

from dataclasses import replace

import pytest

from catalog import publication
from catalog.model import Credit
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
