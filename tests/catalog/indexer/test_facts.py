"""What search is told of songs, artists and releases."""

import uuid

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from catalog import tables as t
from catalog.database import Database
from catalog.indexer import facts
from catalog.model import Credit, EntityKind
from catalog.publish import Publisher
from catalog.searching.documents import Entry
from tests.catalog.songbook import publication


async def everything(database: Database, kind: EntityKind) -> dict[str, Entry]:
    ids = await database.read(lambda connection: facts.page(connection, kind, None, 1000))
    entries = await database.read(lambda connection: facts.entries(connection, kind, ids))
    return {entry.title: entry for entry in entries}


async def test_a_song_has_its_artists_album_genres_year_and_aliases(database: Database, publisher: Publisher) -> None:
    credits_ = (Credit("Sugarcubes", " feat. "), Credit("Björk"))
    facts_of_file = {"album": "Homogenic", "genres": ("Pop", "Art"), "date": "1997-09-16"}
    await publisher.publish(publication("Jóga", **facts_of_file, artists=credits_))  # type: ignore[misc]
    song = (await everything(database, EntityKind.SONG))["Jóga"]
    alias = {"artist_id": song.artist_ids[1], "alias_key": "gudmundsdottir", "alias": "Guðmundsdóttir"}
    score = {"kind": EntityKind.SONG, "entity_id": song.id, "score": 7.5}
    await database.write(lambda connection: connection.execute(sa.insert(t.artist_alias).values(alias)))
    await database.write(lambda connection: connection.execute(sa.insert(t.popularity).values(score)))
    song = (await everything(database, EntityKind.SONG))["Jóga"]
    assert (song.artists, song.album, song.genres, song.year) == (
        ("Sugarcubes", "Björk"), "Homogenic", ("Pop", "Art"), 1997
    )  # fmt: skip
    assert (song.aliases, song.score, len(song.genre_ids)) == (("Guðmundsdóttir",), 7.5, 2)
    artist = (await everything(database, EntityKind.ARTIST))["Björk"]
    assert (artist.id, artist.aliases) == (song.artist_ids[1], ("Guðmundsdóttir",))
    release = (await everything(database, EntityKind.RELEASE))["Homogenic"]
    assert (release.artists, release.year) == (("Sugarcubes", "Björk"), 1997)


async def test_what_is_withdrawn_or_unknown_has_no_entry(database: Database, publisher: Publisher) -> None:
    published = await publisher.publish(publication("Gone", "Hermit"))
    one = t.recording.c.id == published.song_id
    await database.write(
        lambda connection: connection.execute(sa.update(t.recording).where(one).values(withdrawn_at=sa.func.now()))
    )
    assert "Gone" not in await everything(database, EntityKind.SONG)
    assert "Hermit" not in await everything(database, EntityKind.ARTIST)
    unknown = [uuid.UUID(int=7)]
    assert await database.read(lambda connection: facts.entries(connection, EntityKind.SONG, unknown)) == []


async def test_pages_cover_everything_once(database: Database, publisher: Publisher) -> None:
    for number in range(7):
        await publisher.publish(publication(f"Page {number}"))
    seen: list[uuid.UUID] = []

    async def read_all(connection: AsyncConnection) -> None:
        while ids := await facts.page(connection, EntityKind.SONG, seen[-1] if seen else None, 3):
            seen.extend(ids)

    await database.read(read_all)
    count = sa.select(sa.func.count()).select_from(t.recording)
    total = (await database.read(lambda connection: connection.execute(count))).scalar_one()
    assert len(seen) == len(set(seen)) == total
