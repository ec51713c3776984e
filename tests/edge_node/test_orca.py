"""The load in the standard's terms: stock gRPC clients ask for it, and go where there is room."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1 import health_pb2, health_pb2_grpc
from prometheus_client import CollectorRegistry

from edge_node.load import orca_report
from edge_node.orca_servicer import INTERVAL_S, INTERVAL_S_MAX, INTERVAL_S_MIN, OrcaServicer, interval_s
from edge_node.utilisation import Load
from reprise import rpc
from reprise.chunks import CHUNK_BYTES
from reprise.orca.v3.orca_service_pb2 import OrcaLoadReportRequest
from reprise.orca.v3.orca_service_pb2_grpc import OpenRcaServiceStub, add_OpenRcaServiceServicer_to_server
from tests.edge_node.edges import BITRATE_BPS, ScriptedOrigin, make_audio, running_edge

FAST = OrcaLoadReportRequest(report_interval=Duration(nanos=100_000_000))
WEIGHTED = {
    "weighted_round_robin": {
        "enableOobLoadReport": True,
        "oobReportingPeriod": "0.1s",
        "blackoutPeriod": "0s",
        "weightUpdatePeriod": "0.1s",
    }
}


class Server(health_pb2_grpc.HealthServicer):
    """Answers calls and counts them; its load is as the test says."""

    def __init__(self, load: Load, watchers_max: int = 10) -> None:
        self.load = load
        self.calls = 0
        self.draining = asyncio.Event()
        self.registry = CollectorRegistry()
        self.orca = OrcaServicer(lambda: orca_report(self.load), self.draining, self.registry, watchers_max)
        self.address = ""

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Any) -> health_pb2.HealthCheckResponse:
        self.calls += 1
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)


@asynccontextmanager
async def serving(server: Server) -> AsyncIterator[Server]:
    ports = rpc.server(rpc.RpcMetrics("edge", server.registry))
    health_pb2_grpc.add_HealthServicer_to_server(server, ports)
    add_OpenRcaServiceServicer_to_server(server.orca, ports)
    server.address = f"127.0.0.1:{ports.add_insecure_port('127.0.0.1:0')}"
    await ports.start()
    try:
        yield server
    finally:
        await ports.stop(None)


@asynccontextmanager
async def watching(address: str) -> AsyncIterator[OpenRcaServiceStub]:
    async with rpc.channel(address) as channel:
        yield OpenRcaServiceStub(channel)


async def test_a_stock_client_sends_most_calls_where_there_is_room_and_follows_when_that_changes() -> None:
    async with serving(Server(busy(0.1))) as one, serving(Server(busy(0.9))) as other:
        target = f"ipv4:{one.address},{other.address}"
        options = [("grpc.service_config", json.dumps({"loadBalancingConfig": [WEIGHTED]}))]
        async with grpc.aio.insecure_channel(target, options=options) as channel:
            client = health_pb2_grpc.HealthStub(channel)
            await until_shifted(client, one, other)
            one.load, other.load = other.load, one.load
            await until_shifted(client, other, one)


def busy(share: float) -> Load:
    return Load(active_streams=int(share * 100), stream_limit=100, requests_per_s=50)


async def until_shifted(client: health_pb2_grpc.HealthStub, idle: Server, full: Server) -> None:
    """Calls until the idle one gets at least three of four."""
    async with asyncio.timeout(20):
        while True:
            before = idle.calls, full.calls
            for _ in range(40):
                await client.Check(health_pb2.HealthCheckRequest())
            if idle.calls - before[0] >= 3 * (full.calls - before[1]) > 0:
                return
            await asyncio.sleep(0.05)


async def test_watchers_are_told_the_load_as_it_changes() -> None:
    async with serving(Server(busy(0.25))) as server, watching(server.address) as stub:
        reports = stub.StreamCoreMetrics(FAST)
        first = await anext(aiter(reports))
        assert first.application_utilization == pytest.approx(0.25)
        server.load = Load(tx_bps=700, committed_bps=500, capacity_bps=1000, active_streams=4, hit_ratio=0.5)
        async for report in reports:
            if report.application_utilization != first.application_utilization:
                break
        assert report.utilization["nic_tx"] == pytest.approx(0.7)
        assert {name: report.named_metrics[name] for name in ("tx_bps", "committed_bps", "hit_ratio")} == {
            "tx_bps": 700,
            "committed_bps": 500,
            "hit_ratio": 0.5,
        }
        reports.cancel()


async def test_one_watcher_too_many_is_refused_and_counted() -> None:
    async with serving(Server(busy(0.1), watchers_max=1)) as server, watching(server.address) as stub:
        watcher = stub.StreamCoreMetrics(FAST)
        await anext(aiter(watcher))
        assert server.registry.get_sample_value("reprise_edge_orca_watchers") == 1
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await anext(aiter(stub.StreamCoreMetrics(FAST)))
        assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1 at once" in (refused.value.details() or "")
        assert server.registry.get_sample_value("reprise_edge_orca_refused_total") == 1
        watcher.cancel()
        async with asyncio.timeout(10):
            while server.registry.get_sample_value("reprise_edge_orca_watchers"):
                await asyncio.sleep(0.01)


async def test_a_drain_ends_the_reports_at_once() -> None:
    async with serving(Server(busy(0.1))) as server, watching(server.address) as stub:
        reports = stub.StreamCoreMetrics(OrcaLoadReportRequest(report_interval=Duration(seconds=60)))
        await anext(aiter(reports))
        server.draining.set()
        async with asyncio.timeout(10):
            assert [report async for report in reports] == []


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        (Duration(), INTERVAL_S),
        (Duration(seconds=-5), INTERVAL_S),
        (Duration(nanos=1), INTERVAL_S_MIN),
        (Duration(seconds=2, nanos=500_000_000), 2.5),
        (Duration(seconds=1 << 60), INTERVAL_S_MAX),
    ],
)
def test_an_interval_is_kept_within_its_bounds(asked: Duration, given: float) -> None:
    assert interval_s(OrcaLoadReportRequest(report_interval=asked)) == given


async def test_an_edge_tells_its_load_on_its_grpc_port(origin: ScriptedOrigin, tmp_path: Path) -> None:
    audio = origin.add(make_audio(CHUNK_BYTES))
    async with running_edge(tmp_path, "edge-1", origin.address) as edge:
        await edge.play(audio)
        async with asyncio.timeout(10):
            async for report in OpenRcaServiceStub(edge.channel).StreamCoreMetrics(FAST):
                if report.named_metrics["committed_bps"] == BITRATE_BPS and report.rps_fractional > 0:
                    break
        assert report.named_metrics["active_streams"] == 1
