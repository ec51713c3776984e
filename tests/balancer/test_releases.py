"""A release at its moment, as listeners and operators of a running balancer see it."""

import asyncio
import time

import grpc
import pytest

from reprise.balancer.v1 import balancer_service_pb2 as pb
from tests.balancer.fakes import FakeEdge
from tests.balancer.stage import Stage, eventually, operator
from tests.balancer.values import AAC, OPUS, SONG, UNKNOWN_SONG

SOON = "0190c7a2-0000-7000-8000-00000000500e"


async def is_out(stage: Stage) -> bool:
    try:
        return bool((await stage.route(SOON)).routes)
    except grpc.aio.AioRpcError as error:
        if error.code() is not grpc.StatusCode.NOT_FOUND:
            raise
        return False


async def test_a_release_plays_at_its_moment_and_not_before_though_it_was_just_remembered_as_unknown(
    stage: Stage,
) -> None:
    await stage.add_edges(e1="a")
    moment = time.time() + 1.5
    stage.catalog.upcoming[SOON] = (moment, [OPUS])

    async def known() -> bool:
        return stage.metric("calendar_wishes") + stage.metric("preheats_total", outcome="partial") > 0 or bool(
            stage.edges["e1"].commands
        )

    await eventually(known, "the calendar was read")
    while time.time() < moment - 0.1:
        # Asked all the time, so that the last "unknown" is younger than the two seconds for which it holds.
        out = await is_out(stage)
        assert not out or time.time() >= moment
        await asyncio.sleep(0.02)
    await asyncio.sleep(max(0.0, moment - time.time()) + 0.005)
    assert await is_out(stage)
    assert stage.metric("catalog_lookups_total", result="released") == 1


async def test_a_release_that_comes_out_early_plays_without_waiting_for_the_calendar(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    stage.catalog.upcoming[SOON] = (time.time() + 3600, [OPUS])
    assert not await is_out(stage)
    stage.catalog.songs[SOON] = [OPUS]
    del stage.catalog.upcoming[SOON]
    await eventually(lambda: is_out(stage), "an early release plays", 5)


async def answer_all(edge: FakeEdge, *, ok: bool = True) -> None:
    """Answers every command until cancelled."""
    done = 0
    while True:
        for command in edge.commands[done:]:
            edge.answer(command, ok=ok, detail="here" if ok else "the disk is full")
            done += 1
        await asyncio.sleep(0.01)


async def test_the_calendar_has_a_release_preheated_before_its_moment(stage: Stage) -> None:
    edges = await stage.add_edges(e1="a", e2="a", e3="b")
    work = [asyncio.create_task(answer_all(edge)) for edge in edges]
    stage.catalog.upcoming[SOON] = (time.time() + 30, [OPUS, AAC])

    async def done() -> bool:
        return stage.metric("preheats_total", outcome="done") == 1

    await eventually(done, "the release is preheated")
    for edge in edges:
        ids = [r for command in edge.commands for r in command.prewarm.rendition_ids]
        assert sorted(ids) == sorted([OPUS.rendition_id, AAC.rendition_id])
        assert all(command.prewarm.prefix_only and command.prewarm.origin_bps_max for command in edge.commands)
    # The calendar is read ten times a second here: a release is preheated once.
    reads = len(edges[0].commands)
    await asyncio.sleep(0.5)
    assert len(edges[0].commands) == reads
    for task in work:
        task.cancel()


async def preheat(stage: Stage, *song_ids: str, **wishes: object) -> pb.PreheatResponse:
    request = pb.PreheatRequest(song_ids=song_ids or [SONG], **wishes)  # type: ignore[arg-type]
    response: pb.PreheatResponse = await stage.admin.Preheat(request, metadata=operator(), timeout=10)
    return response


async def test_an_operator_preheats_now_and_sees_who_did_not_follow(stage: Stage) -> None:
    edges = await stage.add_edges(e1="a", e2="b")
    stage.catalog.upcoming[SOON] = (time.time() + 30 * 3600, [OPUS])
    work = [asyncio.create_task(answer_all(edge, ok=edge.edge_id == "e1")) for edge in edges]
    answers = {a.edge_id: (a.ok, a.detail) for a in (await preheat(stage, SOON, whole=True)).answers}
    assert answers == {"e1": (True, "here"), "e2": (False, "the disk is full")}
    assert not edges[0].commands[0].prewarm.prefix_only
    assert list((await preheat(stage, regions=["a"])).answers) == [
        pb.SendCommandResponse.Answer(edge_id="e1", ok=True, detail="here")
    ]
    for task in work:
        task.cancel()


async def test_a_preheat_for_later_is_remembered_and_told_when_it_begins(stage: Stage) -> None:
    edges = await stage.add_edges(e1="a")
    at = int((time.time() + 7200) * 1000)
    response = await preheat(stage, release_unix_ms=at)
    assert not response.answers
    assert at - 120_000 < response.starts_unix_ms < at - 60_000
    assert stage.metric("calendar_wishes") == 1
    assert edges[0].commands == []


@pytest.mark.parametrize(
    ("wishes", "code", "named"),
    [
        ({"song_ids": [UNKNOWN_SONG]}, "NOT_FOUND", UNKNOWN_SONG),
        ({"song_ids": []}, "INVALID_ARGUMENT", "1 to 1000 songs"),
        ({"song_ids": ["x"]}, "INVALID_ARGUMENT", "song_id"),
        ({"song_ids": [SONG], "regions": ["nowhere"]}, "NOT_FOUND", "'nowhere': there are a"),
        ({"song_ids": [SONG], "release_unix_ms": 1 << 50}, "INVALID_ARGUMENT", "30 days"),
        ({"song_ids": [SONG], "release_unix_ms": -1}, "INVALID_ARGUMENT", "negative"),
    ],
)
async def test_a_preheat_that_cannot_be_is_refused_by_name(
    stage: Stage, wishes: dict[str, object], code: str, named: str
) -> None:
    await stage.add_edges(e1="a")
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stage.admin.Preheat(pb.PreheatRequest(**wishes), metadata=operator())  # type: ignore[arg-type]
    assert refused.value.code().name == code
    assert named in (refused.value.details() or "")


async def test_only_an_operator_preheats(stage: Stage) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stage.admin.Preheat(pb.PreheatRequest(song_ids=[SONG]))
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_the_calendar_survives_a_catalog_that_is_away(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    moment = time.time() + 1.0
    stage.catalog.upcoming[SOON] = (moment, [OPUS])

    async def begun() -> bool:
        return bool(stage.edges["e1"].commands)

    await eventually(begun, "the calendar was read")
    stage.catalog.down = True
    await asyncio.sleep(max(0.0, moment - time.time()) + 0.01)
    assert await is_out(stage)
