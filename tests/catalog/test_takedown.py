"""What is taken down is not found, not listed and not played until it is restored, and nothing else is touched."""

import uuid

import pytest

from catalog import outbox
from catalog.curation import Curation
from catalog.database import Database
from catalog.model import EntityKind
from catalog.publish import Publisher
from catalog.search import Search
from catalog.songs import Songs
from reprise.errors import NotFound
from tests.catalog import songbook
from tests.catalog.test_publish import count

SONG, RELEASE = EntityKind.SONG, EntityKind.RELEASE


async def publish(publisher: Publisher, title: str, album: str = "", **fields: object) -> uuid.UUID:
    return (await publisher.publish(songbook.publication(title, "Taker", album=album, **fields))).song_id


async def release_of(songs: Songs, song_id: uuid.UUID) -> uuid.UUID:
    (song,) = await songs.get([song_id])
    assert song.release is not None
    return uuid.UUID(song.release.release_id)


async def seen(songs: Songs, *song_ids: uuid.UUID) -> list[uuid.UUID]:
    return [uuid.UUID(song.song_id) for song in await songs.get(song_ids)]


async def test_a_song_goes_and_comes_back(
    publisher: Publisher, songs: Songs, search: Search, curation: Curation, catalog_dsn: str
) -> None:
    rendition = songbook.rendition("contested")
    song_id = await publish(publisher, "Contested", renditions=(rendition,))
    for _ in range(2):
        taken = await curation.takedown.take_down(SONG, song_id, "a claim")
        assert (taken.song_ids, taken.rendition_ids) == ([song_id], [rendition.rendition_id])
    assert await songs.get([song_id]) == await songs.get([song_id], upcoming=True) == []
    assert not (await search.search("contested", 10, "")).songs
    assert await count(catalog_dsn, "recording WHERE withdrawn_reason = 'a claim'") == 1
    for _ in range(2):
        assert (await curation.takedown.restore(SONG, song_id)).song_ids == [song_id]
    assert await seen(songs, song_id) == [song_id]
    assert len((await search.search("contested", 10, "")).songs) == 1


async def test_a_release_takes_its_songs_along_and_brings_back_only_those(
    publisher: Publisher, songs: Songs, curation: Curation
) -> None:
    first, second, alone = [await publish(publisher, f"Down {n}", "Downfall") for n in range(3)]
    release_id = await release_of(songs, first)
    await curation.takedown.take_down(SONG, alone, "its own reason")
    taken = await curation.takedown.take_down(RELEASE, release_id, "recalled")
    assert (taken.song_ids, len(taken.rendition_ids)) == ([first, second], 2)
    assert await seen(songs, first, second, alone) == []
    assert (await curation.takedown.restore(RELEASE, release_id)).song_ids == [first, second]
    assert await seen(songs, first, second, alone) == [first, second]


async def test_a_song_that_comes_to_a_release_that_is_down_is_down(
    publisher: Publisher, songs: Songs, curation: Curation
) -> None:
    first = await publish(publisher, "Early", "Banned")
    release_id = await release_of(songs, first)
    await curation.takedown.take_down(RELEASE, release_id, "banned")
    late = await publish(publisher, "Late", "Banned")
    assert await seen(songs, late) == []
    assert (await curation.takedown.restore(RELEASE, release_id)).song_ids == [first, late]


async def test_a_song_on_two_releases_that_are_down_comes_back_with_the_last(
    publisher: Publisher, songs: Songs, curation: Curation, catalog_dsn: str
) -> None:
    mbid = str(uuid.uuid4())
    song_id = await publish(publisher, "Twice", "Single of it", recording_mbid=mbid)
    single = await release_of(songs, song_id)
    other = await publish(publisher, "Other", "Album of it")
    album = await release_of(songs, other)
    assert await publish(publisher, "Twice", "Album of it", recording_mbid=mbid) == song_id
    for release_id in (single, album):
        await curation.takedown.take_down(RELEASE, release_id, "both")
    await curation.takedown.restore(RELEASE, single)
    assert await seen(songs, song_id) == []
    await curation.takedown.restore(RELEASE, album)
    assert await seen(songs, song_id, other) == [song_id, other]


async def test_followers_are_told(publisher: Publisher, curation: Curation, database: Database) -> None:
    song_id = await publish(publisher, "Told")
    before = (await database.read(lambda connection: outbox.changes_after(connection, None, 1000)))[-1].place
    await curation.takedown.take_down(SONG, song_id, "told")
    await curation.takedown.restore(SONG, song_id)
    changes = await database.read(lambda connection: outbox.changes_after(connection, before, 1000))
    assert [change.gone for change in changes if change.entity_id == song_id] == [True, False]


@pytest.mark.parametrize("kind", [SONG, RELEASE])
async def test_what_is_unknown_is_named(curation: Curation, kind: EntityKind) -> None:
    with pytest.raises(NotFound, match=f"no such {kind.name.lower()}"):
        await curation.takedown.take_down(kind, uuid.uuid4(), "unknown")
