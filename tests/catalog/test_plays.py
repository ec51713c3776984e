"""Plays become popularity, once each, in whichever catalog they were counted."""

import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import CollectorRegistry

from catalog import outbox, popularity
from catalog import tables as t
from catalog.database import Database
from catalog.model import EntityKind
from catalog.plays import Plays
from catalog.publish import Publisher
from tests.catalog.songbook import publication

NOW = popularity.EPOCH_UNIX_S + 86_400.0


async def scores(database: Database) -> dict[tuple[int, uuid.UUID], float]:
    rows = await database.read(lambda connection: connection.execute(sa.select(t.popularity)))
    return {(row.kind, row.entity_id): popularity.plays_at(row.score, NOW) for row in rows}


async def test_a_play_counts_once_for_song_artist_and_release(database: Database, publisher: Publisher) -> None:
    song_id = (await publisher.publish(publication("Once", "Counter", album="Counted"))).song_id
    plays = Plays(database, CollectorRegistry(), lambda: NOW)
    for position_ms in (10_000, 30_000, 40_000):
        plays.note("listener", str(song_id), 1, position_ms)
    plays.note("listener", str(song_id), 2, 31_000)
    plays.note("somebody else", str(song_id), 1, 31_000)
    await plays.flush()
    found = await scores(database)
    assert found[EntityKind.SONG, song_id] == pytest.approx(3)
    assert sorted(kind for kind, _ in found) == [1, 2, 3]
    assert all(count == pytest.approx(3) for count in found.values())


async def test_catalogs_add_to_each_other(database: Database, publisher: Publisher) -> None:
    song_id = (await publisher.publish(publication("Twice", "Adder"))).song_id
    for listener in ("one", "other"):
        plays = Plays(database, CollectorRegistry(), lambda: NOW)
        plays.note(listener, str(song_id), 1, 60_000)
        await plays.flush()
    assert (await scores(database))[EntityKind.SONG, song_id] == pytest.approx(2)


async def test_search_is_told_when_it_matters(database: Database, publisher: Publisher) -> None:
    song_id = (await publisher.publish(publication("Told", "Teller"))).song_id
    plays = Plays(database, CollectorRegistry(), lambda: NOW)
    told = []
    for listener in range(8):
        before = await changes(database)
        plays.note(f"listener {listener}", str(song_id), 1, 60_000)
        await plays.flush()
        told.append((EntityKind.SONG, song_id) in (await changes(database))[len(before) :])
    # 1, 2, 3, 4, 5 plays: each a fifth more than what was told of last; from there on a single play is less.
    assert told == [True, True, True, True, True, True, False, True]


async def changes(database: Database) -> list[tuple[Any, uuid.UUID]]:
    found = await database.read(lambda connection: outbox.changes_after(connection, None, 1000))
    return [(change.kind, change.entity_id) for change in found]


async def test_plays_of_what_is_gone_are_dropped(database: Database) -> None:
    plays = Plays(database, CollectorRegistry(), lambda: NOW)
    plays.note("listener", str(uuid.uuid4()), 1, 60_000)
    await plays.flush()
