"""An answered action is committed, older ones never take its place, and no clock decides."""

import asyncio
import contextlib
import secrets
import uuid

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from catalog.database import Database
from catalog.merging.merging import Merging
from catalog.metrics import CatalogMetrics
from catalog.model import EntityKind
from catalog.publish import Publisher
from catalog.resuming.points import Resume, Saved
from catalog.resuming.resume import Kind, Point, Save, State
from catalog.resuming.rows import DEVICES_MAX
from catalog.takedown import Takedown
from reprise.errors import Conflict, InvalidRequest, NotFound
from tests.catalog import songbook


def save(song_id: str, device: str = "phone", place: tuple[int, int] = (1, 1), at: int = 1000, **how: object) -> Save:
    return Save(Point(song_id, device, at, False, *place), **how)  # type: ignore[arg-type]


async def points(resume: Resume, user: str, song_id: str) -> list[Point]:
    return list((await resume.get(user, song_id, "")).points)


async def test_an_answered_action_is_committed(resume: Resume, user: str, song_id: str, catalog_dsn: str) -> None:
    saved = await resume.save(user, save(song_id, at=61_000))
    other_connection = await asyncpg.connect(catalog_dsn)
    row = await other_connection.fetchrow("SELECT position_ms, epoch, sequence FROM progress WHERE user_id = $1", user)
    await other_connection.close()
    assert tuple(row) == (61_000, 1, 1)
    assert (saved.point.saved_unix_ms > 0, saved.point.revision, saved.spooled) == (True, 1, False)
    found = await resume.get(user, song_id, saved.token)
    assert (list(found.points), found.stale) == ([saved.point], False)


async def test_a_later_action_may_go_back_in_the_song(resume: Resume, user: str, song_id: str) -> None:
    await resume.save(user, save(song_id, place=(1, 1), at=90_000))
    await resume.save(user, save(song_id, place=(1, 2), at=5_000))
    assert (await points(resume, user, song_id))[0].position_ms == 5_000


async def test_an_older_action_is_refused_and_told_what_is_kept(resume: Resume, user: str, song_id: str) -> None:
    await resume.save(user, save(song_id, place=(3, 9), at=61_000))
    for place in ((3, 8), (2, 99)):
        with pytest.raises(Conflict, match=r"epoch=3 sequence=9 position_ms=61000 finished=false"):
            await resume.save(user, save(song_id, place=place))
    assert (await points(resume, user, song_id))[0].position_ms == 61_000


async def test_the_same_action_again_changes_nothing(
    resume: Resume, user: str, song_id: str, registry: CollectorRegistry
) -> None:
    first = await resume.save(user, save(song_id))
    car = await resume.save(user, save(song_id, "car"))
    again = await resume.save(user, save(song_id))
    assert (again.point, again.conflict) == (first.point, car.point)
    assert await points(resume, user, song_id) == [car.point, first.point]
    labels = {"kind": "action", "outcome": "resent"}
    assert registry.get_sample_value("reprise_catalog_progress_saves_total", labels) == 1


async def test_the_pointer_follows_the_last_action_of_any_device(resume: Resume, user: str, song_id: str) -> None:
    for device, place in (("phone", (9, 1)), ("car", (1, 1)), ("desk", (5, 1)), ("car", (1, 2))):
        await resume.save(user, save(song_id, device, place))
    kept = await points(resume, user, song_id)
    assert [(point.device_id, point.revision) for point in kept] == [("car", 4), ("desk", 3), ("phone", 1)]


async def test_a_late_action_is_kept_apart_from_a_newer_one_that_it_did_not_know(
    resume: Resume, user: str, song_id: str
) -> None:
    known = await resume.save(user, save(song_id, "phone", at=1_000))
    car = await resume.save(user, save(song_id, "car", at=80_000))
    late = save(song_id, "phone", (1, 2), at=9_000, base_revision=known.point.revision, late=True)
    saved = await resume.save(user, late)
    assert (saved.conflict, saved.point.position_ms) == (car.point, 9_000)
    assert await points(resume, user, song_id) == [car.point, saved.point]
    knowing = save(song_id, "phone", (1, 3), base_revision=car.point.revision, late=True)
    assert (await resume.save(user, knowing)).conflict is None
    assert (await points(resume, user, song_id))[0].device_id == "phone"


