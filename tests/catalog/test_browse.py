"""Lists are walked whole, in order, at any page size, while others publish."""

import uuid
from collections.abc import AsyncIterator

import pytest

from catalog.browse import Browse
from catalog.browse_entries import Entry
from catalog.listing import Filter, Kind, Listing, Order
from catalog.model import Artist, Genre, Release
from catalog.publish import Publisher
from reprise.errors import InvalidRequest, NotFound
from reprise.types.v1.types_pb2 import Song
from tests.catalog import songbook

SONGS = [
    ("Zebra", "The Animals", "Zoo", ("Pop", "Rock"), 2),
    ("apple", "Fruit", "Basket", ("Pop",), 3),
    ("Äpfel", "Fruit", "Basket", ("Folk",), 1),
    ("Banana", "Fruit", "Basket", ("Pop",), 2),
    ("Apple", "Émile", "Solo", ("Rock",), 1),
    ("Cherry", "Fruit", "Jam", ("Pop",), 1),
    ("東京", "東京事変", "大人", ("J-Pop",), 1),
]


@pytest.fixture
async def shelf(publisher: Publisher, browse: Browse) -> Browse:
    """A browse over SONGS, published on first use."""
    if not (await browse.browse(Listing(Kind.SONGS), 1, "")).entries:
        for number, (title, artist, album, genres, track) in enumerate(SONGS):
            source = songbook.digest(f"song {number}")
            song = songbook.publication(
                title, artist, album=album, genres=genres, track_number=track, source_sha256=source
            )
            await publisher.publish(song)
    return browse


async def walk(browse: Browse, listing: Listing, page_size: int = 2) -> AsyncIterator[Entry]:
    """All entries of a list, page by page."""
    cursor = ""
    while True:
        page = await browse.browse(listing, page_size, cursor)
        assert len(page.entries) <= page_size
        for entry in page.entries:
            yield entry
        if not (cursor := page.next_cursor):
            return


async def names(browse: Browse, listing: Listing, page_size: int = 2) -> list[str]:
    return [name(entry) async for entry in walk(browse, listing, page_size)]


def name(entry: Entry) -> str:
    match entry:
        case bytes():
            return Song.FromString(entry).title
        case Release():
            return entry.title
    return entry.name


async def one(browse: Browse, kind: Kind, wanted: str) -> uuid.UUID:
    """The id of the artist, release or genre of that name."""
    async for entry in walk(browse, Listing(kind)):
        match entry:
            case Artist(artist_id, found) | Genre(artist_id, found) | Release(artist_id, found) if found == wanted:
                return uuid.UUID(artist_id)
    raise AssertionError(f"no {wanted}")


@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
async def test_songs_in_the_order_of_the_alphabet(shelf: Browse, page_size: int) -> None:
    found = await names(shelf, Listing(Kind.SONGS), page_size)
    assert found == ["Äpfel", "apple", "Apple", "Banana", "Cherry", "Zebra", "東京"]


async def test_artists_are_sorted_without_their_article(shelf: Browse) -> None:
    assert await names(shelf, Listing(Kind.ARTISTS)) == ["The Animals", "Émile", "Fruit", "東京事変"]


async def test_releases_and_genres(shelf: Browse) -> None:
    assert await names(shelf, Listing(Kind.RELEASES)) == ["Basket", "Jam", "Solo", "Zoo", "大人"]
    assert await names(shelf, Listing(Kind.GENRES)) == ["Folk", "J-Pop", "Pop", "Rock"]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Kind.SONGS, [title for title, *_ in reversed(SONGS)]),
        (Kind.RELEASES, ["大人", "Jam", "Solo", "Basket", "Zoo"]),
        (Kind.ARTISTS, ["東京事変", "Émile", "Fruit", "The Animals"]),
        (Kind.GENRES, ["J-Pop", "Folk", "Rock", "Pop"]),
    ],
)
async def test_newest_first(shelf: Browse, kind: Kind, expected: list[str]) -> None:
    found = await names(shelf, Listing(kind, Order.NEWEST))
    if kind is Kind.GENRES:  # Pop and Rock came with one song
        assert found[:2] == expected[:2]
        assert set(found[2:]) == set(expected[2:])
    else:
        assert found == expected


