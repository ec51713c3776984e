"""What a listener may ask for."""

from typing import Any

import pytest

from balancer.renditions import DEFAULT_CODECS
from balancer.want import checked
from reprise.errors import InvalidRequest
from tests.balancer.values import OTHER_SONG, SONG


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"song_ids": []}, "1 to 20 songs, not 0"),
        ({"song_ids": [SONG] * 21}, "1 to 20 songs, not 21"),
        ({"song_ids": ["../etc/passwd"]}, "song_id must be a UUID"),
        ({"song_ids": [SONG.upper()]}, "song_id must be a UUID"),
        ({"codecs": [0]}, "codecs must be of"),
        ({"codecs": [77]}, "not number 77"),
        ({"region": "no spaces"}, "region must be"),
        ({"session_id": "x" * 65}, "session_id must be"),
        ({"failed_edge_ids": [""]}, "failed_edge_ids must be"),
        ({"failed_edge_ids": ["e"] * 101}, "at most 100 failed_edge_ids"),
        ({"region_rtts": [("eu", 1.0)] * 17}, "at most 16 region_rtts, not 17"),
        ({"region_rtts": [("", 1.0)]}, "a region in region_rtts must be"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        checked(**{"song_ids": [SONG], "codecs": [], **changes})


def test_repetitions_are_dropped_and_no_codec_means_all() -> None:
    want = checked(song_ids=[SONG, OTHER_SONG, SONG], codecs=[])
    assert want.song_ids == (SONG, OTHER_SONG)
    assert want.codecs == DEFAULT_CODECS
