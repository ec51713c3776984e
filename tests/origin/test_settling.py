"""When a file of a watched folder is taken: whole, once, and again when it changes."""

from origin.ingest.settling import Settling, Stamp

SONG, OTHER = "song.flac", "other.flac"


def test_a_file_is_taken_when_two_scans_find_it_unchanged() -> None:
    settling = Settling()
    assert settling.take({SONG: Stamp(1, 1)}) == []
    assert settling.take({SONG: Stamp(2, 2)}) == [], "it grows"
    assert settling.take({SONG: Stamp(2, 3)}) == [], "it was written to"
    assert settling.take({SONG: Stamp(2, 3), OTHER: Stamp(1, 1)}) == [SONG]


def test_a_file_is_taken_once_whether_it_failed_or_not_until_it_changes() -> None:
    settling = Settling()
    settling.take({SONG: Stamp(1, 1)})
    assert settling.take({SONG: Stamp(1, 1)}) == [SONG]
    assert settling.take({SONG: Stamp(1, 1)}) == []
    assert settling.take({SONG: Stamp(1, 2)}) == []
    assert settling.take({SONG: Stamp(1, 2)}) == [SONG]


def test_what_was_put_back_is_taken_again() -> None:
    settling = Settling()
    settling.take({SONG: Stamp(1, 1)})
    settling.put_back(settling.take({SONG: Stamp(1, 1)}))
    assert settling.take({SONG: Stamp(1, 1)}) == [SONG]


def test_what_left_the_folder_is_forgotten() -> None:
    settling = Settling()
    for _ in range(2):
        settling.take({SONG: Stamp(1, 1)})
    settling.take({})
    assert settling.take({SONG: Stamp(1, 1)}) == []
    assert settling.take({SONG: Stamp(1, 1)}) == [SONG]
