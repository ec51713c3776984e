"""By which terms an entry is found, and in which order."""

import uuid

from hypothesis import given
from hypothesis import strategies as st

from catalog.searching import documents
from catalog.searching.documents import Terms
from tests.catalog.searching.library import artist, song

ranks = st.integers(0, documents.rank(song("Most", score=5000.0)))


def terms(title: str, by: str = "Nobody", **fields: object) -> Terms:
    return documents.terms(song(title, by, **fields))


def test_whole_names_are_compared_without_spaces_and_articles() -> None:
    found = terms("The Trooper", "Iron Maiden")
    assert found.exact_titles == {"thetrooper", "trooper"}
    assert {"ironmaiden", "ironmaidentrooper", "thetrooperironmaiden"} <= found.exact_names


def test_a_duet_is_found_by_each_artist_and_by_both() -> None:
    found = terms("Tonight", artists=("Tina Turner", "David Bowie"))
    assert {"tinaturner", "davidbowie", "tinaturnerdavidbowie"} <= found.exact_names


def test_beginnings_are_those_of_title_and_artists_and_not_of_aliases() -> None:
    found = terms("Kiss", "Prince", aliases=("Symbol",)).beginnings
    assert found == {"k", "ki", "kis", "kiss", "p", "pr", "pri", "prin", "princ", "prince"}


def test_starts_are_short_and_none_of_them_is_cjk() -> None:
    assert documents.starts("love") == ["l", "lo", "lov"]
    assert documents.starts("東京") == []


def test_albums_and_genres_are_only_mentioned() -> None:
    found = terms("So What", "Miles Davis", album="Kind of Blue", genres=("Jazz",))
    assert found.anywhere - found.words == {"kind", "of", "blue", "jazz"}


def test_an_artist_is_found_by_name_and_aliases() -> None:
    found = documents.terms(artist("Prince", aliases=("The Symbol",)))
    assert found.exact_titles == {"prince"}
    assert found.exact_names == {"thesymbol", "symbol"}


def test_rank_is_by_popularity_first() -> None:
    assert documents.rank(song("A", score=2.0)) > documents.rank(song("B", score=1.9)) > documents.rank(song("C"))


def test_ranks_are_never_negative_and_fit_a_signed_column() -> None:
    assert 0 <= documents.rank(song("A", score=-5.0)) < documents.rank(song("B", score=1e30)) < 2**63


@given(ranks, ranks)
def test_a_higher_band_has_higher_ranks(a: int, b: int) -> None:
    if documents.band(a) > documents.band(b):
        assert a > b


def test_of_songs_never_played_each_band_has_half_as_many_as_the_one_below() -> None:
    ids = [uuid.UUID(int=number) for number in range(4096)]
    bands = [documents.band(documents.rank(song("Same", id=song_id))) for song_id in ids]
    assert [round(bands.count(band) / len(ids), 1) for band in (0, 1, 2)] == [0.5, 0.2, 0.1]
