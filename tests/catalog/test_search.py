"""The index answers; without one the database does, and says so. What the engines find is told in `searching/`."""

import uuid
from collections.abc import Sequence

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from catalog import tables as t
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.publish import Publisher
from catalog.search import Page, Search
from catalog.searching.backend import Ask, Busy, Filters, Found, Hit, Place, Tier
from catalog.searching.shown import load_shown
from reprise.errors import InvalidRequest, Unavailable
from reprise.types.v1.types_pb2 import Song
from tests.catalog import songbook
from tests.catalog.conftest import CURSOR_KEY

SONGS = [
    ("Army of Me", "Björk", "Post", "1995"),
    ("Hyperballad", "Björk", "Post", "1995-06-13"),
    ("Bjork", "Tribute Band", "Icelanders", "2001"),
    ("Yesterday", "The Beatles", "Help!", "1965"),
    ("T.N.T.", "AC/DC", "High Voltage", "1976"),
]


class ShelfIndex:
    """Songs in a given order, or an outage."""

    def __init__(self) -> None:
        self.songs: Sequence[uuid.UUID] = ()
        self.trouble: Unavailable | None = None
        self.asked: list[Ask] = []

    async def find(self, ask: Ask, count: int, after: Place | None) -> Found:
        if self.trouble:
            raise self.trouble
        self.asked.append(ask)
        start = after.shown if after else 0
        places = [(id_, Place(Tier.WORDS, 100 - at, id_, at + 1)) for at, id_ in enumerate(self.songs)]
        return Found(tuple(Hit(id_, place) for id_, place in places[start : start + count]))


@pytest.fixture
def index() -> ShelfIndex:
    return ShelfIndex()


@pytest.fixture
def indexed(database: Database, index: ShelfIndex, metrics: CatalogMetrics) -> Search:
    return Search(database, index, CURSOR_KEY, metrics, lambda: 1000.0)


@pytest.fixture
async def library(publisher: Publisher) -> list[uuid.UUID]:
    """SONGS, published once."""
    return [
        (
            await publisher.publish(
                songbook.publication(
                    title, artist, album=album, date=date, genres=("Rock",), source_sha256=songbook.digest(title)
                )
            )
        ).song_id
        for title, artist, album, date in SONGS
    ]


def titles(page: Page) -> list[str]:
    return [song.title for song in map(Song.FromString, page.songs)]


async def test_the_index_answers_page_by_page(indexed: Search, index: ShelfIndex, library: list[uuid.UUID]) -> None:
    index.songs = library
    first = await indexed.search("anything", 2, "")
    assert (titles(first), first.partial) == (["Army of Me", "Hyperballad"], False)
    second = await indexed.search("anything", 2, first.next_cursor)
    assert titles(second) == ["Bjork", "Yesterday"]
    last = await indexed.search("anything", 2, second.next_cursor)
    assert (titles(last), last.next_cursor) == (["T.N.T."], "")


async def test_the_index_is_asked_with_filters_and_the_time(indexed: Search, index: ShelfIndex) -> None:
    wanted = Filters(artist_id=uuid.uuid4(), year_from=1990)
    await indexed.search("anything", 2, "", wanted)
    assert (index.asked[0].filters, index.asked[0].now_ms) == (wanted, 1_000_000)


async def test_songs_that_the_index_knows_and_the_database_does_not_are_left_out(
    indexed: Search, index: ShelfIndex, library: list[uuid.UUID]
) -> None:
    index.songs = [library[0], uuid.uuid4(), library[1]]
    assert titles(await indexed.search("anything", 5, "")) == ["Army of Me", "Hyperballad"]


async def test_without_the_index_the_database_answers_and_says_so(
    indexed: Search, index: ShelfIndex, library: list[uuid.UUID], registry: CollectorRegistry
) -> None:
    index.trouble = Unavailable("the shelf is away")
    page = await indexed.search("bjork", 10, "")
    assert (titles(page), page.partial) == (["Bjork", "Army of Me", "Hyperballad"], True)
    assert [artist.name for artist in page.artists] == ["Björk"]
    labels = {"backend": "database", "tier": "prefix"}
    assert registry.get_sample_value("reprise_catalog_searches_total", labels) == 1


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("army", ["Army of Me"]),
        ("beat", ["Yesterday"]),
        ("the bea", ["Yesterday"]),
        ("t.n.t", ["T.N.T."]),
        ("%", []),
        ("'; --", []),
    ],
)
async def test_the_database_finds_by_prefix(
    search: Search, library: list[uuid.UUID], query: str, found: list[str]
) -> None:
    page = await search.search(query, 10, "")
    assert (titles(page), page.partial) == (found, True)


