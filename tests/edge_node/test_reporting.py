"""What a balancer hears of an edge, and when."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest

from edge_node import reporting
from reprise.balancer.v1.balancer_service_pb2 import LoadReport
from reprise.chunks import CHUNK_BYTES
from tests.edge_node.edges import BITRATE_BPS, Edge, ScriptedOrigin, get, make_audio, running_edge
from tests.edge_node.scripted_balancer import ScriptedBalancer, scripted_balancer

AUDIO = make_audio(3 * CHUNK_BYTES)
BEFORE_ANY_TURN_S = 10.0


@asynccontextmanager
async def reporting_edge(folder: Path, *origins: str, **settings: Any) -> AsyncIterator[tuple[Edge, ScriptedBalancer]]:
    async with (
        scripted_balancer() as balancer,
        running_edge(folder, "edge-1", *origins, balancers=(balancer.address,), **settings) as edge,
    ):
        yield edge, balancer


async def heard(balancer: ScriptedBalancer, wanted: Callable[[LoadReport], bool]) -> LoadReport:
    """The first report that is as wanted."""
    async with asyncio.timeout(BEFORE_ANY_TURN_S):
        while True:
            for report in balancer.reports:
                if wanted(report):
                    return report
            await asyncio.sleep(0.01)


@pytest.fixture
def no_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the first, a report comes only because it is urgent."""
    monkeypatch.setattr(reporting, "REPORT_S", 100 * BEFORE_ANY_TURN_S)


async def test_a_listener_who_reads_ranges_from_ram_is_one_listener(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.add(AUDIO)
    async with reporting_edge(tmp_path, origin.address) as (edge, balancer):
        url = edge.media_url(AUDIO)
        for start in (0, 1000, 2000, CHUNK_BYTES):
            assert (await get(url, range=f"bytes={start}-{start + 999}")).status_code == 206
        assert edge.node.streams == 0
        report = await balancer.report()
        assert (report.active_streams, report.committed_bps) == (1, BITRATE_BPS)
        assert [(heat.rendition_id, heat.live_bps) for heat in report.heat] == [(AUDIO.rendition_id, BITRATE_BPS)]


async def test_a_listener_by_several_doors_at_once_is_one_listener_too(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.add(AUDIO)
    async with reporting_edge(tmp_path, origin.address) as (edge, balancer):
        url = edge.media_url(AUDIO)
        async with httpx.AsyncClient(trust_env=False) as client:
            await asyncio.gather(*(client.get(url) for _ in range(4)))
        report = await balancer.report()
        assert (report.active_streams, report.committed_bps) == (1, BITRATE_BPS)
        await edge.play(AUDIO)  # With a grant of its own.
        assert (await balancer.report()).committed_bps == 2 * BITRATE_BPS


@pytest.mark.usefixtures("no_turns")
async def test_a_crowd_that_waits_for_a_cold_song_is_told_before_its_turn(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    origin.add(AUDIO)
    origin.hold_before = 0
    async with reporting_edge(tmp_path, origin.address) as (edge, balancer):
        await heard(balancer, lambda report: report.sequence == 1)
        listening = [asyncio.create_task(edge.play(AUDIO)) for _ in range(5)]
        report = await heard(balancer, lambda report: bool(report.heat) and report.heat[0].waiting_followers == 5)
        assert report.heat[0].live_bps == 5 * BITRATE_BPS
        origin.go.set()
        assert await asyncio.gather(*listening) == [AUDIO.data] * 5


@pytest.mark.usefixtures("no_turns")
async def test_a_load_that_moved_is_told_before_its_turn(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.add(AUDIO)
    origin.hold_before = 0
    async with reporting_edge(tmp_path, origin.address, stream_limit=10) as (edge, balancer):
        await heard(balancer, lambda report: report.sequence == 1)
        listening = asyncio.create_task(edge.play(AUDIO))
        report = await heard(balancer, lambda report: report.active_streams == 1)
        assert report.orca.utilization["streams"] == pytest.approx(0.1)
        assert report.orca.application_utilization >= 0.1
        origin.go.set()
        await listening


async def test_plays_that_failed_for_a_reason_of_the_edge_are_told_and_others_are_not(tmp_path: Path) -> None:
    async with reporting_edge(tmp_path) as (edge, balancer):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await edge.play(AUDIO)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE, "it has no source"
        assert (await heard(balancer, lambda report: report.failed_plays > 0)).failed_plays == 1
        assert (await balancer.report()).failed_plays == 0, "it was told already"


async def test_a_song_that_does_not_exist_is_no_failure_of_the_edge(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with reporting_edge(tmp_path, origin.address) as (edge, balancer):
        with pytest.raises(grpc.aio.AioRpcError) as failed:
            await edge.play(AUDIO)
        assert failed.value.code() is grpc.StatusCode.NOT_FOUND
        await balancer.report()
        assert [report.failed_plays for report in balancer.reports] == [0] * len(balancer.reports)


async def test_a_report_tells_of_plays_first_bytes_caches_and_the_cpu(origin: ScriptedOrigin, tmp_path: Path) -> None:
    origin.add(AUDIO)
    origin.hold_before = 0
    async with reporting_edge(tmp_path, origin.address, zone="rack-7", nic_capacity_bps=5_000_000) as (edge, balancer):
        listening = [asyncio.create_task(edge.play(AUDIO)) for _ in range(3)]
        await heard(balancer, lambda report: report.active_streams == 3)
        await asyncio.sleep(0.02)  # What they wait at least.
        origin.go.set()
        await asyncio.gather(*listening)
        report = await heard(balancer, lambda report: report.first_byte_p50_ms > 0)
        assert report.first_byte_p50_ms >= 10
        assert balancer.reports[0].cpu_permille == 0, "its own start is no load"
        assert report.counters.ram_bytes >= len(AUDIO.data)
        assert sum(report.started_plays for report in balancer.reports) == 3
        assert (await heard(balancer, lambda report: report.cpu_permille > 0)).orca.cpu_utilization > 0
        assert (await heard(balancer, lambda report: report.nic_tx_bps > 0)).orca.utilization["nic_tx"] > 0
        assert (balancer.hello.zone, balancer.hello.nic_capacity_bps) == ("rack-7", 5_000_000)
