"""Two become one, and everybody who knew the other goes on with the one: queues, files, resume points, earlier merges."""

import asyncio
import random
import time
import uuid
from typing import Any

import asyncpg
import pytest

from catalog.curation import Curation
from catalog.merging import progress as points
from catalog.model import Credit, EntityKind, Loudness, Song
from catalog.publish import Publisher
from catalog.releases import Releases
from catalog.songs import Songs
from reprise.errors import InvalidRequest, NotFound, NotReady
from tests.catalog import songbook
from tests.catalog.test_identities import publish, release_of
from tests.catalog.test_publish import count

SONG, ARTIST, RELEASE = EntityKind.SONG, EntityKind.ARTIST, EntityKind.RELEASE


def artist_of(song: Song) -> uuid.UUID:
    return uuid.UUID(song.artists[0].artist_id)


def id_of(song: Song) -> uuid.UUID:
    return uuid.UUID(song.song_id)


async def read(songs: Songs, *song_ids: uuid.UUID) -> list[Song]:
    return await songs.get(song_ids)


async def test_a_song_is_played_by_its_old_id_and_takes_over_tracks_codes_genres_and_sources(
    publisher: Publisher, songs: Songs, curation: Curation, catalog_dsn: str
) -> None:
    offered = songbook.publication(
        "Dupe", "Doubler", album="Old one", genres=("Ambient", "Drone"), isrcs=("GBAAN9700081",)
    )
    old = (await publisher.publish(offered)).song_id
    kept = await publish(publisher, songs, "Dupe", "Doubler", album="New one", genres=("Drone",))
    for _ in range(2):
        assert await curation.merging.merge(SONG, old, id_of(kept)) == 1
    found = await songs.find([old, id_of(kept)])
    assert found.redirected == {old: id_of(kept)}
    assert [song.song_id for song in found.songs] == [kept.song_id] * 2
    assert (found.songs[0].isrcs, found.songs[0].renditions) == (("GBAAN9700081",), kept.renditions)
    assert {genre.name for genre in found.songs[0].genres} == {"Ambient", "Drone"}
    assert await count(catalog_dsn, f"track WHERE recording_id = '{kept.song_id}'") == 2
    assert await count(catalog_dsn, f"recording WHERE id = '{old}'") == 0
    assert (await publisher.publish(offered)).song_id == id_of(kept)


