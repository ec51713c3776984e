"""Every change is read at least once, in an order that no later commit can change."""

import uuid
from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from catalog import outbox
from catalog.database import Database
from catalog.model import EntityKind
from catalog.outbox import Change, Place
from reprise.errors import OutOfRange


@pytest.fixture(autouse=True)
async def empty(catalog_dsn: str) -> None:
    connection = await asyncpg.connect(catalog_dsn)
    await connection.execute("TRUNCATE outbox; UPDATE outbox_pruned SET xid = '0', sequence = 0")
    await connection.close()


@pytest.fixture
async def connections(catalog_dsn: str) -> AsyncIterator[tuple[AsyncConnection, AsyncConnection]]:
    """Two writers, each in a transaction of its own."""
    engine = create_async_engine("postgresql+asyncpg://", async_creator=lambda: asyncpg.connect(catalog_dsn))
    async with engine.connect() as first, engine.connect() as second:
        yield first, second
    await engine.dispose()


async def read(database: Database, place: Place | None = None, limit: int = 100) -> list[Change]:
    return await database.read(lambda connection: outbox.changes_after(connection, place, limit))


async def tell(database: Database, *ids: uuid.UUID) -> None:
    await database.write(lambda connection: outbox.tell(connection, EntityKind.SONG, ids))


async def prune(database: Database, keep_s: float, keep_rows: int, limit: int = 100) -> int:
    return await database.write(lambda connection: outbox.prune(connection, keep_s, keep_rows, limit))


async def test_changes_come_once_each_page_after_page(database: Database) -> None:
    ids = [uuid.uuid4() for _ in range(7)]
    for id_ in ids:
        await tell(database, id_)
    first = await read(database, limit=4)
    rest = await read(database, first[-1].place, limit=4)
    assert [change.entity_id for change in (*first, *rest)] == ids
    assert await read(database, rest[-1].place) == []


async def test_a_change_says_what_became_of_what(database: Database) -> None:
    old, new = uuid.uuid4(), uuid.uuid4()
    await database.write(
        lambda connection: outbox.tell(connection, EntityKind.ARTIST, [old, old], gone=True, redirected_to=new)
    )
    (change,) = await read(database)
    assert (change.kind, change.entity_id, change.gone, change.redirected_to) == (EntityKind.ARTIST, old, True, new)


async def test_what_began_first_and_commits_last_is_not_skipped(
    database: Database, connections: tuple[AsyncConnection, AsyncConnection]
) -> None:
    slow, fast = connections
    slow_id, fast_id, third = uuid.uuid4(), uuid.uuid4(), uuid.uuid4()
    await outbox.tell(slow, EntityKind.SONG, [slow_id])
    await outbox.tell(fast, EntityKind.SONG, [fast_id])
    await fast.commit()
    seen = await read(database)
    assert seen == []
    await slow.commit()
    await tell(database, third)
    assert [change.entity_id for change in await read(database)] == [slow_id, fast_id, third]


async def test_what_took_its_number_first_and_began_last_is_not_skipped(
    database: Database, connections: tuple[AsyncConnection, AsyncConnection]
) -> None:
    early, late = connections
    ids = [uuid.uuid4() for _ in range(3)]
    # `early` has a transaction number before `late`, but writes its row after `late` has committed.
    await early.execute(sa.text("SELECT pg_current_xact_id()"))
    await outbox.tell(late, EntityKind.SONG, [ids[0]])
    await late.commit()
    seen = await read(database)
    await outbox.tell(early, EntityKind.SONG, [ids[1]])
    await early.commit()
    await tell(database, ids[2])
    seen += await read(database, seen[-1].place if seen else None)
    assert sorted(change.entity_id for change in seen) == sorted(ids)


async def test_a_reader_from_before_what_was_pruned_is_told(database: Database) -> None:
    for _ in range(6):
        await tell(database, uuid.uuid4())
    changes = await read(database)
    assert await prune(database, keep_s=3600, keep_rows=2) == 4
    with pytest.raises(OutOfRange):
        await read(database, changes[2].place)
    assert await read(database, changes[3].place) == changes[4:]
    assert await read(database) == changes[4:]


async def test_pruning_goes_on_where_it_stopped_and_takes_what_is_too_old(database: Database) -> None:
    for _ in range(5):
        await tell(database, uuid.uuid4())
    assert [await prune(database, keep_s=0, keep_rows=100, limit=3) for _ in range(3)] == [3, 2, 0]
    assert await prune(database, keep_s=3600, keep_rows=0) == 0


async def test_places_of_a_database_that_was_restored_over_are_refused(database: Database, catalog_dsn: str) -> None:
    with pytest.raises(OutOfRange):
        await read(database, (1 << 60, 1))
    connection = await asyncpg.connect(catalog_dsn)
    await connection.execute(
        "INSERT INTO outbox (xid, kind, entity_id) VALUES ('1152921504606846976', 1, $1)", uuid.uuid4()
    )
    await connection.execute("UPDATE outbox_pruned SET xid = '1152921504606846976', sequence = 9")
    await prune(database, keep_s=3600, keep_rows=100)
    assert await connection.fetchval("SELECT count(*) FROM outbox") == 0
    await connection.close()
    await tell(database, uuid.uuid4())
    (change,) = await read(database)
    assert await read(database, change.place) == []
