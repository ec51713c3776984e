"""Listeners find what they mean, however they type it."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from catalog import normalise
from catalog.searching import documents
from catalog.searching.backend import DEPTH_MAX, Filters, Tier
from reprise.errors import InvalidRequest
from tests.catalog.searching.library import Library, artist, id_for, release, song

# (title, artist, album): enough neighbours that a wrong ranking shows.
SONGS = [
    ("Army of Me", "Björk", "Post"),
    ("Hyperballad", "Björk", "Post"),
    ("Bjork", "Tribute Band", "Icelanders"),
    ("Homogenic Love", "Nobody", "Björk Covers"),
    ("T.N.T.", "AC/DC", "High Voltage"),
    ("Thunderstruck", "AC/DC", "The Razors Edge"),
    ("Bohemian Rhapsody", "Queen", "A Night at the Opera"),
    ("Queen of the Night", "Somebody", ""),
    ("Quebec", "Nobody", ""),
    ("Enter Sandman", "Metallica", "Metallica"),
    ("Hello", "Adele", "25"),
    ("Waterloo", "ABBA", "Waterloo"),
    ("Uprising", "Muse", "The Resistance"),
    ("Home", "Somebody", ""),
    ("Sugarcane", "Nobody", ""),
    ("Don't Stop Me Now", "Queen", "Jazz"),
    ("Yesterday", "The Beatles", "Help!"),
    ("Paint It Black", "The Rolling Stones", "Aftermath"),
    ("群青日和", "東京事変", "教育"),
    ("夜に駆ける", "YOASOBI", ""),
    ("Группа крови", "Кино", ""),
    ("Me and Giuliani", "!!!", ""),
    ("Perfect", "Ed Sheeran", "÷"),
    ("So What", "P!nk", "Funhouse"),
    ("Hoppípolla", "Sigur Rós", "Takk..."),
    ("Águas de Março", "Antônio Carlos Jobim", ""),
    ("Ænima", "Tool", "Ænima"),
    ("100% Pure", "Percent_age", ""),
]
QUEEN_SCORES = {"Bohemian Rhapsody": 9.0, "Don't Stop Me Now": 7.0}


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Library:
    songs = [song(title, by, album=album, score=QUEEN_SCORES.get(title, 1.0)) for title, by, album in SONGS]
    artists = [artist(name) for name in dict.fromkeys(by for _, by, _ in SONGS)]
    releases = [release(title, by) for title, by in dict.fromkeys((album, by) for _, by, album in SONGS if album)]
    return Library(tmp_path_factory.mktemp("index"), [*songs, *artists, *releases])


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        # exact, in any case and without accents
        ("Army of Me", "Army of Me"),
        ("ARMY OF ME", "Army of Me"),
        ("hoppipolla", "Hoppípolla"),
        ("aenima", "Ænima"),
        ("aguas de marco", "Águas de Março"),
        ("antonio carlos jobim", "Águas de Março"),
        # signs
        ("tnt", "T.N.T."),
        ("t.n.t.", "T.N.T."),
        ("T N T", "T.N.T."),
        ("acdc thunderstruck", "Thunderstruck"),
        ("ac/dc thunder", "Thunderstruck"),
        ("p!nk", "So What"),
        ("!!!", "Me and Giuliani"),
        ("÷", "Perfect"),
        ("dont stop me now", "Don't Stop Me Now"),
        ("don't stop", "Don't Stop Me Now"),
        ("100%", "100% Pure"),
        ("sugar cane", "Sugarcane"),
        # without the article, and with one that is not there
        ("beatles", "Yesterday"),
        ("rolling stones", "Paint It Black"),
        ("beatles yesterday", "Yesterday"),
        ("the queen", "Queen of the Night"),
        # as you type
        ("thund", "Thunderstruck"),
        ("bohemian rh", "Bohemian Rhapsody"),
        ("metal", "Enter Sandman"),
        # artist and title mixed
        ("queen bohemian", "Bohemian Rhapsody"),
        ("rhapsody queen", "Bohemian Rhapsody"),
        ("bjork army", "Army of Me"),
        ("metallica enter sand", "Enter Sandman"),
        # other scripts
        ("東京事変", "群青日和"),
        ("東京", "群青日和"),
        ("青日", "群青日和"),
        ("東", "群青日和"),
        ("駆ける", "夜に駆ける"),
        ("кино", "Группа крови"),
        ("группа кр", "Группа крови"),
    ],
)
def test_first_hit_is_what_was_meant(library: Library, typed: str, title: str) -> None:
    assert library.titles(typed)[0] == title


@pytest.mark.parametrize(
    ("typed", "title"),
    [
        ("bjrok", "Army of Me"),
        ("jork", "Army of Me"),
        ("byork", "Army of Me"),
        ("bjorrk", "Army of Me"),
        ("pjork army of me", "Army of Me"),
        ("nuse", "Uprising"),
        ("mues", "Uprising"),
        ("mse", "Uprising"),
        ("dele", "Hello"),
        ("adlee", "Hello"),
        ("baba", "Waterloo"),
        ("abb a", "Waterloo"),
        ("quen", "Bohemian Rhapsody"),
        ("metalica", "Enter Sandman"),
        ("metalicca", "Enter Sandman"),
        ("emtallica", "Enter Sandman"),
        ("thunderstrukc", "Thunderstruck"),
        ("bohemain rapsody", "Bohemian Rhapsody"),
        ("hyperbalad", "Hyperballad"),
        ("hone", "Home"),
        ("acdv", "T.N.T."),
        ("ac dv", "T.N.T."),
        ("bohemian rhapsody bty queen", "Bohemian Rhapsody"),
        ("dont sotp me nwo", "Don't Stop Me Now"),
        ("кинг", "Группа крови"),
        # still being typed
        ("thunedr", "Thunderstruck"),
        ("metlal", "Enter Sandman"),
        ("hyperblla", "Hyperballad"),
        # a space too few, a space too many
        ("bohemianrhapsody", "Bohemian Rhapsody"),
        ("queen bohemianrhapsody", "Bohemian Rhapsody"),
        ("queen bohe mian", "Bohemian Rhapsody"),
        ("metal lica enter", "Enter Sandman"),
    ],
)
def test_a_typo_is_survived(library: Library, typed: str, title: str) -> None:
    assert title in library.titles(typed, 10)


def test_exact_title_then_artist_then_mention(library: Library) -> None:
    found = library.titles("bjork")
    assert (found[0], set(found[1:3]), found[3]) == ("Bjork", {"Army of Me", "Hyperballad"}, "Homogenic Love")
    assert library.tiers("bjork") == [Tier.EXACT_TITLE, Tier.EXACT_NAME, Tier.EXACT_NAME, Tier.MENTION]


def test_the_popular_come_first_within_a_tier(library: Library) -> None:
    assert library.titles("queen") == ["Bohemian Rhapsody", "Don't Stop Me Now", "Queen of the Night"]
    assert library.titles("qu")[:2] == ["Bohemian Rhapsody", "Don't Stop Me Now"]


def test_best_artists_and_releases_are_on_the_first_page(library: Library) -> None:
    found = library.find("metal", 5)
    assert library.names(found.artists) == ["Metallica"]
    assert library.names(found.releases) == ["Metallica"]
    assert library.names(library.find("metalica", 5).artists) == ["Metallica"]
    assert library.find("qu", 1, found.hits[0].place).artists == ()


def test_nothing_like_it_finds_nothing(library: Library) -> None:
    assert library.find("xyzzyplugh").hits == ()


@pytest.mark.parametrize(
    "typed", ["a & b | !c", "':*", "\\", "%", "_", "a:*", "a.*", "[", "(", "\x02metallica", "\x1f"]
)
def test_signs_of_query_languages_are_only_signs(library: Library, typed: str) -> None:
    with contextlib.suppress(InvalidRequest):
        library.find(typed)


def test_what_matches_as_typed_comes_before_what_looks_like_it(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("Honest Work"), song("Home", score=20.0)])
    assert library.titles("hone") == ["Honest Work", "Home"]


def test_an_exact_name_is_not_followed_by_guesses(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("Dome"), song("Home", score=20.0)])
    assert library.titles("dome") == ["Dome"]


def test_aliases_find_the_songs_of_their_artist(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("Kiss", "Prince", aliases=("The Artist Formerly Known",)), song("Kisses")])
    assert library.titles("artist formerly known") == ["Kiss"]
    assert library.titles("kiss formerly") == ["Kiss"]


def test_filters_narrow_songs_and_not_artists(tmp_path: Path) -> None:
    rock, jazz = id_for("rock"), id_for("jazz")
    entries = [
        song("Blue One", "Ann", genre_ids=(rock,), year=1990),
        song("Blue Two", "Ann", genre_ids=(jazz, rock), year=2001),
        song("Blue Three", "Bob", genre_ids=(jazz,), year=0),
        artist("Blue"),
    ]
    library = Library(tmp_path, entries)

    def found(filters: Filters) -> set[str]:
        return set(library.names(hit.id for hit in library.find("blue", filters=filters).hits))

    assert found(Filters(artist_id=id_for("artist Ann"))) == {"Blue One", "Blue Two"}
    assert found(Filters(genre_id=jazz)) == {"Blue Two", "Blue Three"}
    assert found(Filters(year_from=1991)) == {"Blue Two"}
    assert found(Filters(year_to=2000)) == {"Blue One"}
    assert found(Filters(genre_id=rock, year_from=1990, year_to=2001)) == {"Blue One", "Blue Two"}
    assert library.names(library.find("blue", filters=Filters(genre_id=jazz)).artists) == ["Blue"]


def test_songs_to_come_are_found_from_their_moment_on(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("Now"), song("Nowhere", available_from_ms=5_000)])
    assert [hit.id for hit in library.find("now", now_ms=4_999).hits] == [song("Now").id]
    assert len(library.find("now", now_ms=5_000).hits) == 2


def test_pages_show_every_hit_once_in_the_order_of_one_long_page(tmp_path: Path) -> None:
    names = [("Paging", "A"), ("Paging through", "X"), ("Other", "Paging"), ("A day of paging", "X"), ("Pagin", "X")]
    entries = [
        song(f"{title}{' again' * (number // 5 % 2)}", f"{by} {number}", score=float(number % 3))
        for number in range(40)
        for title, by in [names[number % 5]]
    ]
    library = Library(tmp_path, entries)
    for typed, hits_min in (("paging", 24), ("pagng", 4), ("pagng x", 12)):
        whole = [hit.id for hit in library.find(typed, 100).hits]
        assert len(set(whole)) == len(whole) >= hits_min
        for size in (1, 4, 7):
            found, after = [], None
            while hits := library.find(typed, size, after).hits:
                found += [hit.id for hit in hits]
                after = hits[-1].place
            assert found == whole


def test_paging_ends_at_its_depth(tmp_path: Path) -> None:
    library = Library(tmp_path, [song("Many", f"Singer {number}") for number in range(DEPTH_MAX + 20)])
    hits = library.find("many", DEPTH_MAX + 10).hits
    assert len(hits) == hits[-1].place.shown == DEPTH_MAX
    assert library.find("many", 5, hits[-1].place).hits == ()


def test_a_page_goes_on_when_the_index_has_changed(tmp_path: Path) -> None:
    songs = [song("Many", f"Singer {number}", score=float(number)) for number in range(1, 20)]
    library = Library(tmp_path, songs)
    first = library.find("many", 5).hits
    library.change([song("Many", "New", score=30.0)], gone=[songs[-6]])
    rest = library.find("many", 50, first[-1].place).hits
    assert [hit.id for hit in rest] == [song.id for song in songs[-7::-1]]


def test_the_popular_are_found_first_among_very_many(tmp_path: Path) -> None:
    """More songs than are looked at one by one: the order is as if all had been."""
    count = 12_000
    entries = [song(f"Sea {number}", score=0.0 if number % 3 else number / 1000) for number in range(count)]
    library = Library(tmp_path, entries)
    by_rank = sorted(entries, key=documents.rank, reverse=True)
    for typed in ("s", "sea", "nobody", "sea nob"):
        assert [hit.id for hit in library.find(typed, 30).hits] == [entry.id for entry in by_rank[:30]], typed


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(typed=st.text(min_size=1, max_size=60))
def test_nothing_that_is_typed_breaks_the_engine(library: Library, typed: str) -> None:
    try:
        found = library.find(typed, 3)
    except InvalidRequest:
        return
    assert len(found.hits) <= 3
    if found.hits:
        library.find(typed, 3, found.hits[-1].place)


@settings(max_examples=40, deadline=None)
@given(names=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=8))
def test_every_title_finds_its_song_first(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    titles = [name for name in names if normalise.key(name)]
    library = Library(tmp_path_factory.mktemp("any"), [song(title, f"Singer {at}") for at, title in enumerate(titles)])
    for title in titles:
        wanted = normalise.joined(title)
        assert normalise.joined(library.titles(title)[0]) == wanted


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    by=st.sampled_from(["björk", "queen", "metallica", "adele", "abba", "muse", "yoasobi", "кино", "nobody"]),
    at=st.integers(0, 8),
    letter=st.sampled_from("aeioqxkr"),
    edit=st.sampled_from(["insert", "leave out", "replace", "swap"]),
)
def test_any_one_edit_of_an_artist_is_survived(library: Library, by: str, at: int, letter: str, edit: str) -> None:
    at %= len(by)
    forms = {
        "insert": by[:at] + letter + by[at:],
        "leave out": by[:at] + by[at + 1 :],
        "replace": by[:at] + letter + by[at + 1 :],
        "swap": by[:at] + by[at + 1 : at + 2] + by[at] + by[at + 2 :],
    }
    assert by in [name.lower() for entry in library.songs(forms[edit], 50) for name in entry.artists]
