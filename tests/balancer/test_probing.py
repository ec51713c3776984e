"""Whether an edge lives, asked of real ports."""

import asyncio
import random
import time

import pytest
from prometheus_client import CollectorRegistry

from balancer.membership import State
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.probing import Prober, answers
from reprise import rpc
from reprise.engines.ports import free_ports
from tests.balancer.fakes import FakeEdge, black_hole
from tests.balancer.values import identity, load
from tests.support.wait import wait_until


async def test_a_living_edge_answers() -> None:
    edge = await FakeEdge("127.0.0.1:1", "e1").start(reporting=False)
    assert await answers(edge.grpc_address)
    await edge.kill()
    assert not await answers(edge.grpc_address)


async def test_a_server_without_health_service_answers_too() -> None:
    server = rpc.server(rpc.RpcMetrics("edge", CollectorRegistry()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    assert await answers(f"127.0.0.1:{port}")
    await server.stop(None)


async def test_silence_is_no_answer_and_ends_by_itself() -> None:
    async with black_hole() as address:
        started = time.monotonic()
        assert not await answers(address)
        assert time.monotonic() - started < 10
    (port,) = free_ports(1)
    assert not await answers(f"127.0.0.1:{port}")


@pytest.mark.parametrize("lives", [True, False])
async def test_one_probe_decides_about_a_suspect(lives: bool) -> None:
    mesh, metrics, asked = (
        Mesh(1, time.monotonic(), random.Random(1)),
        BalancerMetrics(CollectorRegistry()),
        list[str](),
    )

    async def probe(address: str, _patience_s: float) -> bool:
        asked.append(address)
        return lives

    stream = mesh.hello(identity("e1"), time.monotonic())
    mesh.report("e1", stream, load(), time.monotonic())
    mesh.lost("e1", stream, time.monotonic())
    prober = asyncio.create_task(Prober(mesh, probe, metrics, time.monotonic, lambda _now: None).run())
    await wait_until(lambda: asked, "a probe")
    assert set(asked) == {"127.0.0.1:7001"}
    # On a machine that is late the first probes are not believed.
    expected = State.SUSPECT if lives else State.DEAD
    await wait_until(lambda: mesh.edge("e1").state is expected, expected.value, deadline_s=40.0)
    prober.cancel()
    await asyncio.gather(prober, return_exceptions=True)


async def test_a_late_balancer_gives_probes_more_time() -> None:
    mesh, patience = Mesh(1, 0.0, random.Random(1)), list[float]()

    async def probe(_address: str, patience_s: float) -> bool:
        if not patience:
            time.sleep(0.4)  # noqa: ASYNC251 - blocks the whole loop, the prober's clock too
        patience.append(patience_s)
        return True

    mesh.restore(identity("e1"), 0.0)
    ticks: list[float] = []
    task = asyncio.create_task(
        Prober(mesh, probe, BalancerMetrics(CollectorRegistry()), lambda: 0.0, ticks.append).run()
    )
    await wait_until(lambda: patience, "a probe")
    await wait_until(lambda: len(ticks) > 1, "a late tick")
    mesh.restore(identity("e2"), 0.0)
    await wait_until(lambda: len(patience) > 1, "another probe")
    assert patience[1] > 0.5
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