async def test_resume_points_go_over_and_of_each_device_the_later_stays(
    publisher: Publisher, songs: Songs, curation: Curation, catalog_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(points, "LISTENERS_BATCH", 2)
    old, kept = [id_of(await publish(publisher, songs, f"Resumed {n}")) for n in range(2)]
    connection = await asyncpg.connect(catalog_dsn)
    for user in ("a", "b", "c", "d", "e"):
        await save(connection, user, old, "phone", epoch=2, sequence=5, position_ms=50, minute=1)
    await save(connection, "b", kept, "phone", epoch=2, sequence=6, position_ms=60, minute=2)
    await save(connection, "c", kept, "phone", epoch=1, sequence=9, position_ms=10, minute=0)
    await save(connection, "d", kept, "car", epoch=9, sequence=1, position_ms=90, minute=0, finished=True)
    await curation.merging.merge(SONG, old, kept)
    rows = await connection.fetch("SELECT * FROM progress WHERE recording_id = $1 ORDER BY user_id, device_id", kept)
    pointers = await connection.fetch("SELECT * FROM progress_pointer WHERE recording_id = $1 ORDER BY user_id", kept)
    await connection.close()
    told = [(row["user_id"], row["device_id"], row["position_ms"]) for row in rows]
    one = [("a", "phone", 50), ("b", "phone", 60), ("c", "phone", 50)]
    assert told == [*one, ("d", "car", 90), ("d", "phone", 50), ("e", "phone", 50)]
    assert [(row["user_id"], row["device_id"], row["finished"]) for row in pointers] == [
        (user, "phone", False) for user in "abcde"
    ]
    assert await count(catalog_dsn, f"progress WHERE recording_id = '{old}'") == 0


async def save(
    connection: Any,
    user: str,
    song_id: uuid.UUID,
    device: str,
    *,
    epoch: int,
    sequence: int,
    position_ms: int,
    minute: int,
    finished: bool = False,
) -> None:
    """The rows of a resume point whose device has the pointer."""
    at = f"2026-01-01T00:0{minute}Z"
    await connection.execute(
        "INSERT INTO progress (user_id, recording_id, device_id, epoch, sequence, position_ms, finished, revision, saved_at)"
        f" VALUES ($1, $2, $3, $4, $5, $6, $7, 1, '{at}')",
        *(user, song_id, device, epoch, sequence, position_ms, finished),
    )
    await connection.execute(
        "INSERT INTO progress_pointer (user_id, recording_id, device_id, revision, finished, played_at)"
        f" VALUES ($1, $2, $3, 1, $4, '{at}')",
        *(user, song_id, device, finished),
    )


async def test_a_merge_that_was_broken_off_is_finished_by_asking_again(
    publisher: Publisher, songs: Songs, curation: Curation, catalog_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, kept = [id_of(await publish(publisher, songs, f"Broken {n}")) for n in range(2)]
    connection = await asyncpg.connect(catalog_dsn)
    await save(connection, "z", old, "phone", epoch=1, sequence=1, position_ms=7, minute=1)
    await connection.close()

    async def die(*_: object) -> bool:
        raise KeyboardInterrupt

    move = points.move
    monkeypatch.setattr(points, "move", die)
    with pytest.raises(KeyboardInterrupt):
        await curation.merging.merge(SONG, old, kept)
    monkeypatch.setattr(points, "move", move)
    (song,) = await read(songs, old)
    assert id_of(song) == kept
    await curation.merging.merge(SONG, old, kept)
    assert await count(catalog_dsn, f"progress WHERE recording_id = '{kept}' AND position_ms = 7") == 1
    assert await count(catalog_dsn, f"recording WHERE id = '{old}'") == 0


async def test_an_artist_keeps_its_printed_names_and_does_not_come_back_with_the_next_file(
    publisher: Publisher, songs: Songs, curation: Curation
) -> None:
    old = await publish(publisher, songs, "A", "The Beetles", "Guest", album="Abbey")
    kept = await publish(publisher, songs, "B", "Beatles", album="Abbey")
    shared = await publish(
        publisher, songs, "C", "Beatles", "Guest", album="Road", album_artists=(Credit("The Beetles"),)
    )
    assert await curation.merging.merge(ARTIST, artist_of(old), artist_of(kept)) == 3
    first, second, third = await read(songs, id_of(old), id_of(kept), id_of(shared))
    assert artist_of(first) == artist_of(second) == artist_of(third) == artist_of(kept)
    assert (first.artists[0].name, second.artists[0].name) == ("The Beetles", "Beatles")
    assert release_of(first) == release_of(second), "albums of one title became one"
    again = await publish(publisher, songs, "D", "the beetles", album="Abbey")
    assert (artist_of(again), release_of(again)) == (artist_of(kept), release_of(kept))


async def test_both_ids_of_a_merged_artist_go_on_to_mean_it(
    publisher: Publisher, songs: Songs, curation: Curation
) -> None:
    one, other = str(uuid.uuid4()), str(uuid.uuid4())
    old = await publish(publisher, songs, "A", "Prince", artist_mbids=(one,))
    kept = await publish(publisher, songs, "B", "The Artist", artist_mbids=(other,))
    await curation.merging.merge(ARTIST, artist_of(old), artist_of(kept))
    for mbid in (one, other):
        song = await publish(publisher, songs, f"with {mbid}", "Somebody", artist_mbids=(mbid,))
        assert artist_of(song) == artist_of(kept)


async def test_a_release_takes_over_tracks_and_what_it_lacked(
    publisher: Publisher, songs: Songs, curation: Curation, catalog_dsn: str
) -> None:
    quiet, loud = Loudness(-20, -3, 5), Loudness(-10, -1, 5)
    old = await publish(publisher, songs, "1", "Rl", album="Relase", label="Typo", disc_number=2, loudness=loud)
    kept = await publish(publisher, songs, "2", "Rl", album="Release", loudness=quiet)
    from_id, into_id = uuid.UUID(release_of(old)), uuid.UUID(release_of(kept))
    assert await curation.merging.merge(RELEASE, from_id, into_id) == 2
    (song,) = await read(songs, id_of(old))
    assert song.release is not None
    assert (song.release.title, song.disc_number) == ("Release", 2)
    assert await count(catalog_dsn, f"release WHERE id = '{into_id}' AND label = 'Typo' AND true_peak_dbtp = -1") == 1
    assert await count(catalog_dsn, "release_group WHERE title_key = 'relase'") == 0


async def test_releases_of_different_moments_are_not_merged(
    publisher: Publisher, releases: Releases, curation: Curation
) -> None:
    at = (int(time.time()) + 3600) * 1000
    for n in range(2):
        offered = songbook.publication(f"{n}", album=f"Moment {n}", available_from_unix_ms=at + n * 60_000)
        await publisher.publish(offered)
    first, second = [uuid.UUID(one.release_id) for one in (await releases.upcoming(at + 120_000, "")).upcoming]
    with pytest.raises(NotReady, match="comes out at"):
        await curation.merging.merge(RELEASE, first, second)
    await releases.publish(second, at)
    assert await curation.merging.merge(RELEASE, first, second) == 2


async def test_redirects_are_never_a_chain(publisher: Publisher, songs: Songs, curation: Curation) -> None:
    """Merges in any order, each into whatever the other one is by now: every id means the one that is left."""
    rng = random.Random(5)
    ids = [id_of(await publish(publisher, songs, f"Chained {n}")) for n in range(7)]
    left = list(ids)
    while len(left) > 1:
        gone, kept = rng.sample(left, 2)
        # Also by an id that was merged into it before.
        known_as = rng.choice([one for one in ids if (await read(songs, one))[0].song_id == str(kept)])
        await curation.merging.merge(SONG, gone, known_as)
        left.remove(gone)
    assert (await songs.find(ids)).redirected == {one: left[0] for one in ids if one != left[0]}


async def test_songs_that_come_while_artists_are_merged_are_all_by_the_one_that_stays(
    publisher: Publisher, songs: Songs, curation: Curation
) -> None:
    old = await publish(publisher, songs, "first", "Old Name", album="Same")
    kept = await publish(publisher, songs, "first", "New Name", album="Same")
    offered = [songbook.publication(f"song {n}", ("Old Name", "New Name")[n % 2], album="Same") for n in range(12)]
    coming = [asyncio.create_task(publisher.publish(one)) for one in offered]
    await curation.merging.merge(ARTIST, artist_of(old), artist_of(kept))
    found = await read(songs, *[(await one).song_id for one in coming])
    assert {artist_of(song) for song in found} == {artist_of(kept)}
    assert {release_of(song) for song in found} == {release_of(kept)}


@pytest.mark.parametrize("kind", list(EntityKind))
async def test_what_cannot_be_merged_is_named(curation: Curation, kind: EntityKind) -> None:
    stranger = uuid.uuid4()
    with pytest.raises(InvalidRequest, match="the same"):
        await curation.merging.merge(kind, stranger, stranger)
    with pytest.raises(NotFound, match=f"no such {kind.name.lower()}: {stranger}"):
        await curation.merging.merge(kind, stranger, uuid.uuid4())


async def test_a_merge_is_not_turned_round_nor_done_twice_otherwise(
    publisher: Publisher, songs: Songs, curation: Curation
) -> None:
    one, other, third = [id_of(await publish(publisher, songs, f"Turned {n}")) for n in range(3)]
    await curation.merging.merge(SONG, one, other)
    with pytest.raises(NotReady, match="that way round"):
        await curation.merging.merge(SONG, other, one)
    with pytest.raises(NotReady, match=f"was merged into {other}"):
        await curation.merging.merge(SONG, one, third)
