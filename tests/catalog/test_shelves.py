"""On the shelves stands what can be heard, in three orders, and a page of them is a walk along an index."""

import asyncio
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY

from catalog import cursors, popularity, shelves
from catalog import tables as t
from catalog.browse import Browse, page_statement
from catalog.database import Database
from catalog.listing import Filter, Kind, Listing, Order
from catalog.merging import Merging
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind
from catalog.plays import Plays
from catalog.publish import Publisher
from catalog.songs import Songs
from catalog.takedown import Takedown
from reprise.errors import InvalidRequest
from tests.catalog.songbook import publication
from tests.catalog.test_browse import names

ROWS = 20_000


@pytest.fixture
def takedown(database: Database, metrics: CatalogMetrics) -> Takedown:
    return Takedown(database, metrics)


async def ids_of(songs: Songs, song_id: uuid.UUID) -> tuple[uuid.UUID, uuid.UUID, uuid.UUID]:
    """The artist, release and genre of a song."""
    (song,) = await songs.get([song_id], upcoming=True)
    assert song.release is not None
    ids = (song.artists[0].artist_id, song.release.release_id, song.genres[0].genre_id)
    return uuid.UUID(ids[0]), uuid.UUID(ids[1]), uuid.UUID(ids[2])


async def test_an_artist_release_and_genre_are_listed_while_a_song_of_them_can_be_heard(
    database: Database, publisher: Publisher, browse: Browse, takedown: Takedown, songs: Songs
) -> None:
    fields = {"album": "Only Album", "genres": ("Only Genre",)}
    both = [(await publisher.publish(publication(title, "Only Artist", **fields))).song_id for title in ("One", "Two")]
    artist_id, _, genre_id = await ids_of(songs, both[0])
    lists = {
        Listing(Kind.ARTISTS): "Only Artist",
        Listing(Kind.RELEASES): "Only Album",
        Listing(Kind.GENRES): "Only Genre",
        Listing(Kind.ARTISTS, Order.NATURAL, Filter.GENRE, genre_id): "Only Artist",
        Listing(Kind.RELEASES, Order.NATURAL, Filter.ARTIST, artist_id): "Only Album",
    }

    async def listed() -> list[bool]:
        return [name in await names(browse, listing, 100) for listing, name in lists.items()]

    await takedown.take_down(EntityKind.SONG, both[0], "asked for")
    assert await listed() == [True] * 5
    assert await names(browse, Listing(Kind.SONGS, Order.NATURAL, Filter.ARTIST, artist_id)) == ["Two"]
    await takedown.take_down(EntityKind.SONG, both[1], "asked for")
    assert await listed() == [False] * 5
    await takedown.restore(EntityKind.SONG, both[1])
    assert await listed() == [True] * 5


async def test_a_publication_and_a_takedown_at_once_leave_the_artist_listed(
    publisher: Publisher, browse: Browse, takedown: Takedown
) -> None:
    for number in range(5):
        artist = f"Contested {number}"
        first = (await publisher.publish(publication("First", artist, genres=("Contested",)))).song_id
        await asyncio.gather(
            takedown.take_down(EntityKind.SONG, first, "asked for"),
            publisher.publish(publication("Second", artist, genres=("Contested",))),
        )
        assert artist in await names(browse, Listing(Kind.ARTISTS), 100)


async def test_of_a_release_group_one_edition_is_listed(publisher: Publisher, browse: Browse) -> None:
    group = str(uuid.uuid4())
    for edition in ("Anniversary", "Anniversary (Deluxe)"):
        offered = publication(
            "Cake", "Grouped", album=edition, release_mbid=str(uuid.uuid4()), release_group_mbid=group
        )
        await publisher.publish(offered)
    assert [name for name in await names(browse, Listing(Kind.RELEASES), 100) if "Anniversary" in name] == [
        "Anniversary"
    ]


