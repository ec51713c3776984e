"""Nobody finds a release before its moment, everybody does from then on, and an operator sees it all the time."""

import asyncio
import time
import uuid
from dataclasses import replace

import asyncpg
import pytest

from catalog import releases as module
from catalog.browse import Browse
from catalog.listing import Filter, Kind, Listing, Order
from catalog.model import Publication, Release, Upcoming
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.search import Search
from catalog.songs import Songs
from reprise.errors import InvalidRequest, NotFound, NotReady
from reprise.types.v1.types_pb2 import Song as Message
from tests.catalog import songbook
from tests.catalog.test_browse import name

HOUR_MS = 3_600_000


def in_ms(milliseconds: int) -> int:
    return time.time_ns() // 1_000_000 + milliseconds


def held_back(title: str, album: str, at_unix_ms: int, **fields: object) -> Publication:
    return songbook.publication(title, "Someone New", album=album, available_from_unix_ms=at_unix_ms, **fields)


async def release_of(songs: Songs, song_id: uuid.UUID) -> uuid.UUID:
    (song,) = await songs.get([song_id], upcoming=True)
    assert song.release is not None
    return uuid.UUID(song.release.release_id)


class Listener:
    """All the ways to a song."""

    def __init__(self, search: Search, browse: Browse, songs: Songs) -> None:
        self._search = search
        self._browse = browse
        self._songs = songs

    async def finds(self, song: Publication, song_id: uuid.UUID, release_id: uuid.UUID) -> dict[str, bool]:
        """By which of them it is found."""
        (genre,) = song.genres
        (known,) = await self._songs.get([song_id], upcoming=True)
        genre_id, artist_id = uuid.UUID(known.genres[0].genre_id), uuid.UUID(known.artists[0].artist_id)
        found = {
            "id": bool(await self._songs.get([song_id])),
            "title": await self._searched(song.title, song_id),
            "start": await self._searched(song.title[:4], song_id),
            "songs": await self._listed(Listing(Kind.SONGS), song.title),
            "newest": await self._listed(Listing(Kind.SONGS, Order.NEWEST), song.title),
            "genre": await self._listed(Listing(Kind.SONGS, filter=Filter.GENRE, filter_id=genre_id), song.title),
            "artist": await self._listed(Listing(Kind.SONGS, filter=Filter.ARTIST, filter_id=artist_id), song.title),
            "genres": await self._listed(Listing(Kind.GENRES), genre),
            "releases": await self._listed(Listing(Kind.RELEASES), song.album),
        }
        try:
            of_release = Listing(Kind.SONGS, filter=Filter.RELEASE, filter_id=release_id)
            found["release"] = await self._listed(of_release, song.title)
        except NotFound:
            found["release"] = False
        return found

    async def _searched(self, text: str, song_id: uuid.UUID) -> bool:
        return str(song_id) in [
            song.song_id for song in map(Message.FromString, (await self._search.search(text, 50, "")).songs)
        ]

    async def _listed(self, listing: Listing, title: str) -> bool:
        entries = (await self._browse.browse(listing, 100, "")).entries
        return title in map(name, entries)


@pytest.fixture
def listener(search: Search, browse: Browse, songs: Songs) -> Listener:
    return Listener(search, browse, songs)


async def test_a_release_is_found_by_nobody_before_its_moment_and_by_every_way_after_it(
    publisher: Publisher, releases: Releases, songs: Songs, listener: Listener
) -> None:
    song = held_back("Quiescent Morning", "Breathless Album", in_ms(HOUR_MS), genres=("Hush",))
    song_id = (await publisher.publish(song)).song_id
    release_id = await release_of(songs, song_id)
    assert not any((await listener.finds(song, song_id, release_id)).values())
    # Two seconds ahead: what is asked for in between must still be hidden, and nothing acts at the moment itself.
    moment = in_ms(2000)
    assert (await releases.publish(release_id, moment)).songs == 1
    assert not any((await listener.finds(song, song_id, release_id)).values()) or in_ms(0) >= moment
    await asyncio.sleep(max(0.0, (moment - in_ms(0)) / 1000 + 0.05))
    found = await listener.finds(song, song_id, release_id)
    assert all(found.values()), found


async def test_a_release_can_be_let_out_now_once_and_again(
    publisher: Publisher, releases: Releases, songs: Songs
) -> None:
    song_id = (await publisher.publish(held_back("One", "Let Out", in_ms(HOUR_MS)))).song_id
    release_id = await release_of(songs, song_id)
    first = await releases.publish(release_id, 0)
    assert await songs.get([song_id])
    assert await releases.publish(release_id, 0) == first
    with pytest.raises(NotReady, match="out already"):
        await releases.publish(release_id, in_ms(HOUR_MS))


