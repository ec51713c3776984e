"""Songs are published once, whole, whoever else publishes at that moment."""

import asyncio
from dataclasses import replace

import asyncpg
import pytest
from prometheus_client import CollectorRegistry

from catalog.browse import Browse
from catalog.listing import Kind, Listing
from catalog.model import Credit, Genre
from catalog.publish import Publisher
from catalog.songs import Songs
from reprise.errors import InvalidRequest
from tests.catalog import songbook


async def test_a_published_song_comes_back_whole(publisher: Publisher, songs: Songs) -> None:
    offered = songbook.publication(
        "Hunter",
        album="Homogenic",
        artists=(Credit("Björk", " feat. "), Credit("Evelyn")),
        album_artists=(Credit("Björk"),),
        genres=("Trip Hop", "Electronic"),
        track_number=1,
        disc_number=1,
        date="1997-09-22",
        isrcs=("GBAAN9700081", "GBAAN9700080"),
        explicit=True,
        renditions=(songbook.rendition("hunter opus"), songbook.rendition("hunter aac", codec=2)),
        cover_sha256=songbook.digest("cover"),
        cover_mime_type="image/png",
    )
    published = await publisher.publish(offered)
    (song,) = await songs.get([published.song_id])
    assert published.created
    assert published.song_id.version == 7
    assert [(credit.name, credit.join_phrase) for credit in song.artists] == [("Björk", " feat. "), ("Evelyn", "")]
    assert all(credit.artist_id for credit in song.artists)
    assert song.release is not None
    assert (song.release.title, song.release.date) == ("Homogenic", "1997-09-22")
    assert [credit.name for credit in song.release.artists] == ["Björk"]
    assert song.release.artists[0].artist_id == song.artists[0].artist_id
    assert [genre.name for genre in song.genres] == ["Trip Hop", "Electronic"]
    assert song.isrcs == ("GBAAN9700080", "GBAAN9700081")
    assert song.renditions == offered.renditions
    assert song.cover == song.release.cover == offered.cover_sha256
    assert (song.track_number, song.disc_number, song.date, song.explicit) == (1, 1, "1997-09-22", True)


async def test_the_same_source_again_is_the_same_song(publisher: Publisher, songs: Songs) -> None:
    offered = songbook.publication("Once")
    first = await publisher.publish(offered)
    again = await publisher.publish(replace(offered, title="Twice"))
    assert (again.song_id, again.created) == (first.song_id, False)
    assert (await songs.get([first.song_id]))[0].title == "Once"


async def test_the_same_source_many_times_at_once_is_one_song(publisher: Publisher, catalog_dsn: str) -> None:
    offered = songbook.publication("Crowd", "Crowd Pleaser", album="Crowded", genres=("Crowdcore",))
    results = await asyncio.gather(*(publisher.publish(offered) for _ in range(16)))
    assert len({result.song_id for result in results}) == 1
    assert [result.created for result in results].count(True) == 1
    assert await count(catalog_dsn, "recording WHERE title = 'Crowd'") == 1


async def test_an_album_published_by_many_at_once_has_one_artist_release_and_genre(
    publisher: Publisher, catalog_dsn: str
) -> None:
    offered = [
        songbook.publication(
            f"Part {number} of all",
            artists=(Credit(("Sigur Rós", "SIGUR ROS")[number % 2], " feat. "), Credit(f"Guest {number % 3}")),
            album=("Ágætis byrjun", "Agaetis Byrjun")[number % 2],
            genres=("Post-Rock", "post rock", "Ambient"),
            cover_sha256=songbook.digest("one cover"),
        )
        for number in range(24)
    ]
    await asyncio.gather(*map(publisher.publish, offered))
    assert await count(catalog_dsn, "artist WHERE name_key = 'sigur ros'") == 1
    assert await count(catalog_dsn, "artist WHERE name_key LIKE 'guest _'") == 3
    assert await count(catalog_dsn, "release WHERE title_key = 'agaetis byrjun'") == 1
    assert await count(catalog_dsn, "genre WHERE name_key IN ('post rock', 'ambient')") == 2
    assert (
        await count(catalog_dsn, "track t JOIN release r ON r.id = t.release_id WHERE r.title_key = 'agaetis byrjun'")
        == 24
    )


async def test_songs_that_name_new_artists_in_opposite_orders_do_not_block_each_other(
    publisher: Publisher, registry: CollectorRegistry
) -> None:
    names = [f"Duellist {number}" for number in range(40)]
    offered = [songbook.publication(f"Duel {at}", *(names if at % 2 else reversed(names))) for at in range(12)]
    await asyncio.gather(*map(publisher.publish, offered))
    assert not registry.get_sample_value("reprise_catalog_database_failures_total", {"cause": "lost_race"})


async def test_albums_of_one_title_by_two_artists_are_two(publisher: Publisher, songs: Songs) -> None:
    ids = [
        (await publisher.publish(songbook.publication("Intro", artist, album="Greatest Hits"))).song_id
        for artist in ("Queen", "ABBA")
    ]
    first, second = await songs.get(ids)
    assert first.release is not None
    assert second.release is not None
    assert first.release.release_id != second.release.release_id


async def test_a_release_takes_the_first_cover_that_comes(publisher: Publisher, songs: Songs) -> None:
    covers = ("", songbook.digest("first"), songbook.digest("second"))
    for at, cover in enumerate(covers):
        last = await publisher.publish(
            songbook.publication(f"Track {at}", "Cover Band", album="Covers", cover_sha256=cover)
        )
    (song,) = await songs.get([last.song_id])
    assert song.release is not None
    assert (song.cover, song.release.cover) == (covers[2], covers[1])


async def test_a_song_on_no_release_has_none(publisher: Publisher, songs: Songs) -> None:
    published = await publisher.publish(songbook.publication("Alone"))
    assert (await songs.get([published.song_id]))[0].release is None


async def test_a_refused_publication_leaves_nothing(publisher: Publisher, catalog_dsn: str) -> None:
    offered = songbook.publication("Refused", "Refused Artist", date="yesterday")
    with pytest.raises(InvalidRequest):
        await publisher.publish(offered)
    assert await publisher.find_sources([offered.source_sha256]) == {}
    assert await count(catalog_dsn, "artist WHERE name = 'Refused Artist'") == 0


async def test_find_sources_names_only_what_is_published(publisher: Publisher) -> None:
    offered = songbook.publication("Found")
    published = await publisher.publish(offered)
    asked = [songbook.digest("never"), offered.source_sha256]
    assert await publisher.find_sources(asked) == {offered.source_sha256: published.song_id}


async def test_genres_and_artists_keep_the_first_spelling(publisher: Publisher, browse: Browse) -> None:
    await publisher.publish(songbook.publication("One", "The Spellers", genres=("Hip-Hop",)))
    await publisher.publish(songbook.publication("Two", "the spellers", genres=("hip hop",)))
    genres = (await browse.browse(Listing(Kind.GENRES), 100, "")).entries
    assert [genre.name for genre in genres if isinstance(genre, Genre) and genre.name.lower().startswith("hip")] == [
        "Hip-Hop"
    ]


async def count(dsn: str, what: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(f"SELECT count(*) FROM {what}"))
    finally:
        await connection.close()
