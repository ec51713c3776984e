"""Who made what, as tags with and without MusicBrainz ids say it; also when many say it at once."""

import asyncio
import uuid

from prometheus_client import CollectorRegistry

from catalog.model import Credit, Loudness, Song
from catalog.publish import Publisher
from catalog.songs import Songs
from tests.catalog import songbook
from tests.catalog.test_publish import count

ONE, OTHER, THIRD = (str(uuid.UUID(int=number)) for number in (1, 2, 3))


async def publish(publisher: Publisher, songs: Songs, title: str, *artists: str, **fields: object) -> Song:
    published = await publisher.publish(songbook.publication(title, *artists, **fields))
    (song,) = await songs.get([published.song_id])
    return song


def release_of(song: Song) -> str:
    assert song.release is not None
    return song.release.release_id


async def test_an_artist_known_by_name_takes_the_id_and_a_namesake_with_another_is_another(
    publisher: Publisher, songs: Songs
) -> None:
    first = await publish(publisher, songs, "a", "Nirvana")
    adopted = await publish(publisher, songs, "b", "Nirvana", artist_mbids=(ONE,))
    namesake = await publish(publisher, songs, "c", "NIRVANA", artist_mbids=(OTHER,))
    renamed = await publish(publisher, songs, "d", "Nirvana (UK)", artist_mbids=(OTHER,))
    ids = [song.artists[0].artist_id for song in (first, adopted, namesake, renamed)]
    assert ids[0] == ids[1]
    assert ids[2] == ids[3]
    assert ids[0] != ids[2]


async def test_a_name_with_an_id_anywhere_in_a_file_has_it_everywhere(publisher: Publisher, songs: Songs) -> None:
    await publish(publisher, songs, "a", "Air", artist_mbids=(OTHER,))
    song = await publish(
        publisher, songs, "b", "Air", album="Moon Safari", album_artists=(Credit("Air"),), artist_mbids=(THIRD,)
    )
    assert song.release is not None
    assert song.release.artists[0].artist_id == song.artists[0].artist_id


async def test_a_new_artist_with_an_id_named_by_many_at_once_is_one(
    publisher: Publisher, registry: CollectorRegistry, catalog_dsn: str
) -> None:
    mbid = str(uuid.uuid4())
    offered = [
        songbook.publication(f"At once {n}", "Boards of Canada", "Guest", artist_mbids=(mbid if n % 2 else "", ""))
        for n in range(16)
    ]
    await asyncio.gather(*map(publisher.publish, offered))
    assert await count(catalog_dsn, "artist WHERE name_key = 'boards of canada'") == 1
    assert not registry.get_sample_value("reprise_catalog_database_failures_total", {"cause": "lost_race"})


async def test_sort_names_of_tags_order_the_shelf(publisher: Publisher, catalog_dsn: str) -> None:
    await publisher.publish(songbook.publication("Sorted", "Miles Davis", artist_sort_names=("Davis, Miles",)))
    assert await count(catalog_dsn, "artist WHERE sort_name = 'Davis, Miles' AND sort_key = 'davis miles'") == 1


async def test_editions_of_one_album_share_its_group(publisher: Publisher, songs: Songs, catalog_dsn: str) -> None:
    group = str(uuid.uuid4())
    editions = [
        await publish(
            publisher, songs, f"Edition {at}", "Pixies", album="Doolittle", release_mbid=mbid, release_group_mbid=group
        )
        for at, mbid in enumerate((ONE, OTHER, ONE))
    ]
    assert release_of(editions[0]) == release_of(editions[2]) != release_of(editions[1])
    assert await count(catalog_dsn, "release_group WHERE title_key = 'doolittle'") == 1


async def test_albums_of_one_title_in_different_groups_are_two(publisher: Publisher, songs: Songs) -> None:
    albums = [
        await publish(
            publisher, songs, f"Peter {mbid}", "Peter Gabriel", album="Peter Gabriel", release_group_mbid=mbid
        )
        for mbid in (ONE, OTHER, ONE)
    ]
    assert release_of(albums[0]) == release_of(albums[2]) != release_of(albums[1])


