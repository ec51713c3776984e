"""Artists are found by their other names, and files that name them so are theirs."""

import uuid

import pytest

from catalog.aliases import ALIASES_MAX
from catalog.curation import Curation
from catalog.publish import Publisher
from catalog.songs import Songs
from reprise.errors import InvalidRequest, NotFound
from tests.catalog.test_identities import publish
from tests.catalog.test_publish import count


async def test_aliases_replace_those_before_and_one_spelling_of_each_counts(
    publisher: Publisher, songs: Songs, curation: Curation, catalog_dsn: str
) -> None:
    song = await publish(publisher, songs, "Kashmir", "Led Zeppelin")
    artist_id = uuid.UUID(song.artists[0].artist_id)
    await curation.aliases.set(artist_id, ["Old"])
    await curation.aliases.set(artist_id, ["Led Zep", "led zep", "Zeppelin"])
    of_artist = f"artist_alias WHERE artist_id = '{artist_id}'"
    assert await count(catalog_dsn, of_artist) == 2
    assert await count(catalog_dsn, f"{of_artist} AND alias = 'Led Zep' AND alias_key = 'led zep'") == 1
    named = await publish(publisher, songs, "Black Dog", "LED ZEP")
    assert named.artists[0].artist_id == str(artist_id)
    await curation.aliases.set(artist_id, [])
    assert await count(catalog_dsn, of_artist) == 0


async def test_an_alias_of_two_artists_is_neither(publisher: Publisher, songs: Songs, curation: Curation) -> None:
    known = [await publish(publisher, songs, "x", name) for name in ("John A", "John B")]
    for song in known:
        await curation.aliases.set(uuid.UUID(song.artists[0].artist_id), ["Johnny"])
    named = await publish(publisher, songs, "y", "Johnny")
    assert named.artists[0].artist_id not in {song.artists[0].artist_id for song in known}


async def test_what_is_wrong_is_named(curation: Curation) -> None:
    for aliases, message in ((["x"] * (ALIASES_MAX + 1), "51 entries"), ([" \u200b"], "nothing to read")):
        with pytest.raises(InvalidRequest, match=message):
            await curation.aliases.set(uuid.uuid4(), aliases)
    with pytest.raises(NotFound, match="no such artist"):
        await curation.aliases.set(uuid.uuid4(), ["x"])
