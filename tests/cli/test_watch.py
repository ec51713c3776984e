"""`reprise status --watch`: it shows what a balancer tells, and outlives balancers."""

import asyncio
import io
import json
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import pytest
from rich.console import Console

from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.cli import keys, lock, watch
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh, Place
from reprise.cli.mesh_view import EventLine, MeshView, view_of
from reprise.cli.watch import Silence, follow
from reprise.cli.watch_screen import screen
from reprise.engines.ports import free_ports
from reprise.errors import Unauthenticated
from reprise.grants import derive_key
from tests.balancer.fakes import black_hole, service_token
from tests.balancer.stage import Stage, staged
from tests.balancer.values import MESH_KEY


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with staged(tmp_path) as running:
        yield running


def mesh(*addresses: str) -> Mesh:
    balancers = tuple(Place(f"balancer-{n}", address, "", 0) for n, address in enumerate(addresses, 1))
    return Mesh(Place("catalog", "", "", 0), balancers, (), (), "", Place("indexer", "", "", 0))


@asynccontextmanager
async def following(*addresses: str, token: str = "") -> AsyncIterator[AsyncGenerator[MeshView | Silence]]:
    token = token or service_token("operator", "mesh", "operator")
    async with aclosing(follow(mesh(*addresses), lambda: token, 0.1)) as told, asyncio.timeout(20):
        yield told


async def next_view(told: AsyncGenerator[MeshView | Silence]) -> MeshView:
    async for word in told:
        if isinstance(word, MeshView):
            return word
    raise AssertionError("a watch does not end")


async def test_it_tells_of_edges_regions_and_events(stage: Stage) -> None:
    async with following(stage.address) as told:
        assert (await next_view(told)).edges == ()
        await stage.add_edges(e2="b", e1="a")
        kinds: set[str] = set()
        view = await next_view(told)
        while len(view.edges) < 2 or not {"edge_joined", "edge_ready"} <= kinds:
            kinds |= {event.kind for event in view.events}
            view = await next_view(told)
    assert [(edge.region, edge.id) for edge in view.edges] == [("a", "e1"), ("b", "e2")]
    assert [(region.region, region.edges_desired) for region in view.regions] == [("a", 1), ("b", 1)]
    assert json.loads(json.dumps(view.as_json()))["balancer"] == "balancer-1"


async def test_a_balancer_that_is_gone_is_named_and_the_next_one_followed(stage: Stage) -> None:
    (port,) = free_ports(1)
    async with following(f"127.0.0.1:{port}", stage.address) as told:
        first = await anext(told)
        assert isinstance(first, Silence)
        assert f"balancer-1 127.0.0.1:{port}" in first.reason
        assert (await next_view(told)).balancer == "balancer-2"


async def test_a_balancer_that_hangs_is_left_for_the_next(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "SILENCE_S", 0.5)
    async with black_hole() as address, following(address, stage.address) as told:
        first = await anext(told)
        assert first == Silence(f"balancer-1 {address} does not answer")
        assert (await next_view(told)).balancer == "balancer-2"


async def test_a_balancer_that_stops_is_named_and_asked_again_later(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "RETRY_S", 0.05)
    async with following(stage.address) as told:
        await next_view(told)
        assert stage.app.drain is not None
        await stage.app.drain()
        said = [word async for word in _until_two_silences(told)]
    assert said[0] == Silence("balancer-1 is stopping")
    assert "this balancer is stopping" in said[1].reason


async def _until_two_silences(told: AsyncGenerator[MeshView | Silence]) -> AsyncGenerator[Silence]:
    count = 0
    async for word in told:
        if isinstance(word, Silence):
            count += 1
            yield word
        if count == 2:
            return


async def test_a_refused_token_ends_the_watch(stage: Stage) -> None:
    async with following(stage.address, token=service_token("e1", "mesh", "operator")) as told:
        with pytest.raises(Unauthenticated):
            await anext(told)


def drawn(view: MeshView | None, *events: EventLine, trouble: str = "", edges_max: int = 100) -> str:
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(screen(view, events, trouble, edges_max))
    return console.export_text()


def test_the_screen_shows_what_an_operator_looks_for() -> None:
    edge = pb.EdgeStatus(
        hello=pb.Hello(edge_id="edge-1", region="north", nic_capacity_bps=10_000_000),
        state=pb.EDGE_STATE_READY,
        last_report=pb.LoadReport(
            active_streams=7,
            nic_tx_bps=4_200_000,
            cpu_permille=310,
            heat=[
                pb.SongHeat(rendition_id="c" * 64, live_bps=1),
                pb.SongHeat(rendition_id="abcdef" * 10, live_bps=900_000),
            ],
            counters=pb.EdgeCounters(requests=10, ram_hits=8, disk_hits=1, fills=3),
        ),
        utilisation=0.42,
        pending_grants=2,
        ramp=0.25,
        ejected_until_unix_ms=1,
        report_age_ms=900,
    )
    region = pb.RegionStatus(
        region="north",
        edges_ready=1,
        edges_desired=2,
        edges_desired_reason="imbalance",
        utilisation_p90=0.86,
        panic=True,
    )
    view = view_of("balancer-2", pb.GetMeshResponse(edges=[edge], regions=[region], epoch=5))
    text = drawn(view, EventLine(0, "edge_ejected", "edge-1", "listeners' plays fail there"))
    for shown in (
        "as balancer-2 sees it",
        "north PANIC",
        "2 (imbalance)",
        "86%",
        "ready ejected at 25%",
        "7+2",
        "4.2/10",
        "42%",
        "31%",
        "80%",
        "10%",
        "abcdefabcd 0.9 Mb/s",
        "0.9 s",
        "edge_ejected    edge-1 listeners' plays fail there",
    ):
        assert shown in text, shown


def test_of_more_edges_than_fit_the_sick_and_the_busiest_are_shown() -> None:
    edges = [
        pb.EdgeStatus(hello=pb.Hello(edge_id=f"edge-{n}"), state=pb.EDGE_STATE_READY, utilisation=n / 10)
        for n in range(9)
    ]
    edges[0].state = pb.EDGE_STATE_DEAD
    text = drawn(view_of("balancer", pb.GetMeshResponse(edges=edges)), edges_max=3)
    assert [n for n in range(9) if f"edge-{n}" in text] == [0, 7, 8]
    assert "3 of 9 edges" in text


def test_without_a_view_the_screen_says_why() -> None:
    assert drawn(None, trouble="balancer-1 does not answer").strip() == "balancer-1 does not answer"


async def test_lines_of_json_end_cleanly_with_ctrl_c(stage: Stage, tmp_path: Path) -> None:
    await stage.add_edges(e1="a")
    folder = Folder(tmp_path / "mesh")
    folder.create()
    folder.secret(keys.OPERATOR_KEY).write_text(derive_key(MESH_KEY, "operator").hex())
    place = {"grpc": stage.address, "http": "", "pid": 0}
    s3 = {"endpoint": ""}
    folder.mesh_file.write_text(
        json.dumps({"catalog": place, "indexer": place, "balancer": [place], "origin": [], "edges": [], "s3": s3})
    )
    argv = ("-m", "reprise.cli", "status", "--watch", "--json", "--interval", "0.1", "--data", str(folder.path))
    with lock.held(folder):
        process = await asyncio.create_subprocess_exec(
            sys.executable, *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        assert process.stdout is not None
        for _ in range(2):
            line = json.loads(await process.stdout.readline())
            assert [edge["id"] for edge in line["edges"]] == ["e1"]
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