async def test_the_most_played_come_first_and_then_the_unplayed(
    database: Database, publisher: Publisher, browse: Browse, songs: Songs
) -> None:
    ids = [
        (
            await publisher.publish(publication(f"Hit {at}", f"Star {at}", album=f"Hits {at}", genres=("Charts",)))
        ).song_id
        for at in range(5)
    ]
    _, _, genre_id = await ids_of(songs, ids[0])
    plays = Plays(database, CollectorRegistry(), lambda: popularity.EPOCH_UNIX_S)
    for at, listeners in ((3, 9), (1, 3)):
        for listener in range(listeners):
            plays.note(f"listener {listener}", str(ids[at]), 1, 60_000)
    await plays.flush()
    for kind, word in ((Kind.SONGS, "Hit"), (Kind.ARTISTS, "Star"), (Kind.RELEASES, "Hits")):
        found = await names(browse, Listing(kind, Order.POPULAR, Filter.GENRE, genre_id))
        assert found == [f"{word} {at}" for at in (3, 1, 4, 2, 0)]
    assert (await names(browse, Listing(Kind.SONGS, Order.POPULAR)))[:2] == ["Hit 3", "Hit 1"]
    with pytest.raises(InvalidRequest, match="genres"):
        Listing(Kind.GENRES, Order.POPULAR)


async def test_songs_of_a_release_come_in_every_order(
    database: Database, publisher: Publisher, browse: Browse, songs: Songs
) -> None:
    ids = [
        (await publisher.publish(publication(title, album="Ordered", track_number=at, genres=("X",)))).song_id
        for title, at in (("c", 2), ("a", 3), ("b", 1))
    ]
    _, release_id, _ = await ids_of(songs, ids[0])
    plays = Plays(database, CollectorRegistry(), lambda: popularity.EPOCH_UNIX_S)
    plays.note("listener", str(ids[1]), 1, 60_000)
    await plays.flush()
    expected = {Order.NATURAL: ["b", "c", "a"], Order.NEWEST: ["b", "a", "c"], Order.POPULAR: ["a", "b", "c"]}
    for order, titles in expected.items():
        assert await names(browse, Listing(Kind.SONGS, order, Filter.RELEASE, release_id), 1) == titles


async def test_a_cursor_and_a_filter_outlive_a_merge(
    database: Database, publisher: Publisher, browse: Browse, songs: Songs, metrics: CatalogMetrics
) -> None:
    ids = [
        (await publisher.publish(publication(title, artist, album=f"Of {artist}", genres=("Y",)))).song_id
        for title, artist in (("a", "Alias"), ("b", "Alias"), ("c", "Alias"), ("d", "Known As"))
    ]
    old, new = [(await ids_of(songs, song_id))[0] for song_id in (ids[0], ids[3])]
    listing = Listing(Kind.SONGS, Order.NATURAL, Filter.ARTIST, old)
    first = await browse.browse(listing, 2, "")
    await Merging(database, metrics).merge(EntityKind.ARTIST, old, new)
    second = await browse.browse(listing, 9, first.next_cursor)
    assert len(second.entries) == 2
    assert await names(browse, listing) == ["a", "b", "c", "d"]
    assert "Alias" not in await names(browse, Listing(Kind.ARTISTS), 100)


async def test_a_walk_while_others_publish_shows_all_that_was_there_once(publisher: Publisher, browse: Browse) -> None:
    before = [f"before {number:02}" for number in range(0, 40, 2)]
    for title in before:
        await publisher.publish(publication(title, "Walked"))

    async def publish_more() -> None:
        for number in range(1, 20, 2):
            await publisher.publish(publication(f"before {number:02}", "Walked"))

    more = asyncio.create_task(publish_more())
    found = [name for name in await names(browse, Listing(Kind.SONGS), 3) if name.startswith("before")]
    await more
    assert len(found) == len(set(found))
    assert set(before) <= set(found)
    assert found == sorted(found)


async def test_shelves_made_anew_are_those_that_were_kept(database: Database, publisher: Publisher) -> None:
    await publisher.publish(publication("Kept", "Keeper", "Guest", album="Keeping", genres=("K", "L")))
    kept = await shelf_rows(database)
    assert any(row[0] == Kind.GENRES for row in kept)
    await database.write(shelves.rebuild)
    assert await shelf_rows(database) == kept


