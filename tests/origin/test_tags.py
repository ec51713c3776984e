"""Tags read from real files of several formats."""

import base64
import struct
from pathlib import Path

import pytest

from origin.ingest.tags import read_tags
from tests.origin.sound import PNG, write_song


@pytest.mark.parametrize("suffix", [".flac", ".mp3", ".opus", ".m4a"])
def test_every_format_gives_the_same_tags(tmp_path: Path, suffix: str) -> None:
    path = write_song(
        tmp_path / f"x{suffix}",
        0.2,
        title="Jóga",
        artist="Björk",
        album="Homogenic",
        album_artist="Björk",
        track="2/10",
        disc="1",
        date="1997-09-22",
        genre="Electronic",
    )
    tags, cover = read_tags(path)
    assert (tags.title, tags.artists[0].name, tags.album) == ("Jóga", "Björk", "Homogenic")
    assert (tags.track_number, tags.disc_number, tags.date, tags.genres) == (2, 1, "1997-09-22", ("Electronic",))
    assert cover == b""


def test_several_artists_in_vorbis_comments_are_several_credits(tmp_path: Path) -> None:
    path = write_song(tmp_path / "x.flac", 0.2, artist="A feat. B", artists="A;B", isrc="GBAKN9700045")
    tags, _ = read_tags(path)
    assert [(credit.name, credit.join_phrase) for credit in tags.artists] == [("A", " feat. "), ("B", "")]
    assert tags.isrcs == ("GBAKN9700045",)


def test_the_embedded_front_cover_is_read(tmp_path: Path) -> None:
    picture = struct.pack(">II", 3, 9) + b"image/png" + struct.pack(">IIIIII", 0, 1, 1, 24, 0, len(PNG)) + PNG
    path = write_song(tmp_path / "x.opus", 0.2, METADATA_BLOCK_PICTURE=base64.b64encode(picture).decode())
    assert read_tags(path)[1] == PNG


def test_a_file_without_tags_is_named_after_itself(tmp_path: Path) -> None:
    tags, _ = read_tags(write_song(tmp_path / "03 - Björk - Jóga.wav", 0.2))
    assert (tags.artists[0].name, tags.title) == ("Björk", "Jóga")


def test_unreadable_tags_count_as_missing(tmp_path: Path) -> None:
    path = tmp_path / "noise.mp3"
    path.write_bytes(b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + bytes(range(256)))
    assert read_tags(path)[0].title == "noise"
