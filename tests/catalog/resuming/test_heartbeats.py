"""Heartbeats are seen at once, reach the database in batches, and take the place of nothing newer; Valkey may come and go."""

import asyncio
import secrets
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from catalog.database import Database
from catalog.resuming import batches, heartbeats, hot_points
from catalog.resuming.beats import Beat, shard_of
from catalog.resuming.heartbeats import Heartbeats
from catalog.resuming.hot_points import HotPoints, Noted
from catalog.resuming.metrics import ResumeMetrics
from catalog.resuming.pipelining import Pipelining, connect
from catalog.resuming.points import Resume
from catalog.resuming.resume import Kind, Point, Save
from catalog.resuming.rows import DEVICES_MAX, load_state
from reprise.engines.ports import free_ports
from reprise.engines.valkey import Valkey
from reprise.errors import Conflict, Unavailable
from tests.catalog.conftest import CURSOR_KEY
from tests.support.engine import running


def save(song_id: str, device: str, sequence: int, kind: Kind = Kind.HEARTBEAT) -> Save:
    return Save(Point(song_id, device, sequence * 1000, False, 1, sequence), kind)


def beat(user: str, song_id: str, device: str = "phone", sequence: int = 1) -> Beat:
    return Beat(user, replace(save(song_id, device, sequence).point, saved_unix_ms=5))


@pytest.fixture
async def hot(valkey_url: str, resume_metrics: ResumeMetrics) -> AsyncIterator[HotPoints]:
    points = HotPoints(Pipelining(connect(valkey_url), resume_metrics), resume_metrics)
    yield points
    await points.close()


@pytest.fixture
def by_valkey(database: Database, hot: HotPoints, resume_metrics: ResumeMetrics) -> Heartbeats:
    return Heartbeats(database, hot, resume_metrics)


@pytest.fixture
def by_memory(database: Database, resume_metrics: ResumeMetrics) -> Heartbeats:
    return Heartbeats(database, None, resume_metrics)


@pytest.fixture(params=["valkey", "memory"])
def way(request: pytest.FixtureRequest, by_valkey: Heartbeats, by_memory: Heartbeats) -> Heartbeats:
    """Either way to the database."""
    return by_valkey if request.param == "valkey" else by_memory


def resuming(database: Database, way: Heartbeats, metrics: ResumeMetrics) -> Resume:
    return Resume(database, way, None, lambda *_: None, CURSOR_KEY, metrics, time.time)


@pytest.fixture
def resume(database: Database, way: Heartbeats, resume_metrics: ResumeMetrics) -> Resume:
    return resuming(database, way, resume_metrics)


async def in_database(database: Database, user: str, song_id: str) -> list[tuple[str, int]]:
    """Devices, the pointer's first, with what the database has of them."""
    state = await database.read(lambda connection: load_state(connection, user, uuid.UUID(song_id)))
    return [(point.device_id, point.sequence) for point in state.in_order()]


async def seen(resume: Resume, user: str, song_id: str) -> list[tuple[str, int]]:
    return [(point.device_id, point.sequence) for point in (await resume.get(user, song_id, "")).points]


async def test_a_heartbeat_is_seen_at_once_and_is_in_the_database_after_a_flush(
    resume: Resume, way: Heartbeats, database: Database, user: str, song_id: str
) -> None:
    for sequence in (1, 2, 3):
        await resume.save(user, save(song_id, "phone", sequence))
    assert await seen(resume, user, song_id) == [("phone", 3)]
    assert await in_database(database, user, song_id) == []
    await way.flush()
    assert await in_database(database, user, song_id) == [("phone", 3)]
    (entry,) = (await resume.recent(user, 5, "", "", include_finished=False)).entries
    assert entry.point.sequence == 3


async def test_heartbeats_move_the_pointer_to_no_other_device(
    resume: Resume, way: Heartbeats, database: Database, user: str, song_id: str
) -> None:
    acted = await resume.save(user, save(song_id, "phone", 1, Kind.ACTION))
    await resume.save(user, save(song_id, "car", 7))
    await resume.save(user, save(song_id, "phone", 2))
    for _ in range(2):
        assert await seen(resume, user, song_id) == [("phone", 2), ("car", 7)]
        await way.flush()
    assert await in_database(database, user, song_id) == [("phone", 2), ("car", 7)]
    assert (await resume.get(user, song_id, "")).points[0].revision == acted.point.revision == 1


async def test_a_flush_overwrites_no_newer_action(
    resume: Resume, way: Heartbeats, database: Database, user: str, song_id: str
) -> None:
    await resume.save(user, save(song_id, "phone", 4))
    await resume.save(user, save(song_id, "phone", 5, Kind.ACTION))
    assert await seen(resume, user, song_id) == [("phone", 5)]
    await way.flush()
    assert await in_database(database, user, song_id) == [("phone", 5)]


async def test_an_older_heartbeat_is_refused_and_the_same_again_is_answered(
    resume: Resume, user: str, song_id: str
) -> None:
    await resume.save(user, save(song_id, "phone", 4))
    assert (await resume.save(user, save(song_id, "phone", 4))).point.sequence == 4
    with pytest.raises(Conflict, match="sequence=4"):
        await resume.save(user, save(song_id, "phone", 3))


async def test_a_batch_drops_unknown_songs_and_devices_beyond_the_bound(
    database: Database, user: str, song_id: str
) -> None:
    many = [beat(user, song_id, f"device-{number:02}") for number in range(DEVICES_MAX + 3)]
    unknown = beat(user, str(uuid.uuid4()))
    written = await database.write(lambda connection: batches.write(connection, [*many, unknown]))
    assert written == len(many)
    assert len(await in_database(database, user, song_id)) == DEVICES_MAX
    assert await database.write(lambda connection: batches.write(connection, [unknown])) == 0