async def test_a_release_known_by_title_takes_its_ids_and_what_else_it_lacked(
    publisher: Publisher, songs: Songs, catalog_dsn: str
) -> None:
    first = await publish(publisher, songs, "Track 1", "Portishead", album="Dummy")
    ids = {"release_mbid": str(uuid.uuid4()), "release_group_mbid": str(uuid.uuid4())}
    facts = {"label": "Go! Beat", "barcode": "042282855329", "date": "1994", "release_kind": 1}
    second = await publish(publisher, songs, "Track 2", "Portishead", album="Dummy", **ids, **facts)
    third = await publish(publisher, songs, "Track 3", "Portishead", album="Dummy", label="Another")
    assert release_of(first) == release_of(second) == release_of(third)
    whole = "release r JOIN release_group g ON g.id = r.group_id WHERE r.label = 'Go! Beat' AND r.date = '1994'"
    assert await count(catalog_dsn, f"{whole} AND g.kind = 1 AND r.mbid = '{ids['release_mbid']}'") == 1
    assert await count(catalog_dsn, f"release_group WHERE mbid = '{ids['release_group_mbid']}'") == 1


async def test_an_album_with_ids_published_by_many_at_once_is_one(
    publisher: Publisher, registry: CollectorRegistry, catalog_dsn: str
) -> None:
    ids = {"release_mbid": str(uuid.uuid4()), "release_group_mbid": str(uuid.uuid4())}
    measured = Loudness(-10, -1, 5)
    offered = [
        songbook.publication(
            f"{n}", "Autechre", album="Amber", loudness=measured, release_kind=n % 3, **(ids if n % 2 else {})
        )
        for n in range(16)
    ]
    await asyncio.gather(*map(publisher.publish, offered))
    assert await count(catalog_dsn, "release WHERE title_key = 'amber'") == 1
    assert await count(catalog_dsn, "release_group WHERE title_key = 'amber'") == 1
    assert not registry.get_sample_value("reprise_catalog_database_failures_total", {"cause": "lost_race"})


async def test_a_single_and_its_album_are_one_song_on_two_releases(
    publisher: Publisher, songs: Songs, catalog_dsn: str
) -> None:
    mbid = str(uuid.uuid4())
    single = await publish(publisher, songs, "Creep", "Radiohead", album="Creep", recording_mbid=mbid)
    again = songbook.publication(
        "Creep", "Radiohead", album="Pablo Honey", recording_mbid=mbid, duration_ms=201_500, track_number=2
    )
    published = await publisher.publish(again)
    assert (str(published.song_id), published.created) == (single.song_id, False)
    assert await count(catalog_dsn, f"track WHERE recording_id = '{single.song_id}'") == 2
    assert (await publisher.publish(again)).song_id == published.song_id
    live = await publish(publisher, songs, "Creep (live)", "Radiohead", recording_mbid=mbid)
    longer = await publish(publisher, songs, "Creep", "Radiohead", recording_mbid=mbid, duration_ms=260_000)
    assert len({single.song_id, live.song_id, longer.song_id}) == 3


async def test_one_recording_from_two_files_at_once_is_one_song(publisher: Publisher) -> None:
    mbid = str(uuid.uuid4())
    offered = [songbook.publication("Twin", "Aphex Twin", album="Drukqs", recording_mbid=mbid) for _ in range(8)]
    assert len({published.song_id for published in await asyncio.gather(*map(publisher.publish, offered))}) == 1


async def test_a_release_is_as_loud_as_its_songs_by_energy_and_length(publisher: Publisher, catalog_dsn: str) -> None:
    for at, (lufs, duration_ms) in enumerate(((-10.0, 100_000), (-20.0, 300_000))):
        offered = songbook.publication(
            f"{at}", "Loud", album="Loudness", duration_ms=duration_ms, loudness=Loudness(lufs, at - 1.0, 4.0)
        )
        await publisher.publish(offered)
    # 10 log10((100 * 10^-1 + 300 * 10^-2) / 400) = -14.88
    measured = "abs(integrated_lufs + 14.88) < 0.01 AND true_peak_dbtp = 0"
    assert await count(catalog_dsn, f"release WHERE title_key = 'loudness' AND {measured}") == 1
