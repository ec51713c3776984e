"""What operators watch: the mesh at once and again, what happened in between, and what each region needs."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from balancer import operator_wire, watching
from balancer.edges import EdgeCounters, SongHeat
from balancer.ledger import Pending
from balancer.membership import EDGES_MAX, State
from balancer.mesh import EdgeView
from balancer.watching import Snapshot
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from tests.balancer.fakes import service_token
from tests.balancer.stage import Stage, operator
from tests.balancer.values import OPUS, OTHER_SONG, identity, load
from tests.support.wait import wait_until

LONG_MS = 60_000


class Watch:
    """One WatchMesh stream, read one message at a time."""

    def __init__(self, call: Any) -> None:
        self.call = call
        self.events: list[pb.MeshEvent] = []

    async def next(self) -> pb.WatchMeshResponse:
        async with asyncio.timeout(10):
            message = await self.call.read()
        assert isinstance(message, pb.WatchMeshResponse), "the watch has ended"
        self.events += message.events
        return message

    async def until(self, kind: str, edge_id: str = "") -> pb.MeshEvent:
        """The first event of this kind, read on from here if it has not come."""
        while True:
            for event in self.events:
                if (event.kind, event.edge_id) == (kind, edge_id):
                    return event
            await self.next()


@asynccontextmanager
async def watched(stage: Stage, interval_ms: int = LONG_MS) -> AsyncIterator[Watch]:
    call = stage.admin.WatchMesh(pb.WatchMeshRequest(interval_ms=interval_ms), metadata=operator())
    try:
        yield Watch(call)
    finally:
        call.cancel()


async def test_the_first_look_comes_at_once_and_is_what_get_mesh_tells(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="b")
    async with watched(stage) as watch:
        look = await watch.next()
        assert {edge.hello.edge_id for edge in look.mesh.edges} == {"e1", "e2"}
        assert [(region.region, region.edges_ready) for region in look.mesh.regions] == [("a", 1), ("b", 1)]
        assert stage.metric("watchers") == 1
    await wait_until(lambda: stage.metric("watchers") == 0, "the watch has ended")


async def test_a_look_comes_at_every_interval(stage: Stage) -> None:
    async with watched(stage, interval_ms=100) as watch:
        for _ in range(3):
            await watch.next()


async def test_a_change_of_who_is_alive_is_told_at_once_with_what_happened(stage: Stage) -> None:
    async with watched(stage) as watch:
        await watch.next()
        (edge,) = await stage.add_edges(e1="a")
        assert (await watch.until("edge_joined", "e1")).detail == "in region a, boot boot-1"
        edge.fall_silent()
        edge.report(draining=True)
        assert (await watch.until("edge_draining", "e1")).unix_ms > 0
        await edge.kill()
        await watch.until("edge_dead", "e1")
    kinds = [event.kind for event in watch.events]
    assert (kinds[:2], kinds.count("edge_joined")) == (["edge_joined", "edge_ready"], 1), "each is told once, in order"


async def test_a_command_is_an_event_in_words(stage: Stage) -> None:
    async with watched(stage, interval_ms=100) as watch:
        await watch.next()
        await stage.command(purge=pb.PurgeSongs(song_ids=[OTHER_SONG]))
        assert (await watch.until("command")).detail == "purge 1 renditions on every edge"


async def test_events_before_a_watch_are_not_told_to_it(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    async with watched(stage) as first:
        await first.next()
    async with watched(stage) as second:
        assert list((await second.next()).events) == []


async def test_a_watch_ends_without_an_error_when_the_balancer_stops(stage: Stage) -> None:
    async with watched(stage) as watch:
        await watch.next()
        assert stage.app.drain is not None
        await stage.app.drain()
        while await watch.call.read() is not grpc.aio.EOF:
            pass
        assert await watch.call.code() == grpc.StatusCode.OK
    async with watched(stage) as late:
        with pytest.raises(grpc.aio.AioRpcError, match="this balancer is stopping"):
            await late.next()


async def test_watchers_have_a_bound(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "WATCHERS_MAX", 1)
    async with watched(stage) as first:
        await first.next()
        with pytest.raises(grpc.aio.AioRpcError, match="1 watch this balancer already") as refused:
            async with watched(stage) as second:
                await second.next()
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert stage.metric("watches_refused_total") == 1
    await wait_until(lambda: stage.metric("watchers") == 0, "the first has left")
    async with watched(stage) as third:
        await third.next()


@pytest.mark.parametrize("interval_ms", [99, 60_001])
async def test_an_interval_out_of_range_is_named(stage: Stage, interval_ms: int) -> None:
    async with watched(stage, interval_ms) as watch:
        with pytest.raises(grpc.aio.AioRpcError, match=f"100 to 60000, not {interval_ms}") as refused:
            await watch.next()
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


async def test_only_operators_watch(stage: Stage) -> None:
    call = stage.admin.WatchMesh(
        pb.WatchMeshRequest(), metadata=rpc.bearer_metadata(service_token("e1", "balancer", "report"))
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call.read()
    assert refused.value.code() == grpc.StatusCode.UNAUTHENTICATED


async def test_a_region_says_how_many_edges_it_needs_and_why(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "SCALING_S", 0.0)
    monkeypatch.setattr(watching, "LOOK_S", 0.02)
    (edge,) = await stage.add_edges(e1="a")
    edge.fall_silent()
    edge.report(active_streams=50, committed_bps=700_000_000)
    await wait_until(lambda: stage.metric("edges_desired", region="a") == 2, "the signal")
    async with watched(stage) as watch:
        (region,) = (await watch.next()).mesh.regions
    assert (region.edges_desired, region.edges_desired_reason, region.active_streams) == (2, "bandwidth", 50)
    assert region.utilisation_mean == region.utilisation_p90 == region.utilisation_max >= 0.7


async def test_operators_are_told_of_the_hottest_songs_of_an_edge_only(stage: Stage) -> None:
    (edge,) = await stage.add_edges(e1="a")
    edge.fall_silent()
    edge.report(heat=[pb.SongHeat(rendition_id=f"{n:064x}", live_bps=1000 - n) for n in range(64)])

    async def rows() -> list[int]:
        return [row.live_bps for row in (await stage.mesh())["e1"].last_report.heat]

    async with asyncio.timeout(10):
        while not (told := await rows()):
            await asyncio.sleep(0.02)
    assert told == [1000, 999, 998]


def test_the_view_of_the_largest_mesh_fits_into_one_message() -> None:
    heat = tuple(SongHeat(f"{n:064x}", 10**9, 10**4) for n in range(64))
    busy = load(
        active_streams=10**4, nic_tx_bps=10**10, committed_bps=10**10, heat=heat, counters=EdgeCounters(*[10**12] * 7)
    )
    edges = [
        EdgeView(
            identity(f"edge-{number}-of-the-largest-mesh", boot_id="b" * 32, zone="zone-1"),
            State.READY,
            draining=False,
            load=busy,
            report_age_s=0.5,
            utilisation=0.5,
            pending=Pending(10**9, 100),
            ramp=0.5,
        )
        for number in range(EDGES_MAX)
    ]
    message = pb.WatchMeshResponse(mesh=operator_wire.mesh(Snapshot(0, edges, 1, [])))
    assert len(message.mesh.edges) == EDGES_MAX
    assert message.ByteSize() < rpc.RESPONSE_BYTES_MAX


async def test_a_song_that_gets_more_edges_is_an_event(stage: Stage) -> None:
    one, _ = await stage.add_edges(e1="a", e2="a")
    async with watched(stage, interval_ms=100) as watch:
        await watch.next()
        one.fall_silent()
        one.report(heat=[pb.SongHeat(rendition_id=OPUS.rendition_id, live_bps=900_000_000)])
        assert (await watch.until("replicas_grew")).detail == "songs: 1; with more than one edge in a region now: 1"


async def test_an_edge_that_fails_its_listeners_is_seen_to_be_ejected(stage: Stage) -> None:
    one, two, three = await stage.add_edges(e1="a", e2="a", e3="a")
    async with watched(stage, interval_ms=100) as watch:
        await watch.next()
        for edge, figures in (
            (one, {"failed_plays": 100}),
            (two, {"started_plays": 100}),
            (three, {"started_plays": 100}),
        ):
            edge.fall_silent()
            edge.report(**figures)
        await watch.until("edge_ejected", "e1")
    status = (await stage.mesh())["e1"]
    assert status.ejected_until_unix_ms > status.report_age_ms
