"""Where a listener stopped is never lost, never overwritten by something older, and never decided by a clock."""

import asyncio
import secrets
import uuid

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from catalog.progress import DEVICES_MAX, Progress
from catalog.publish import Publisher
from catalog.resume import Point
from reprise.errors import Conflict, NotFound
from tests.catalog import songbook


def listener() -> str:
    """A listener that no other test has."""
    return f"listener-{secrets.token_hex(8)}"


@pytest.fixture
async def song_id(publisher: Publisher) -> str:
    return str(
        (await publisher.publish(songbook.publication("Long Song", source_sha256=songbook.digest("long song")))).song_id
    )


def point(song_id: str, device: str = "phone", *, epoch: int = 1, sequence: int = 1, position_ms: int = 1000) -> Point:
    return Point(song_id, device, position_ms, False, epoch, sequence)


async def test_a_saved_point_is_committed_when_the_answer_comes(
    progress: Progress, song_id: str, catalog_dsn: str
) -> None:
    user = listener()
    saved = await progress.save(user, point(song_id, position_ms=61_000))
    other_connection = await asyncpg.connect(catalog_dsn)
    row = await other_connection.fetchrow("SELECT position_ms, epoch, sequence FROM progress WHERE user_id = $1", user)
    await other_connection.close()
    assert tuple(row) == (61_000, 1, 1)
    assert saved.saved_unix_ms > 0
    assert await progress.get(user, song_id) == [saved]


async def test_a_later_save_may_go_back_in_the_song(progress: Progress, song_id: str) -> None:
    user = listener()
    await progress.save(user, point(song_id, sequence=1, position_ms=90_000))
    await progress.save(user, point(song_id, sequence=2, position_ms=5_000))
    assert (await progress.get(user, song_id))[0].position_ms == 5_000


async def test_an_older_save_is_refused_and_told_what_is_kept(progress: Progress, song_id: str) -> None:
    user = listener()
    await progress.save(user, point(song_id, epoch=3, sequence=9, position_ms=61_000))
    for epoch, sequence in ((3, 8), (2, 99)):
        with pytest.raises(Conflict, match=r"epoch=3 sequence=9 position_ms=61000 finished=false"):
            await progress.save(user, point(song_id, epoch=epoch, sequence=sequence))
    assert (await progress.get(user, song_id))[0].position_ms == 61_000


async def test_the_same_save_again_changes_nothing(
    progress: Progress, song_id: str, registry: CollectorRegistry
) -> None:
    user = listener()
    first = await progress.save(user, point(song_id, "phone"))
    car = await progress.save(user, point(song_id, "car"))
    assert await progress.save(user, point(song_id, "phone")) == first
    assert await progress.get(user, song_id) == [car, first]
    assert registry.get_sample_value("reprise_catalog_progress_saves_total", {"outcome": "resent"}) == 1


async def test_the_pointer_follows_the_last_save_of_any_device(progress: Progress, song_id: str) -> None:
    user = listener()
    for device, epoch in (("phone", 9), ("car", 1), ("desk", 5)):
        await progress.save(user, point(song_id, device, epoch=epoch))
    await progress.save(user, point(song_id, "car", epoch=1, sequence=2))
    assert [kept.device_id for kept in await progress.get(user, song_id)] == ["car", "desk", "phone"]


async def test_a_refused_save_does_not_move_the_pointer(progress: Progress, song_id: str) -> None:
    user = listener()
    await progress.save(user, point(song_id, "phone", epoch=2))
    await progress.save(user, point(song_id, "car"))
    with pytest.raises(Conflict):
        await progress.save(user, point(song_id, "phone", epoch=1))
    assert (await progress.get(user, song_id))[0].device_id == "car"


async def test_unknown_songs_and_listeners_are_not_found(progress: Progress, song_id: str) -> None:
    with pytest.raises(NotFound, match="no such song"):
        await progress.save(listener(), point(str(uuid.uuid4())))
    with pytest.raises(NotFound, match="no resume point"):
        await progress.get(listener(), song_id)


async def test_listeners_do_not_see_each_other(progress: Progress, song_id: str) -> None:
    mine, yours = listener(), listener()
    await progress.save(mine, point(song_id, position_ms=1))
    await progress.save(yours, point(song_id, position_ms=2))
    assert [kept.position_ms for kept in await progress.get(mine, song_id)] == [1]


async def test_the_device_silent_longest_makes_room(progress: Progress, song_id: str) -> None:
    user = listener()
    for number in range(DEVICES_MAX):
        await progress.save(user, point(song_id, f"device-{number}"))
    await progress.save(user, point(song_id, "device-0", sequence=2))
    await progress.save(user, point(song_id, "one-more"))
    kept = {kept.device_id for kept in await progress.get(user, song_id)}
    assert len(kept) == DEVICES_MAX
    assert {"one-more", "device-0"} <= kept
    assert "device-1" not in kept


async def test_saves_at_once_take_turns(progress: Progress, song_id: str, catalog_dsn: str) -> None:
    user = listener()
    devices = ["phone", "car", "desk"]
    saves = [point(song_id, device, sequence=sequence) for sequence in range(1, 16) for device in devices]
    await progress.save(user, point(song_id, "phone", sequence=0))
    results = await asyncio.gather(*(progress.save(user, save) for save in saves), return_exceptions=True)
    assert all(isinstance(result, Point | Conflict) for result in results)
    kept = await progress.get(user, song_id)
    assert {(point.device_id, point.sequence) for point in kept} == {(device, 15) for device in devices}
    connection = await asyncpg.connect(catalog_dsn)
    saves_counted = await connection.fetchval("SELECT revision FROM progress_pointer WHERE user_id = $1", user)
    await connection.close()
    assert saves_counted == 1 + sum(isinstance(result, Point) for result in results)


_saves = st.lists(
    st.tuples(st.sampled_from(["phone", "car"]), st.integers(0, 2), st.integers(0, 3)), min_size=1, max_size=12
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(saves=_saves)
async def test_whatever_the_order_each_device_keeps_its_greatest_and_the_pointer_its_last_accepted(
    progress: Progress, song_id: str, saves: list[tuple[str, int, int]]
) -> None:
    user = listener()
    greatest: dict[str, tuple[int, int]] = {}
    last_accepted = ""
    for device, epoch, sequence in saves:
        offered = point(song_id, device, epoch=epoch, sequence=sequence)
        if device in greatest and (epoch, sequence) < greatest[device]:
            with pytest.raises(Conflict):
                await progress.save(user, offered)
            continue
        if greatest.get(device) != (epoch, sequence):
            last_accepted = device
        greatest[device] = (epoch, sequence)
        await progress.save(user, offered)
    kept = await progress.get(user, song_id)
    assert {point.device_id: (point.epoch, point.sequence) for point in kept} == greatest
    assert kept[0].device_id == last_accepted