async def test_a_song_that_joins_a_release_comes_out_with_it(
    publisher: Publisher, releases: Releases, songs: Songs
) -> None:
    moment = in_ms(HOUR_MS)
    first = (await publisher.publish(held_back("First", "Together", moment))).song_id
    second = (await publisher.publish(held_back("Second", "Together", 0))).song_id
    assert await songs.get([first, second]) == []
    with pytest.raises(NotReady, match="comes out at"):
        await publisher.publish(held_back("Third", "Together", moment + 1))
    assert (await releases.publish(await release_of(songs, first), 0)).songs == 2
    assert len(await songs.get([first, second])) == 2


async def test_songs_that_join_while_the_moment_is_moved_end_up_with_the_moment_of_their_release(
    publisher: Publisher, releases: Releases, songs: Songs, catalog_dsn: str
) -> None:
    """The race in the module's docstring, run."""
    first = (await publisher.publish(held_back("Song 0", "Crowded", in_ms(HOUR_MS)))).song_id
    release_id = await release_of(songs, first)
    joins = [publisher.publish(held_back(f"Song {n}", "Crowded", 0)) for n in range(1, 13)]
    moves = [releases.publish(release_id, in_ms(HOUR_MS) + n) for n in range(12)]
    await asyncio.gather(*(work for pair in zip(joins, moves, strict=True) for work in pair))
    connection = await asyncpg.connect(catalog_dsn)
    rows = await connection.fetch(
        "SELECT count(*) AS songs, count(DISTINCT (r.available_from, l.available_from)) AS moments,"
        " bool_and(r.available_from = l.available_from) AS agree"
        " FROM track JOIN recording r ON r.id = recording_id"
        " JOIN release l ON l.id = release_id WHERE release_id = $1",
        release_id,
    )
    await connection.close()
    assert tuple(rows[0]) == (13, 1, True)


async def test_what_cannot_be_is_named(publisher: Publisher, releases: Releases, songs: Songs) -> None:
    with pytest.raises(NotFound, match="no such release"):
        await releases.publish(uuid.uuid4(), 0)
    with pytest.raises(InvalidRequest, match="needs an album"):
        await publisher.publish(replace(songbook.publication("Loose"), available_from_unix_ms=in_ms(HOUR_MS)))
    song_id = (await publisher.publish(songbook.publication("Out", album="Long Out"))).song_id
    with pytest.raises(NotReady, match="'Long Out' is out already"):
        await publisher.publish(
            held_back("Out 2", "Long Out", in_ms(HOUR_MS), album_artists=songbook.publication("x").artists)
        )
    with pytest.raises(InvalidRequest, match="is over"):
        await releases.publish(await release_of(songs, song_id), 1)


async def test_an_import_that_outlasts_the_moment_goes_on(publisher: Publisher, songs: Songs) -> None:
    over = in_ms(-1000)
    ids = [(await publisher.publish(held_back(f"Late {n}", "Outlasted", over))).song_id for n in range(2)]
    assert len(await songs.get(ids)) == 2


async def test_the_calendar_lists_what_comes_soonest_first_page_by_page(
    publisher: Publisher, releases: Releases, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = in_ms(24 * HOUR_MS)
    for album, at in (("Later", begin + 2000), ("Soon", begin + 1000), ("Too late", begin + 5001)):
        for n in range(3):
            await publisher.publish(held_back(f"{album} {n}", album, at))
    monkeypatch.setattr(module, "PAGE_SONGS", 2)
    listed, cursor, pages = list[Upcoming](), "", 0
    while pages == 0 or cursor:
        page = await releases.upcoming(begin + 5000, cursor)
        assert sum(len(release.songs) for release in page.upcoming) <= 2
        listed, cursor, pages = [*listed, *page.upcoming], page.next_cursor, pages + 1
    titles = [song.title for release in listed if release.at_unix_ms > begin for song in release.songs]
    assert titles == [f"{album} {n}" for album in ("Soon", "Later") for n in range(3)]
    assert all(song.renditions for release in listed for song in release.songs)
    with pytest.raises(InvalidRequest, match="cursor"):
        await releases.upcoming(begin, "forged")


async def test_a_release_that_is_out_is_no_longer_upcoming(
    publisher: Publisher, releases: Releases, songs: Songs
) -> None:
    song_id = (await publisher.publish(held_back("Gone", "Gone From Calendar", in_ms(HOUR_MS)))).song_id
    release_id = str(await release_of(songs, song_id))
    assert release_id in [release.release_id for release in (await releases.upcoming(in_ms(2 * HOUR_MS), "")).upcoming]
    await releases.publish(uuid.UUID(release_id), 0)
    assert release_id not in [r.release_id for r in (await releases.upcoming(in_ms(2 * HOUR_MS), "")).upcoming]


async def test_browse_still_shows_a_release_whole(publisher: Publisher, browse: Browse) -> None:
    await publisher.publish(songbook.publication("Plain", album="Plainly Out"))
    page = await browse.browse(Listing(Kind.RELEASES), 100, "")
    assert "Plainly Out" in [entry.title for entry in page.entries if isinstance(entry, Release)]