async def test_unknown_songs_listeners_and_tokens_are_named(resume: Resume, user: str, song_id: str) -> None:
    for kind in Kind:
        with pytest.raises(NotFound, match="no such song"):
            await resume.save(user, save(str(uuid.uuid4()), kind=kind))
    with pytest.raises(NotFound, match="no resume point"):
        await resume.get(user, song_id, "")
    for call in (resume.get(user, song_id, "x"), resume.recent(user, 1, "", "x", include_finished=False)):
        with pytest.raises(InvalidRequest, match="consistency_token"):
            await call


async def test_the_device_silent_longest_makes_room(resume: Resume, user: str, song_id: str) -> None:
    for number in range(DEVICES_MAX):
        await resume.save(user, save(song_id, f"device-{number}"))
    await resume.save(user, save(song_id, "device-0", (1, 2)))
    await resume.save(user, save(song_id, "one-more"))
    kept = {point.device_id for point in await points(resume, user, song_id)}
    assert kept == {"one-more", *(f"device-{number}" for number in range(DEVICES_MAX))} - {"device-1"}
    # The pointer's device and the one that saves stay, however little it knew.
    await resume.save(user, save(song_id, "late-one", late=True))
    kept = {point.device_id for point in await points(resume, user, song_id)}
    assert (len(kept), {"late-one", "one-more"} <= kept) == (DEVICES_MAX, True)


async def test_actions_at_once_take_turns(resume: Resume, user: str, song_id: str) -> None:
    saves = [save(song_id, device, (1, sequence)) for sequence in range(1, 5) for device in ("phone", "car", "desk")]
    results = await asyncio.gather(*(resume.save(user, one) for one in saves), return_exceptions=True)
    assert all(isinstance(result, Saved | Conflict) for result in results)
    kept = await points(resume, user, song_id)
    assert {(point.device_id, point.sequence) for point in kept} == {(d, 4) for d in ("phone", "car", "desk")}
    accepted = [result.point.revision for result in results if isinstance(result, Saved)]
    assert sorted(accepted) == list(range(1, len(accepted) + 1))


async def test_a_merged_song_keeps_its_points_under_both_ids(
    resume: Resume, user: str, song_id: str, publisher: Publisher, database: Database, metrics: CatalogMetrics
) -> None:
    other = str((await publisher.publish(songbook.publication("Long Song (again)"))).song_id)
    await resume.save(user, save(other, "phone", at=7_000))
    await Merging(database, metrics).merge(EntityKind.SONG, uuid.UUID(other), uuid.UUID(song_id))
    await resume.save(user, save(other, "car", at=8_000))
    await resume.save(user, save(other, "desk", at=9_000, kind=Kind.HEARTBEAT))
    for asked in (other, song_id):
        found = await points(resume, user, asked)
        assert [(point.device_id, point.song_id) for point in found[:2]] == [("car", song_id), ("phone", song_id)]


async def test_a_withdrawn_song_keeps_its_points_and_is_not_listed(
    resume: Resume, user: str, publisher: Publisher, database: Database, metrics: CatalogMetrics
) -> None:
    song_id = str((await publisher.publish(songbook.publication("Gone Song"))).song_id)
    saved = await resume.save(user, save(song_id))
    await Takedown(database, metrics).take_down(EntityKind.SONG, uuid.UUID(song_id), "a test")
    assert await points(resume, user, song_id) == [saved.point]
    assert (await resume.recent(user, 9, "", "", include_finished=True)).entries == []


_saves = st.lists(
    st.builds(
        lambda device, place, base, late: save("", device, place, base_revision=base, late=late),
        st.sampled_from(["phone", "car"]),
        st.tuples(st.integers(0, 2), st.integers(0, 3)),
        st.integers(0, 5),
        st.booleans(),
    ),
    min_size=1,
    max_size=10,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(saves=_saves)
async def test_the_database_keeps_what_the_rules_say(resume: Resume, song_id: str, saves: list[Save]) -> None:
    user, state = f"listener-{secrets.token_hex(8)}", State()
    for one in saves:
        offered = save(song_id, one.point.device_id, one.point.place, base_revision=one.base_revision, late=one.late)
        state, _ = state.after(offered)
        with contextlib.suppress(Conflict):
            await resume.save(user, offered)
    kept, expected = await points(resume, user, song_id), state.in_order()
    assert {(p.device_id, p.place, p.revision) for p in kept} == {(p.device_id, p.place, p.revision) for p in expected}
    assert kept[0].device_id == expected[0].device_id
