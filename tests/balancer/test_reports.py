"""Report streams: joining, views, death, return."""

import time

import grpc
import pytest

from balancer import reports
from reprise import grants, rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.grants import derive_key
from tests.balancer.fakes import FakeEdge, black_hole, service_token
from tests.balancer.stage import Stage, eventually
from tests.balancer.values import MESH_KEY
from tests.support.wait import wait_until


async def test_every_edge_is_told_of_all_others_with_a_grant_for_each(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    (two,) = await stage.add_edges(e2="b")
    await wait_until(lambda: one.peers().keys() == {"e1", "e2"}, "e1 hears of e2")
    assert one.views[-1].epoch > one.views[0].epoch
    peer = one.peers()["e2"]
    assert (peer.region, peer.grpc_address, peer.draining) == ("b", two.grpc_address, False)
    key = derive_key(MESH_KEY, "e2")
    claims = grants.verify(peer.relay_grant, lambda _kid: key, time.time(), audience="e2", scope="relay")
    assert claims.subject == "e1"
    assert claims.expires_unix_s > time.time() + 1800
    assert one.peers()["e1"].relay_grant == ""


async def test_a_killed_edge_is_out_of_routes_and_views_and_returns_with_its_next_boot(stage: Stage) -> None:
    one, two = await stage.add_edges(e1="a", e2="a")
    await one.kill()
    await stage.wait_state("e1", pb.EDGE_STATE_DEAD)
    assert await stage.routed_edges() == ["e2"]
    await wait_until(lambda: two.peers().keys() == {"e2"}, "e2 hears of the death")
    await one.start()
    await stage.wait_state("e1", pb.EDGE_STATE_READY)
    assert set(await stage.routed_edges()) == {"e1", "e2"}
    await wait_until(lambda: two.peers().keys() == {"e1", "e2"}, "e2 hears of the return")


async def test_a_broken_stream_stops_new_work_at_once_though_the_edge_still_answers_probes(stage: Stage) -> None:
    one, _ = await stage.add_edges(e1="a", e2="a")
    for task in one._tasks:
        task.cancel()
    await stage.wait_state("e1", pb.EDGE_STATE_SUSPECT)
    assert await stage.routed_edges() == ["e2"]
    await wait_until(lambda: stage.metric("probes_total", result="answered"), "a probe")
    assert (await stage.mesh())["e1"].state == pb.EDGE_STATE_SUSPECT


async def test_an_edge_that_hangs_is_dead_within_seconds_and_returns_when_it_wakes(stage: Stage) -> None:
    await stage.add_edges(e2="a")
    async with black_hole() as address:
        hanging = await FakeEdge(stage.address, "e1", "a").start(grpc_address=address)
        stage.edges["e1"] = hanging
        await stage.wait_state("e1", pb.EDGE_STATE_READY)
        hanging.fall_silent()
        await stage.wait_state("e1", pb.EDGE_STATE_DEAD)
        assert await stage.routed_edges() == ["e2"]
        hanging.report()
        await stage.wait_state("e1", pb.EDGE_STATE_READY)


async def test_the_last_doubtful_edge_is_better_than_none(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    for task in one._tasks:
        task.cancel()
    await stage.wait_state("e1", pb.EDGE_STATE_SUSPECT)
    (candidate,) = (await stage.route()).routes[0].candidates
    assert (candidate.edge_id, candidate.reason) == ("e1", "panic")


async def test_a_draining_edge_gets_no_work_and_peers_know(stage: Stage) -> None:
    one, two = await stage.add_edges(e1="a", e2="a")
    one.fall_silent()
    one.report(draining=True)
    await stage.wait_state("e1", pb.EDGE_STATE_DRAINING)
    assert await stage.routed_edges() == ["e2"]
    await wait_until(lambda: two.peers()["e1"].draining, "e2 hears of the drain")


async def test_a_new_boot_ends_the_old_stream_and_clears_what_was_pending(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    await stage.route()
    twin = FakeEdge(stage.address, "e1", "a")
    twin._boots = 7
    stage.edges["twin"] = await twin.start()
    await wait_until(lambda: one.error, "the end of the old stream")
    assert one.error is not None
    assert one.error.code() == grpc.StatusCode.ABORTED
    assert "boot-8" in (one.error.details() or "")
    await stage.wait_state("e1", pb.EDGE_STATE_READY)
    status = (await stage.mesh())["e1"]
    assert (status.hello.boot_id, status.pending_grants) == ("boot-8", 0)


async def refused(stage: Stage, token: str, *messages: pb.ReportLoadRequest) -> grpc.aio.AioRpcError:
    call = stage.balancer.ReportLoad(iter(messages), metadata=rpc.bearer_metadata(token), timeout=20)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        async for _ in call:
            pass
    return error.value


async def test_streams_without_the_edges_own_token_are_refused(stage: Stage) -> None:
    hello = pb.ReportLoadRequest(hello=FakeEdge(stage.address, "e1").hello(grpc_address="127.0.0.1:1"))
    expired = service_token("e1", "balancer", "report", ttl_s=-100)
    forged = service_token("e1", "balancer", "report", signer="e2")
    for token in ("", "nonsense", expired, forged, service_token("e1", "origin", "origin")):
        assert (await refused(stage, token, hello)).code() == grpc.StatusCode.UNAUTHENTICATED
    other_scope = service_token("e1", "balancer", "origin")
    for token in (other_scope, service_token("e2", "balancer", "report")):
        assert (await refused(stage, token, hello)).code() == grpc.StatusCode.PERMISSION_DENIED
    assert await stage.mesh() == {}


async def test_a_conversation_out_of_order_ends_with_a_reason(stage: Stage) -> None:
    token = service_token("e1", "balancer", "report")
    hello = pb.ReportLoadRequest(hello=FakeEdge(stage.address, "e1").hello(grpc_address="127.0.0.1:1"))
    report = pb.ReportLoadRequest(report=pb.LoadReport(sequence=1))
    nameless = pb.ReportLoadRequest(hello=pb.Hello(edge_id="e1"))
    for messages, reason in [
        ((report,), "must be a hello"),
        ((), "must be a hello"),
        ((hello, hello), "has one hello"),
        ((hello, pb.ReportLoadRequest()), "this one is empty"),
        ((nameless,), "region must be"),
    ]:
        error = await refused(stage, token, *messages)
        assert (error.code(), reason in (error.details() or "")) == (grpc.StatusCode.INVALID_ARGUMENT, True)


async def test_a_stopping_balancer_ends_its_streams_and_keeps_its_last_view(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    assert stage.app.drain is not None
    await stage.app.drain()
    await wait_until(lambda: one.error, "the end of the stream")
    assert one.error is not None
    assert (one.error.code(), one.error.details()) == (grpc.StatusCode.UNAVAILABLE, "this balancer is stopping")
    (candidate,) = (await stage.route()).routes[0].candidates
    assert (candidate.edge_id, candidate.reason) == ("e1", "replica")


async def test_the_last_report_is_there_for_operators(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    one.fall_silent()
    heat = pb.SongHeat(rendition_id="ab" * 32, live_bps=96_000, waiting_followers=3)
    counters = pb.EdgeCounters(requests=9, ram_hits=5, disk_hits=2, fills=1, sent_bytes=77, ram_bytes=8, disk_bytes=6)
    sent = pb.LoadReport(sequence=50, active_streams=10, nic_tx_bps=5, committed_bps=6, loop_lag_ms=1, heat=[heat])
    sent.counters.CopyFrom(counters)
    one.put(report=sent)

    async def is_kept() -> bool:
        return (await stage.mesh())["e1"].last_report == sent

    await eventually(is_kept, "the report is shown as it was sent")
    status = (await stage.mesh())["e1"]
    assert status.hello == one.hello()
    assert status.utilisation == pytest.approx(0.1)


async def test_a_stream_that_says_nothing_is_ended(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "HELLO_S_MAX", 0.05)
    call = stage.balancer.ReportLoad(
        metadata=rpc.bearer_metadata(service_token("e1", "balancer", "report")), timeout=20
    )
    with pytest.raises(grpc.aio.AioRpcError, match=r"no hello within 0\.05 s") as error:
        await call.read()
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT
