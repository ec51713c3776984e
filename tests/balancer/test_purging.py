"""Purges reach edges that were away when they were ordered, whichever balancer they return to, with Valkey and without."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from structlog.testing import capture_logs

from balancer import purge_stream, purging, valkey
from balancer.purge_stream import KEY, decode, encode
from balancer.purges import PurgeOrder
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.engines.ports import free_ports
from reprise.engines.valkey import Valkey
from tests.balancer.fakes import FakeEdge
from tests.balancer.stage import Stage, eventually, staged
from tests.balancer.values import OPUS, OTHER_SONG, SONG
from tests.support.engine import running
from tests.support.wait import wait_until

ORDER = PurgeOrder("p1", 1_000_000.5, ("a" * 64, "b" * 64), ("e1",))


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edges are not given time to answer whoever ordered, and rounds with Valkey follow one another fast."""
    monkeypatch.setattr(purging, "SETTLE_S", 0.0)
    monkeypatch.setattr(purging, "LOOK_S", 0.02)
    monkeypatch.setattr(valkey, "ROUND_S", 0.05)


@pytest.fixture
async def empty_valkey(valkey_url: str) -> str:
    async with Redis.from_url(valkey_url) as client:
        await client.flushall()
    return valkey_url


@asynccontextmanager
async def two_balancers(folder: Path, url: str) -> AsyncIterator[tuple[Stage, Stage]]:
    async with staged(folder, valkey_url=url) as first, staged(folder, valkey_url=url) as second:
        yield first, second


async def purge(stage: Stage, song_id: str = OTHER_SONG) -> None:
    assert await stage.command(purge=pb.PurgeSongs(song_ids=[song_id])) == [], "no edge is connected"


async def answered(edge: FakeEdge, *, ok: bool = True) -> list[str]:
    """The renditions of the edge's next purge, which it answers."""
    count = len(edge.commands)
    command = (await wait_until(lambda: edge.commands[max(count - 1, 0) :], "a purge"))[-1]
    edge.answer(command, ok=ok)
    return list(command.purge.rendition_ids)


async def owed_is(stage: Stage, count: int) -> None:
    await wait_until(lambda: stage.metric("purges_owed_total", result="done") == count, f"{count} purges done")


async def knows_purges(stage: Stage, count: int) -> None:
    await wait_until(lambda: stage.metric("purges_kept") == count, f"{count} purges known")


async def test_an_edge_that_was_away_is_purged_when_it_is_back_and_once(stage: Stage) -> None:
    (edge,) = await stage.add_edges(e1="a")
    await edge.kill()
    await stage.wait_state("e1", pb.EDGE_STATE_DEAD)
    await purge(stage)
    await edge.start()
    assert await answered(edge) == [OPUS.rendition_id]
    await owed_is(stage, 1)
    await edge.kill()
    await edge.start()
    await is_asked_nothing_more(edge, stage)


async def is_asked_nothing_more(edge: FakeEdge, stage: Stage) -> None:
    """A marker after which nothing older can still be on its way: the edge's next command is the one just ordered."""
    await stage.wait_state(edge.edge_id, pb.EDGE_STATE_READY)
    asking = asyncio.create_task(stage.command([edge.edge_id], drain=pb.Drain(deadline_s=7)))
    (command,) = await wait_until(lambda: edge.commands, "the marker")
    assert command.drain.deadline_s == 7
    edge.answer(command)
    await asking


async def test_an_edge_that_failed_is_asked_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purging, "AGAIN_S", 0.05)
    await purge(stage)
    (edge,) = await stage.add_edges(e1="a")
    await answered(edge, ok=False)
    await wait_until(lambda: len(edge.commands) > 1, "the second purge")
    edge.answer(edge.commands[-1])
    await owed_is(stage, 1)
    assert stage.metric("purges_owed_total", result="failed") >= 1


async def test_an_edge_that_failed_is_left_alone_for_a_while(stage: Stage) -> None:
    await purge(stage)
    (edge,) = await stage.add_edges(e1="a")
    await answered(edge, ok=False)
    await wait_until(lambda: stage.metric("purges_owed_total", result="failed"), "the failure")
    edge.commands.clear()
    # By the time another edge is asked, this one would have been.
    (other,) = await stage.add_edges(e2="a")
    await answered(other)
    await is_asked_nothing_more(edge, stage)


async def test_an_edge_that_did_it_when_it_was_ordered_owes_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purging, "SETTLE_S", 60.0)
    (edge,) = await stage.add_edges(e1="a")
    ordering = asyncio.create_task(stage.command(purge=pb.PurgeSongs(song_ids=[OTHER_SONG])))
    await answered(edge)
    assert [answer.ok for answer in await ordering] == [True]
    monkeypatch.setattr(purging, "SETTLE_S", 0.0)
    await edge.kill()
    await edge.start()
    await is_asked_nothing_more(edge, stage)


async def test_an_edge_that_returns_to_another_balancer_is_purged_there(tmp_path: Path, empty_valkey: str) -> None:
    async with two_balancers(tmp_path, empty_valkey) as (first, second):
        await purge(first)
        await purge(first, SONG)
        await knows_purges(second, 2)
        (edge,) = await second.add_edges(e1="a")
        assert OPUS.rendition_id in await answered(edge)
        await owed_is(second, 2)
        assert second.metric("events_total", kind="command") == 2

        # The first balancer hears of it, and asks this edge for nothing: what came after it in the stream has been read.
        async with Redis.from_url(empty_valkey, decode_responses=True) as client:

            async def told() -> bool:
                return str(await client.xrange(KEY)).count('"e1"') == 2

            await eventually(told, "the confirmations are in the stream")
            await client.xadd(KEY, {purge_stream.FIELD: encode(PurgeOrder("p", time.time(), ("a" * 64,), ("nobody",)))})
        await knows_purges(first, 3)
        elsewhere = await FakeEdge(first.address, "e1").start()
        first.edges["e1"] = elsewhere
        await is_asked_nothing_more(elsewhere, first)


async def test_every_balancer_asks_anew_for_a_song_that_was_purged_at_one(tmp_path: Path, empty_valkey: str) -> None:
    async with two_balancers(tmp_path, empty_valkey) as (first, second):
        await second.add_edges(e1="a")
        assert (await second.route(OTHER_SONG)).routes
        del second.catalog.songs[OTHER_SONG]
        await purge(first)
        await knows_purges(second, 1)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await second.route(OTHER_SONG)
        assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_purges_outlive_the_balancer_that_was_asked(tmp_path: Path, empty_valkey: str) -> None:
    async with staged(tmp_path, valkey_url=empty_valkey) as first:
        await purge(first)
        await wait_until(lambda: first.metric("directory_up"), "Valkey was told")
        async with Redis.from_url(empty_valkey) as client:

            async def told() -> bool:
                return bool(await client.exists(KEY))

            await eventually(told, "the order is in the stream")
            assert 0 < await client.ttl(KEY) <= 24 * 3600
    async with staged(tmp_path, valkey_url=empty_valkey) as second:
        (edge,) = await second.add_edges(e1="a")
        assert await answered(edge) == [OPUS.rendition_id]


async def test_when_valkey_dies_routes_reports_and_purges_go_on(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    server = Valkey(
        directory=tmp_path / "valkey", port=port, password=secrets.token_hex(8), log_path=tmp_path / "valkey.log"
    )
    (tmp_path / "b").mkdir()
    with running(server):
        balancer = staged(tmp_path / "b", valkey_url=server.url)
        stage = await balancer.__aenter__()
        await wait_until(lambda: stage.metric("directory_up"), "Valkey is used")
    try:
        await wait_until(lambda: not stage.metric("directory_up"), "Valkey is gone")
        await purge(stage)
        (edge,) = await stage.add_edges(e1="a")
        assert await answered(edge) == [OPUS.rendition_id]
        await owed_is(stage, 1)
        assert await stage.routed_edges() == ["e1"]
    finally:
        await balancer.__aexit__(None, None, None)


async def test_what_others_wrote_by_mistake_is_skipped_and_said_in_one_line(tmp_path: Path, empty_valkey: str) -> None:
    async with Redis.from_url(empty_valkey) as client:
        for text in ("{", "[1]", '["p", "x", [], []]', '["p", 1, ["short"], []]'):
            await client.xadd(KEY, {purge_stream.FIELD: text})
        await client.xadd(KEY, {"other": "field"})
    with capture_logs() as lines:
        async with staged(tmp_path, valkey_url=empty_valkey) as stage:
            await wait_until(lambda: stage.metric("directory_up"), "Valkey was read")
            assert stage.metric("purges_kept") == 0
            async with Redis.from_url(empty_valkey) as client:
                await client.xadd(KEY, {purge_stream.FIELD: encode(replace(ORDER, unix_s=time.time()))})
            await knows_purges(stage, 1)
    assert [line["count"] for line in lines if line["event"] == "purge_entries_skipped"] == [5]


def test_decoding_is_the_reverse_of_encoding() -> None:
    assert decode(encode(ORDER)) == ORDER
    assert decode(encode(("p1", ("e1", "e2")))) == ("p1", ("e1", "e2"))


@given(st.text() | st.from_regex(r"\[.*\]") | st.sampled_from(["null", "{}", "[[], []]", '["p", NaN, [], []]']))
def test_decoding_takes_nothing_else(text: str) -> None:
    assert decode(text) is None
