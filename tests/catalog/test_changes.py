"""Programs outside follow every change, from where they stopped, and are told when they stayed away too long."""

import asyncio
import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from prometheus_client import CollectorRegistry

from catalog import changes as module
from catalog import outbox
from catalog.changes import Changes
from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind
from catalog.outbox import Change
from catalog.pruning import Pruning
from reprise.errors import InvalidRequest, OutOfRange, QuotaExceeded
from tests.catalog.conftest import CURSOR_KEY

PATIENCE_S = 10
Watch = AsyncGenerator[tuple[Change, str]]


@pytest.fixture
def changes(database: Database, metrics: CatalogMetrics) -> Changes:
    return Changes(database, CURSOR_KEY, metrics)


async def tell(database: Database, *ids: uuid.UUID) -> None:
    for id_ in ids:
        await database.write(lambda connection, id_=id_: outbox.tell(connection, EntityKind.SONG, [id_]))


async def take(watch: Watch, ids: list[uuid.UUID]) -> str:
    """Waits until all of `ids` came, in that order; the cursor of the last."""
    left, cursor = list(ids), ""
    async with asyncio.timeout(PATIENCE_S):
        while left:
            change, cursor = await anext(watch)
            if change.entity_id == left[0]:
                left.pop(0)
    return cursor


async def test_a_watcher_goes_on_where_it_stopped(changes: Changes, database: Database) -> None:
    ids = [uuid.uuid4() for _ in range(4)]
    await tell(database, *ids[:2])
    async with aclosing(changes.watch("")) as watch:
        cursor = await take(watch, ids[:2])
    await tell(database, *ids[2:])
    async with aclosing(changes.watch(cursor)) as watch:
        change, _ = await anext(watch)
        assert change.entity_id == ids[2]
        await take(watch, ids[3:])


async def test_pages_follow_each_other_without_a_pause(
    changes: Changes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(module, "POLL_S", 1000)
    ids = [uuid.uuid4() for _ in range(5)]
    await tell(database, *ids)
    async with aclosing(changes.watch("")) as watch:
        await take(watch, ids)


async def test_a_watcher_is_woken_by_a_commit(
    changes: Changes, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_S", 1000)
    await database.probe()
    listening = asyncio.create_task(changes.listen())
    async with aclosing(changes.watch("")) as watch:
        await tell(database, first := uuid.uuid4())
        cursor = await take(watch, [first])
    async with aclosing(changes.watch(cursor)) as watch:
        waiting = asyncio.create_task(take(watch, [second := uuid.uuid4()]))
        # The listener may connect after the first of these: then a later one wakes.
        for _ in range(100):
            await tell(database, second)
            if (await asyncio.wait((waiting,), timeout=0.1))[0]:
                break
        await waiting
    listening.cancel()


async def test_watchers_are_bounded_and_counted(
    changes: Changes, database: Database, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WATCHERS_MAX", 1)
    await tell(database, uuid.uuid4())
    async with aclosing(changes.watch("")) as watch:
        await anext(watch)
        assert registry.get_sample_value("reprise_catalog_change_watchers") == 1
        with pytest.raises(QuotaExceeded):
            await anext(changes.watch(""))
    assert registry.get_sample_value("reprise_catalog_change_watchers") == 0
    assert registry.get_sample_value("reprise_catalog_change_watchers_refused_total") == 1


async def test_a_stop_ends_every_watch(changes: Changes, database: Database) -> None:
    await tell(database, only := uuid.uuid4())
    async with aclosing(changes.watch("")) as watch:
        await take(watch, [only])
        await changes.stop()
        async with asyncio.timeout(PATIENCE_S):
            assert [change async for change in watch] == []


async def test_a_forged_cursor_is_refused(changes: Changes) -> None:
    with pytest.raises(InvalidRequest, match="cursor"):
        await anext(changes.watch("forged"))


async def test_who_stayed_away_too_long_is_told(
    changes: Changes, database: Database, metrics: CatalogMetrics, registry: CollectorRegistry
) -> None:
    ids = [uuid.uuid4() for _ in range(4)]
    await tell(database, *ids)
    async with aclosing(changes.watch("")) as watch:
        cursor = await take(watch, ids[:1])
    pruned = await Pruning(database, metrics).prune(keep_s=3600, keep_rows=1)
    assert pruned >= 3
    assert registry.get_sample_value("reprise_catalog_changes_pruned_total") == pruned
    with pytest.raises(OutOfRange, match="read everything anew"):
        await anext(changes.watch(cursor))
    async with aclosing(changes.watch("")) as watch:
        assert (await anext(watch))[0].entity_id == ids[-1]


async def test_one_catalog_prunes_at_a_time(database: Database, metrics: CatalogMetrics) -> None:
    await tell(database, uuid.uuid4(), uuid.uuid4())
    both = await asyncio.gather(*(Pruning(database, metrics).prune(0, 0) for _ in range(2)))
    left = await database.write(lambda connection: outbox.prune(connection, 0, 0, 10))
    assert min(both) == 0 or left == 0
