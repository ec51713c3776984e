"""PostgreSQL is killed or hangs: answered actions are kept and reach it once, in order, and nothing newer is replaced."""

import asyncio
import os
import secrets
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from catalog.database import Database
from catalog.metrics import CatalogMetrics
from catalog.migrate import migrate
from catalog.publish import Publisher
from catalog.resuming.heartbeats import Heartbeats
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.points import Resume
from catalog.resuming.replay import Replayer
from catalog.resuming.resume import Kind, Point, Save
from catalog.resuming.spool import Spool
from reprise.engines.postgres import create_database
from reprise.errors import Conflict, NotFound, Unavailable
from tests.catalog import songbook
from tests.catalog.conftest import CURSOR_KEY, new_id
from tests.support.replication import Replicated, replicated

DATABASE = "resume"
UNKNOWN_SONG = "00000000-0000-7000-8000-000000000000"


@dataclass
class Catalog:
    """What of a catalog is about resume points."""

    resume: Resume
    replayer: Replayer
    heartbeats: Heartbeats
    database: Database
    registry: CollectorRegistry

    async def back(self) -> None:
        """The database is back: it is noticed, and all that waits goes there."""
        await self.database.probe()
        assert await self.replayer.replay()
        await self.heartbeats.flush()

    def replayed(self, outcome: str) -> float:
        labels = {"outcome": outcome}
        return self.registry.get_sample_value("reprise_catalog_spool_replayed_total", labels) or 0.0


@asynccontextmanager
async def catalog(dsn: str, folder: Path) -> AsyncIterator[Catalog]:
    registry = CollectorRegistry()
    metrics = ResumeMetrics(registry)
    patience = {"connect_timeout_s": 1.0, "statement_timeout_s": 0.5}
    database = Database(dsn, CatalogMetrics(registry), connections_max=4, **patience)  # type: ignore[arg-type]
    spool = Spool(folder, 1 << 20, metrics, time.time)
    heartbeats = Heartbeats(database, None, metrics)
    resume = Resume(database, heartbeats, spool, lambda *_: None, CURSOR_KEY, metrics, time.time)
    await database.probe()
    try:
        yield Catalog(resume, Replayer(database, spool, metrics), heartbeats, database, registry)
    finally:
        await spool.close()
        await database.close()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicated]:
    with replicated(tmp_path_factory.mktemp("outage"), standbys=0, durable=True) as (server,):
        asyncio.run(create_database(server.dsn("postgres"), DATABASE))
        asyncio.run(migrate(server.dsn(DATABASE), wait_s=10, connect_timeout_s=5))
        yield server


@pytest.fixture
async def one(server: Replicated, tmp_path: Path) -> AsyncIterator[Catalog]:
    async with catalog(server.dsn(DATABASE), tmp_path / "one") as one:
        yield one


@pytest.fixture
async def two(server: Replicated, tmp_path: Path) -> AsyncIterator[Catalog]:
    async with catalog(server.dsn(DATABASE), tmp_path / "two") as two:
        yield two


@pytest.fixture
async def song_id(one: Catalog) -> str:
    publisher = Publisher(one.database, new_id, CatalogMetrics(CollectorRegistry()))
    return str((await publisher.publish(songbook.publication("Long Song"))).song_id)


def save(song_id: str, device: str, sequence: int, base: int = 0, kind: Kind = Kind.ACTION) -> Save:
    return Save(Point(song_id, device, sequence * 1000, False, 1, sequence), kind, base)


