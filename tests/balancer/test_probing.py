"""Whether an edge lives, asked of real ports."""

import asyncio
import time
from random import Random

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
    mesh, metrics, now, asked = Mesh(epoch=1, now=0.0, rng=Random(1)), BalancerMetrics(CollectorRegistry()), [0.0], []

    async def probe(address: str) -> bool:
        asked.append(address)
        return lives

    mesh.report("e1", mesh.hello(identity("e1"), 0.0), load(), 0.0)
    ticks: list[float] = []
    prober = asyncio.create_task(Prober(mesh, probe, metrics, lambda: now[0], ticks.append).run())
    for step in range(1, 8):
        seen = len(ticks)
        now[0] = step / 2
        await wait_until(lambda seen=seen: len(ticks) > seen + 1, "a tick")  # type: ignore[misc]
    await wait_until(lambda: asked, "a probe")
    assert asked == ["127.0.0.1:7001"]
    assert mesh.edge("e1").state is (State.SUSPECT if lives else State.DEAD)
    prober.cancel()
    await asyncio.gather(prober, return_exceptions=True)
