"""Which renditions a ladder asks for, and which ladders make no sense."""

import pytest

from origin.ingest import ladder
from origin.ingest.ladder import Rung
from reprise.errors import InvalidRequest


def test_a_ladder_is_its_rungs_in_order() -> None:
    assert ladder.parse(ladder.DEFAULT) == (Rung("opus", 96), Rung("opus", 160), Rung("aac", 128), Rung("flac"))
    assert [rung.name for rung in ladder.parse(" aac:256, opus:48")] == ["aac-256", "opus-48"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "'' is not like opus:96"),
        ("opus:96,", "'' is not like opus:96"),
        ("mp3:128", "'mp3:128' is not like opus:96"),
        ("opus", "opus has 32 to 320 kb/s, not 'opus'"),
        ("aac:1", "aac has 64 to 320 kb/s, not 'aac:1'"),
        ("opus:96,flac:9", "flac has no bitrate, not 'flac:9'"),
        ("opus:96,opus:96", "lists a rendition twice"),
        ("flac", "without a rendition: add opus or aac"),
        (",".join(f"opus:{kbps}" for kbps in range(40, 50)), "at most 8 renditions, not 10"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, complaint: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        ladder.parse(text)
    assert complaint in refusal.value.message


@pytest.mark.parametrize(
    ("rung", "source_hz", "rate_hz"),
    [
        (Rung("opus", 96), 44_100, 48_000),
        (Rung("aac", 128), 44_100, 44_100),
        (Rung("aac", 128), 96_000, 48_000),
        (Rung("flac"), 11_025, 11_025),
        (Rung("flac"), 192_000, 192_000),
        (Rung("flac"), 352_800, 176_400),
    ],
)
def test_a_rate_is_kept_where_the_codec_has_it(rung: Rung, source_hz: int, rate_hz: int) -> None:
    assert rung.rate_hz(source_hz) == rate_hz