@contextmanager
def stopped(server: Replicated) -> Iterator[None]:
    """The server takes connections and does nothing: each of its processes stands still."""
    first = server.process.pid
    os.kill(first, signal.SIGSTOP)
    pids = [first, *map(int, Path(f"/proc/{first}/task/{first}/children").read_text().split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def seen(catalog: Catalog, user: str, song_id: str) -> list[tuple[str, int]]:
    found = await catalog.resume.get(user, song_id, "")
    return [(point.device_id, point.sequence) for point in found.points]


async def test_actions_outlive_a_killed_database(server: Replicated, one: Catalog, user: str, song_id: str) -> None:
    first = await one.resume.save(user, save(song_id, "phone", 1))
    server.kill()
    base = first.point.revision
    second = await one.resume.save(user, save(song_id, "phone", 2, base))
    assert (second.spooled, second.point.sequence, second.point.revision) == (True, 2, base)
    car = await one.resume.save(user, save(song_id, "car", 9, base))
    await one.resume.save(user, save(song_id, "phone", 3, kind=Kind.HEARTBEAT))
    # The same again is answered, an older one refused, as always.
    assert (await one.resume.save(user, save(song_id, "car", 9, base))).point == car.point
    with pytest.raises(Conflict, match="sequence=9"):
        await one.resume.save(user, save(song_id, "car", 8, base))
    await one.resume.save(user, save(UNKNOWN_SONG, "phone", 4))
    found = await one.resume.get(user, song_id, first.token)
    assert ([point.device_id for point in found.points], found.stale) == (["car", "phone"], True)
    with pytest.raises(Unavailable):
        await one.resume.get("somebody-else-0123", song_id, "")
    server.restart()
    await one.back()
    assert await seen(one, user, song_id) == [("car", 9), ("phone", 3)]
    assert not (await one.resume.get(user, song_id, "")).stale
    assert (one.replayed("applied"), one.replayed("dropped")) == (2, 1)
    with pytest.raises(NotFound):
        await one.resume.get(user, UNKNOWN_SONG, "")


async def test_a_database_that_hangs_is_given_up_and_its_actions_are_spooled(
    server: Replicated, one: Catalog, user: str, song_id: str
) -> None:
    await one.resume.save(user, save(song_id, "phone", 1))
    with stopped(server):
        saved = await one.resume.save(user, save(song_id, "phone", 2, 1))
        assert saved.spooled
    await one.back()
    # Whether or not the first attempt was committed, it counts once.
    found = await one.resume.get(user, song_id, "")
    assert [(point.sequence, point.revision) for point in found.points] == [(2, 2)]


async def test_two_spools_are_replayed_in_any_order_and_pass_no_newer_action(
    server: Replicated, one: Catalog, two: Catalog, song_id: str
) -> None:
    users = [f"listener-{secrets.token_hex(8)}" for _ in range(2)]
    for user in users:
        await one.resume.save(user, save(song_id, "phone", 1))
    server.kill()
    for user in users:
        await one.resume.save(user, save(song_id, "phone", 2, 1))
        await two.resume.save(user, save(song_id, "phone", 3, 1))
        await two.resume.save(user, save(song_id, "car", 1, 1))
    server.restart()
    await one.database.probe()
    # The second listener acts when the database is back, before the spools are.
    news = await one.resume.save(users[1], save(song_id, "desk", 1))
    await asyncio.gather(one.back(), two.back())
    for user, first in ((users[0], ["car", "phone"]), (users[1], ["desk"])):
        kept = await seen(two, user, song_id)
        assert kept[0][0] in first
        assert {("phone", 3), ("car", 1)} <= set(kept)
    assert (await one.resume.get(users[1], song_id, "")).points[0] == news.point


async def test_a_replay_that_breaks_off_begins_again_and_changes_nothing_twice(
    server: Replicated, one: Catalog, user: str, song_id: str, tmp_path: Path
) -> None:
    server.kill()
    for sequence in range(1, 20):
        await one.resume.save(user, save(song_id, "phone", sequence))
    assert not await one.replayer.replay()
    copy = {path.name: path.read_bytes() for path in (tmp_path / "one").glob("*.spool")}
    server.restart()
    await one.back()
    before = await one.resume.get(user, song_id, "")
    # As after a kill before the file was deleted: another catalog finds it.
    (tmp_path / "again").mkdir()
    for name, data in copy.items():
        (tmp_path / "again" / name).write_bytes(data)
    async with catalog(server.dsn(DATABASE), tmp_path / "again") as again:
        await again.back()
        assert again.replayed("applied") == 0
        assert await again.resume.get(user, song_id, "") == before
    assert before.points[0].revision == 19
