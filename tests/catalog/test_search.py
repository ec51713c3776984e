"""Listeners find what they mean, however they type it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from catalog import spelling
from catalog.publish import Publisher
from catalog.search import Search
from reprise.errors import InvalidRequest
from tests.catalog import songbook

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


@pytest.fixture
async def library(publisher: Publisher, search: Search) -> Search:
    """A search over SONGS, published on first use."""
    if not (await search.search("thunderstruck", 1, "")).songs:
        for number, (title, artist, album) in enumerate(SONGS):
            await publisher.publish(
                songbook.publication(title, artist, album=album, source_sha256=songbook.digest(f"song {number}"))
            )
    return search


async def titles(search: Search, query: str) -> list[str]:
    return [song.title for song in (await search.search(query, 20, "")).songs]


@pytest.mark.parametrize(
    ("query", "title"),
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
        ("pink", "So What"),
        ("p!nk", "So What"),
        ("!!!", "Me and Giuliani"),
        ("÷", "Perfect"),
        ("dont stop me now", "Don't Stop Me Now"),
        ("don't stop", "Don't Stop Me Now"),
        ("100%", "100% Pure"),
        ("sugar cane", "Sugarcane"),
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
async def test_first_hit_is_what_was_meant(library: Search, query: str, title: str) -> None:
    assert (await titles(library, query))[0] == title


@pytest.mark.parametrize(
    ("query", "title"),
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
    ],
)
async def test_a_typo_is_survived(library: Search, query: str, title: str) -> None:
    assert title in (await titles(library, query))[:10]


async def test_exact_title_then_artist_then_mention(library: Search) -> None:
    found = await titles(library, "bjork")
    assert found == ["Bjork", "Army of Me", "Hyperballad", "Homogenic Love"]


async def test_prefixes_are_in_the_order_of_the_name_that_matched(library: Search) -> None:
    assert (await titles(library, "que"))[:4] == [
        "Quebec",
        "Bohemian Rhapsody",
        "Don't Stop Me Now",
        "Queen of the Night",
    ]


async def test_what_matches_as_typed_comes_before_what_looks_like_it(library: Search, publisher: Publisher) -> None:
    await publisher.publish(songbook.publication("Honest Work", "Knife Grinder"))
    found = await titles(library, "hone")
    assert found.index("Honest Work") < found.index("Home")


async def test_an_exact_name_is_not_followed_by_guesses(library: Search, publisher: Publisher) -> None:
    await publisher.publish(songbook.publication("Dome", "Church Builder"))
    assert await titles(library, "dome") == ["Dome"]


async def test_nothing_like_it_finds_nothing(library: Search) -> None:
    page = await library.search("xyzzyplugh", 20, "")
    assert (page.songs, page.next_cursor) == ([], "")


async def test_signs_of_the_query_language_are_only_signs(library: Search) -> None:
    for query in ("a & b | !c", "':*", "\\", "%", "_", "a:*", "<->", "''", "queen' | 'adele"):
        await library.search(query, 20, "")
    assert await titles(library, "%") == []


async def test_pages_show_every_hit_once_in_the_order_of_one_long_page(library: Search, publisher: Publisher) -> None:
    names = [
        ("Paging", "Nobody"),
        ("Paging through", "X"),
        ("Other", "Paging"),
        ("A day of paging", "X"),
        ("Pagin", "X"),
    ]
    for number in range(30):
        title, artist = [*names, ("Paging both", "Paging ways")][number % 6]
        await publisher.publish(songbook.publication(title, artist, album=f"Volume {number}"))
    # As typed, and with a typo, where every hit is a guess.
    for query, hits in (("paging", 25), ("pagng", 25)):
        whole = await library.search(query, 100, "")
        assert whole.next_cursor == ""
        assert len({song.song_id for song in whole.songs}) == len(whole.songs) == hits
        for page_size in (1, 4, 7):
            found, cursor = [], ""
            while len(found) <= hits:
                page = await library.search(query, page_size, cursor)
                assert len(page.songs) <= page_size
                found += page.songs
                if not (cursor := page.next_cursor):
                    break
            assert [song.song_id for song in found] == [song.song_id for song in whole.songs]


async def test_a_cursor_of_another_query_is_refused(library: Search) -> None:
    page = await library.search("queen", 1, "")
    assert page.next_cursor
    with pytest.raises(InvalidRequest, match="cursor"):
        await library.search("bjork", 1, page.next_cursor)


async def test_first_pages_are_counted_by_their_best_tier(library: Search, registry: CollectorRegistry) -> None:
    def counted() -> list[float]:
        tiers = ("exact_title", "prefix", "corrected_exact", "none")
        return [registry.get_sample_value("reprise_catalog_searches_total", {"tier": tier}) or 0 for tier in tiers]

    before = counted()
    for query in ("army of me", "quebe", "metalica", "xyzzyplugh"):
        await library.search(query, 20, "")
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 1, 1, 1]


# The fixture is read-only here, so examples may share it.
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    artist=st.sampled_from(["björk", "queen", "metallica", "adele", "abba", "muse", "yoasobi", "кино", "nobody"]),
    at=st.integers(0, 8),
    letter=st.sampled_from("aeioqxkr"),
    edit=st.sampled_from(["insert", "leave out", "replace", "swap"]),
)
async def test_any_one_edit_of_an_artist_is_survived(
    library: Search, artist: str, at: int, letter: str, edit: str
) -> None:
    at %= len(artist)
    forms = {
        "insert": artist[:at] + letter + artist[at:],
        "leave out": artist[:at] + artist[at + 1 :],
        "replace": artist[:at] + letter + artist[at + 1 :],
        "swap": artist[:at] + artist[at + 1 : at + 2] + artist[at] + artist[at + 2 :],
    }
    typed = forms[edit]
    assert spelling.distance(typed, artist) <= 1
    found = (await library.search(typed, 50, "")).songs
    assert any(credit.name.lower() == artist for song in found for credit in song.artists)
