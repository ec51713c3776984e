"""The songs that scale is measured with, and the slips of those who look for them."""

import random

from hypothesis import given
from hypothesis import strategies as st

from bench.catalog.corpus import Corpus
from bench.catalog.keystrokes import Wanted, beginnings, may_slip, slip, slips
from catalog import spelling


def test_the_same_seed_gives_the_same_songs() -> None:
    one, other = (list(Corpus(5_000, 7).songs()) for _ in range(2))
    assert one == other
    assert list(Corpus(5_000, 8).songs())[4_000:] != one[4_000:]


def test_chinook_comes_first_and_every_song_has_a_place() -> None:
    corpus = Corpus(5_000, 1)
    songs = list(corpus.songs())
    assert (songs[0].title, corpus.artists[songs[0].artist]) == ("For Those About To Rock (We Salute You)", "AC/DC")
    assert corpus.real_count == 3503
    assert [song.song_id for song in songs] == sorted({song.song_id for song in songs})
    assert all(song.song_id.version == 7 and song.title for song in songs)
    assert sorted(song.rank for song in songs) == list(range(1, 5_001))
    for song in songs:
        title, artist = corpus.releases[song.release]
        assert title
        assert song.artist == artist or song.number < corpus.real_count


def test_few_songs_get_most_plays() -> None:
    corpus = Corpus(100_000, 1)
    plays = [corpus.plays(rank) for rank in range(1, 100_001)]
    assert 0.83 < sum(plays[:12_000]) / sum(plays) < 0.93


@given(st.text("abcdefgh xyz", min_size=5).filter(may_slip), st.integers())
def test_a_slip_is_one_edit_and_never_of_the_first_letter(name: str, seed: int) -> None:
    slipped = slip(name, random.Random(seed))
    assert spelling.distance(slipped, name) == 1
    assert slipped[0] == name[0]


def test_names_are_typed_letter_by_letter() -> None:
    assert beginnings("The T", 4) == ["T", "Th", "The"]
    assert (
        len(slips([Wanted("Metallica", is_artist=True), Wanted("東京事変", is_artist=True)], 5, random.Random(1))) == 5
    )