async def test_songs_of_a_release_are_in_its_order(shelf: Browse) -> None:
    listing = Listing(Kind.SONGS, Order.NATURAL, Filter.RELEASE, await one(shelf, Kind.RELEASES, "Basket"))
    assert await names(shelf, listing) == ["Äpfel", "Banana", "apple"]


async def test_songs_and_releases_of_an_artist(shelf: Browse) -> None:
    fruit = await one(shelf, Kind.ARTISTS, "Fruit")
    assert await names(shelf, Listing(Kind.RELEASES, Order.NATURAL, Filter.ARTIST, fruit)) == ["Basket", "Jam"]
    assert set(await names(shelf, Listing(Kind.SONGS, Order.NATURAL, Filter.ARTIST, fruit))) == {
        "Äpfel",
        "apple",
        "Banana",
        "Cherry",
    }


@pytest.mark.parametrize(
    ("kind", "order", "expected"),
    [
        (Kind.SONGS, Order.NATURAL, ["apple", "Banana", "Cherry", "Zebra"]),
        (Kind.SONGS, Order.NEWEST, ["Cherry", "Banana", "apple", "Zebra"]),
        (Kind.ARTISTS, Order.NATURAL, ["The Animals", "Fruit"]),
        (Kind.ARTISTS, Order.NEWEST, ["Fruit", "The Animals"]),
        (Kind.RELEASES, Order.NATURAL, ["Basket", "Jam", "Zoo"]),
        (Kind.RELEASES, Order.NEWEST, ["Jam", "Basket", "Zoo"]),
    ],
)
async def test_songs_artists_and_releases_of_a_genre(
    shelf: Browse, kind: Kind, order: Order, expected: list[str]
) -> None:
    pop = await one(shelf, Kind.GENRES, "Pop")
    assert await names(shelf, Listing(kind, order, Filter.GENRE, pop)) == expected


async def test_an_unknown_filter_is_not_found(shelf: Browse) -> None:
    for kind, by in ((Kind.RELEASES, Filter.ARTIST), (Kind.SONGS, Filter.GENRE), (Kind.SONGS, Filter.RELEASE)):
        with pytest.raises(NotFound, match=by.value):
            await shelf.browse(Listing(kind, Order.NATURAL, by, uuid.uuid4()), 10, "")


@pytest.mark.parametrize(
    ("kind", "by"), [(Kind.GENRES, Filter.ARTIST), (Kind.ARTISTS, Filter.ARTIST), (Kind.RELEASES, Filter.RELEASE)]
)
def test_a_filter_that_does_not_fit_is_refused(kind: Kind, by: Filter) -> None:
    with pytest.raises(InvalidRequest, match=by.value):
        Listing(kind, Order.NATURAL, by, uuid.uuid4())


async def test_a_cursor_is_bound_to_its_list(shelf: Browse) -> None:
    cursor = (await shelf.browse(Listing(Kind.SONGS), 1, "")).next_cursor
    for other in (Listing(Kind.SONGS, Order.NEWEST), Listing(Kind.ARTISTS)):
        with pytest.raises(InvalidRequest, match="cursor"):
            await shelf.browse(other, 1, cursor)


async def test_a_song_published_between_pages_neither_repeats_nor_hides_others(
    shelf: Browse, publisher: Publisher
) -> None:
    genre = ("Interrupted",)
    for title in ("b", "d", "f"):
        await publisher.publish(songbook.publication(title, genres=genre))
    listing = Listing(Kind.SONGS, Order.NATURAL, Filter.GENRE, await one(shelf, Kind.GENRES, "Interrupted"))
    first = await shelf.browse(listing, 2, "")
    for title in ("a", "c", "e"):
        await publisher.publish(songbook.publication(title, genres=genre))
    second = await shelf.browse(listing, 9, first.next_cursor)
    titles = [name(entry) for page in (first, second) for entry in page.entries]
    assert titles == ["b", "d", "e", "f"]