async def test_batches_and_actions_on_the_same_rows_all_end(
    database: Database, resume: Resume, registry: CollectorRegistry, user: str, song_id: str
) -> None:
    users = [f"{user}-{number}" for number in range(20)]

    async def act(one: str) -> None:
        await resume.save(one, save(song_id, "car", 1, Kind.ACTION))

    async def flush(beats: list[Beat]) -> None:
        await database.write(lambda connection: batches.write(connection, beats))

    beats = [beat(one, song_id, sequence=2) for one in users]
    await asyncio.gather(*(flush(beats[::step]) for step in (1, -1, 1, -1)), *map(act, users))
    # Nobody waited in a circle.
    assert registry.get_sample_value("reprise_catalog_database_failures_total", {"cause": "lost_race"}) is None
    for one in users:
        assert sorted(await in_database(database, one, song_id)) == [("car", 1), ("phone", 2)]


async def test_what_a_killed_flusher_took_another_takes_after_the_lease(
    hot: HotPoints, user: str, song_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard, mine = shard_of(user), beat(user, song_id)
    await hot.note(mine)
    taken = await hot.take(shard, 500)
    assert mine in taken
    assert mine not in await hot.take(shard, 500)
    monkeypatch.setattr(hot_points, "LEASE_S", -1)
    newer = beat(user, song_id, sequence=2)
    await hot.note(newer)
    # One that came while the batch was written is due again at once; without a newer one it is done.
    await hot.written(taken)
    assert newer in await hot.take(shard, 500)
    assert newer in await hot.take(shard, 500)
    await hot.written([newer])
    assert newer not in await hot.take(shard, 500)
    assert await hot.points_of(user, [song_id]) == [[newer.point]]


async def test_a_full_valkey_leaves_heartbeats_to_memory(
    database: Database,
    valkey_url: str,
    resume_metrics: ResumeMetrics,
    registry: CollectorRegistry,
    user: str,
    song_id: str,
) -> None:
    small = HotPoints(Pipelining(connect(valkey_url), resume_metrics), resume_metrics, due_max=0)
    way = Heartbeats(database, small, resume_metrics)
    assert (await small.note(beat(user, song_id)))[0] is Noted.FULL
    await way.note(beat(user, song_id))
    overflowed = "reprise_catalog_heartbeats_overflowed_total"
    assert registry.get_sample_value(overflowed, {"where": "valkey"}) == 1
    await way.flush()
    assert await in_database(database, user, song_id) == [("phone", 1)]
    await small.close()


async def test_memory_is_bounded(
    by_memory: Heartbeats, user: str, song_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "PENDING_MAX", 2)
    way = Heartbeats(by_memory._database, None, by_memory._metrics)
    for device in ("phone", "car"):
        await way.note(beat(user, song_id, device))
    with pytest.raises(Unavailable, match="2 heartbeats wait"):
        await way.note(beat(user, song_id, "desk"))
    await way.note(beat(user, song_id, "car", 2))


async def test_a_catalog_that_stops_writes_what_is_in_memory(
    by_memory: Heartbeats, database: Database, user: str, song_id: str
) -> None:
    await by_memory.note(beat(user, song_id))
    await by_memory.close()
    assert await in_database(database, user, song_id) == [("phone", 1)]


async def test_valkey_killed_midway_costs_no_heartbeat_that_comes_after_and_slows_nobody(
    database: Database, resume_metrics: ResumeMetrics, registry: CollectorRegistry, tmp_path: Path, song_id: str
) -> None:
    (port,) = free_ports(1)
    log_path = tmp_path / "valkey.log"
    server = Valkey(directory=tmp_path / "valkey", port=port, password=secrets.token_hex(8), log_path=log_path)
    users = [f"listener-{number:07}-{port}" for number in range(20)]
    with running(server) as process:
        hot = HotPoints(Pipelining(connect(server.url), resume_metrics), resume_metrics)
        way = Heartbeats(database, hot, resume_metrics)
        resume = resuming(database, way, resume_metrics)
        for one in users:
            await resume.save(one, save(song_id, "phone", 1))
        await way.flush()
        for one in users:
            await resume.save(one, save(song_id, "phone", 2))
        process.kill()
        assert [await seen(resume, one, song_id) for one in users] == [[("phone", 1)]] * len(users)
        began = time.monotonic()
        for one in users:
            await resume.save(one, save(song_id, "phone", 3))
        assert [await seen(resume, one, song_id) for one in users] == [[("phone", 3)]] * len(users)
        # Without the breaker each save and each read would wait for Valkey.
        assert time.monotonic() - began < 3
        assert registry.get_sample_value("reprise_catalog_valkey_up") == 0
        await way.flush()
        assert [await in_database(database, one, song_id) for one in users] == [[("phone", 3)]] * len(users)
        await hot.close()


async def test_a_valkey_that_hangs_is_left_alone(
    database: Database, resume_metrics: ResumeMetrics, user: str, song_id: str
) -> None:
    async def hang(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    hot = HotPoints(Pipelining(connect(f"redis://127.0.0.1:{port}/0"), resume_metrics), resume_metrics)
    began = time.monotonic()
    for _ in range(20):
        assert await hot.points_of(user, [song_id]) == [[]]
        assert (await hot.note(beat(user, song_id)))[0] is Noted.AWAY
    assert time.monotonic() - began < 1.5
    await hot.close()
    server.close()