async def test_the_database_filters(search: Search, library: list[uuid.UUID]) -> None:
    page = await search.search("bjork", 10, "", Filters(year_to=1999))
    assert titles(page) == ["Army of Me", "Hyperballad"]
    artist_id = uuid.UUID(page.artists[0].artist_id)
    assert titles(await search.search("bjork", 10, "", Filters(artist_id=artist_id))) == ["Army of Me", "Hyperballad"]
    (genre,) = Song.FromString(page.songs[0]).genres
    assert len((await search.search("b", 10, "", Filters(genre_id=uuid.UUID(genre.genre_id)))).songs) == 4
    assert titles(await search.search("b", 10, "", Filters(genre_id=uuid.uuid4()))) == []


async def test_pages_of_the_database_show_every_song_once(search: Search, library: list[uuid.UUID]) -> None:
    found, cursor = [], ""
    for _ in range(6):
        page = await search.search("b", 1, cursor)
        found += titles(page)
        cursor = page.next_cursor
        if not cursor:
            break
    assert found == ["Bjork", "Army of Me", "Hyperballad", "Yesterday"]


async def test_a_busy_index_is_not_replaced_by_the_database(
    indexed: Search, index: ShelfIndex, registry: CollectorRegistry
) -> None:
    index.trouble = Busy("64 searches are under way")
    with pytest.raises(Busy):
        await indexed.search("bjork", 10, "")
    labels = {"backend": "index", "tier": "busy"}
    assert registry.get_sample_value("reprise_catalog_searches_total", labels) == 1


async def test_a_list_goes_on_with_who_began_it(indexed: Search, index: ShelfIndex, library: list[uuid.UUID]) -> None:
    index.songs = library
    by_index = (await indexed.search("b", 1, "")).next_cursor
    index.trouble = Unavailable("the shelf is away")
    by_database = (await indexed.search("b", 1, "")).next_cursor
    with pytest.raises(Unavailable):
        await indexed.search("b", 1, by_index)
    index.trouble = None
    page = await indexed.search("b", 1, by_database)
    assert (titles(page), page.partial) == (["Army of Me"], True)


async def test_a_cursor_of_another_query_or_filter_is_refused(
    indexed: Search, index: ShelfIndex, library: list[uuid.UUID]
) -> None:
    index.songs = library
    cursor = (await indexed.search("queen", 1, "")).next_cursor
    for text, filters in (("bjork", Filters()), ("queen", Filters(year_from=1990))):
        with pytest.raises(InvalidRequest, match="cursor"):
            await indexed.search(text, 1, cursor, filters)


def test_years_have_four_digits() -> None:
    with pytest.raises(InvalidRequest, match="years"):
        Filters(year_to=10_000)


async def test_artists_and_releases_are_shown_as_the_index_orders_them(
    database: Database, library: list[uuid.UUID]
) -> None:
    rows = await database.read(lambda connection: connection.execute(sa.select(t.release.c.id, t.release.c.title)))
    releases = sorted(rows.all(), key=lambda row: row.title, reverse=True)
    artists = (await database.read(lambda connection: connection.execute(sa.select(t.artist.c.id)))).scalars().all()
    ids = [row.id for row in releases]
    shown = await database.read(lambda connection: load_shown(connection, library[:1], [*artists, uuid.uuid4()], ids))
    assert [release.title for release in shown.releases] == [row.title for row in releases]
    assert all(credit.name and credit.artist_id for release in shown.releases for credit in release.artists)
    assert [artist.artist_id for artist in shown.artists] == [str(artist_id) for artist_id in artists]
    assert [Song.FromString(card).song_id for card in shown.songs] == [str(library[0])]
