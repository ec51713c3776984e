"""Which files an import takes, and in what order."""

from pathlib import Path

import pytest

from origin.ingest.scan import find_audio
from reprise.errors import InvalidRequest


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_audio_is_found_by_extension_in_one_order_and_hidden_files_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path, "b/2.FLAC", "b/1.mp3", "a.ogg", "cover.jpg", ".hidden.mp3", ".git/x.mp3", "b/notes.txt", "c.opus")
    assert [str(path.relative_to(tmp_path)) for path in find_audio([tmp_path])] == [
        "a.ogg",
        "b/1.mp3",
        "b/2.FLAC",
        "c.opus",
    ]


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3")
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    assert [path.name for path in find_audio([tmp_path])] == ["1.mp3"]


def test_a_file_reached_twice_is_taken_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.mp3")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    assert len(find_audio([tmp_path, tmp_path / "a" / "1.mp3", tmp_path / "b"])) == 1


def test_a_named_file_is_taken_whatever_its_extension(tmp_path: Path) -> None:
    touch(tmp_path, "song.bin")
    assert find_audio([tmp_path / "song.bin"]) == [tmp_path / "song.bin"]


def test_a_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"no such file or folder: .*/nowhere"):
        find_audio([tmp_path / "nowhere"])