async def shelf_rows(database: Database) -> set[tuple[Any, ...]]:
    columns = (t.shelf.c.kind, t.shelf.c.shelf_id, t.shelf.c.entity_id, t.shelf.c.sort_key)
    return {tuple(row) for row in await database.read(lambda connection: connection.execute(sa.select(*columns)))}


@pytest.fixture
async def long_list(database: Database) -> uuid.UUID:
    """A genre's shelf with ROWS songs and as many others."""
    genre_id = uuid.uuid4()
    await database.write(lambda connection: connection.execute(sa.delete(t.shelf)))
    rows = sa.text(
        "INSERT INTO shelf (kind, shelf_id, entity_id, sort_key, score)"
        " SELECT 4, CASE WHEN n % 2 = 0 THEN :genre ELSE gen_random_uuid() END, lpad(to_hex(n), 32, '0')::uuid,"
        " md5(n::text), random()"
        " FROM generate_series(1, :rows) n"
    ).bindparams(sa.bindparam("genre", genre_id, sa.Uuid()), rows=2 * ROWS)
    await database.write(lambda connection: connection.execute(rows))
    await database.write(lambda connection: connection.execute(sa.text("ANALYZE shelf")))
    return genre_id


@pytest.mark.parametrize("order", list(Order))
async def test_a_deep_page_is_a_walk_along_an_index(
    database: Database, browse: Browse, long_list: uuid.UUID, order: Order
) -> None:
    listing = Listing(Kind.SONGS, order, Filter.GENRE, long_list)
    middle = uuid.UUID(int=ROWS)
    deep: cursors.Position = {
        Order.NATURAL: ("8", str(middle)),
        Order.NEWEST: (str(middle),),
        Order.POPULAR: ((0.5).hex(), str(middle)),
    }[order]
    for after in (None, deep):
        plan = await explain(database, page_statement(listing, after, 50))
        walk = [*nodes(next(node for node in nodes(plan) if node["Node Type"] == "Limit"))]
        kinds = {node["Node Type"] for node in walk}
        assert kinds <= {"Limit", "Index Scan", "Index Only Scan"}, kinds
        (scan,) = [node for node in walk if "Index Name" in node]
        assert f"(shelf_id = '{long_list}'::uuid)" in scan["Index Cond"]


async def explain(database: Database, statement: sa.Select[Any]) -> dict[str, Any]:
    text = statement.compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})
    found = await database.read(lambda connection: connection.execute(sa.text(f"EXPLAIN (FORMAT JSON) {text}")))
    plan: dict[str, Any] = found.scalar_one()[0]["Plan"]
    return plan


async def test_what_an_entry_stands_on_is_looked_up(database: Database, long_list: uuid.UUID) -> None:
    ids = [uuid.UUID(int=number) for number in (7, 8, 9)]
    plan = await explain(
        database, sa.select(t.shelf.c.shelf_id).where(t.shelf.c.entity_id == sa.any_(sa.cast(ids, ARRAY(sa.Uuid()))))
    )
    assert "Seq Scan" not in {node["Node Type"] for node in nodes(plan)}


async def test_a_list_has_an_estimate_and_a_short_one_its_length(
    browse: Browse, publisher: Publisher, songs: Songs, long_list: uuid.UUID
) -> None:
    song_id = (await publisher.publish(publication("Single", album="Short", genres=("Z",)))).song_id
    _, _, genre_id = await ids_of(songs, song_id)
    assert (await browse.browse(Listing(Kind.SONGS, Order.NATURAL, Filter.GENRE, genre_id), 10, "")).total_estimate == 1
    page = await browse.browse(Listing(Kind.SONGS, Order.NATURAL, Filter.GENRE, long_list), 10, "")
    assert ROWS / 2 < page.total_estimate < ROWS * 2


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A node of a plan and all below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)
