"""Cards are what listeners get of a song: whole, current, and only of what is to be seen."""

import uuid

import sqlalchemy as sa

from catalog import cards
from catalog import tables as t
from catalog.database import Database
from catalog.model import Loudness
from catalog.publish import Publisher
from catalog.song_wire import song_message
from catalog.songs import Songs
from reprise.types.v1.types_pb2 import ReleaseKind, Song
from tests.catalog.songbook import publication, rendition


async def card(database: Database, song_id: uuid.UUID) -> Song | None:
    found = await database.read(lambda connection: cards.load_cards(connection, [song_id]))
    return Song.FromString(found[song_id]) if song_id in found else None


async def test_a_published_song_has_a_card_with_all_that_is_known(database: Database, publisher: Publisher) -> None:
    fields = {"album": "Debut", "genres": ("Pop", "House"), "isrcs": ("GBAAA9300001",), "date": "1993"}
    played = rendition("gapless", delay_samples=312, padding_samples=7, samples=9_600_000)
    offered = publication(
        "Human Behaviour", "Björk", "Nellee", **fields, renditions=(played,), loudness=Loudness(-11.5, -0.5, 6.25),
        cover_sha256="ab" * 32, cover_mime_type="image/png", cover_sizes_px=(96, 640), release_kind=1,
    )  # fmt: skip
    song_id = (await publisher.publish(offered)).song_id
    shown = await card(database, song_id)
    assert shown is not None
    assert [credit.name + credit.join_phrase for credit in shown.artists] == ["Björk & ", "Nellee"]
    assert (shown.album.title, shown.album.kind) == ("Debut", ReleaseKind.RELEASE_KIND_ALBUM)
    assert shown.album.release_group_id
    assert [genre.name for genre in shown.genres] == ["Pop", "House"]
    assert list(shown.cover_sizes_px) == [96, 640]
    assert shown.loudness.integrated_lufs == -11.5
    (kept,) = shown.renditions
    assert (kept.delay_samples, kept.padding_samples, kept.samples) == (312, 7, 9_600_000)


async def test_a_missing_card_is_made_from_the_rows_and_filled_in(
    database: Database, publisher: Publisher, songs: Songs
) -> None:
    ids = [(await publisher.publish(publication(f"Old {number}"))).song_id for number in range(3)]
    await database.write(lambda connection: connection.execute(sa.delete(t.song_card)))
    before = await card(database, ids[0])
    assert before is not None
    assert before.title == "Old 0"
    assert await cards.fill(database) >= 3
    assert await cards.fill(database) == 0
    kept = await database.read(lambda connection: connection.execute(sa.select(t.song_card)))
    by_id = {row.recording_id: row.message for row in kept}
    (song,) = await songs.get([ids[0]])
    assert by_id[ids[0]] == song_message(song).SerializeToString(deterministic=True)


async def test_what_is_not_to_be_seen_has_no_card_to_show(database: Database, publisher: Publisher) -> None:
    song_id = (await publisher.publish(publication("Gone"))).song_id
    down = sa.update(t.recording).where(t.recording.c.id == song_id).values(withdrawn_at=sa.func.now())
    await database.write(lambda connection: connection.execute(down))
    assert await card(database, song_id) is None
    assert await card(database, uuid.uuid4()) is None
