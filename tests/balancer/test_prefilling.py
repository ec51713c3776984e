"""Prefills on their way to edges."""

import asyncio
from collections import deque
from random import Random

from prometheus_client import CollectorRegistry

from balancer.commands import Action, Answer, Prewarm
from balancer.edges import SongHeat
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.picking import Play
from balancer.prefilling import Prefilling
from tests.balancer.values import OPUS, identity, load
from tests.support.wait import wait_until


class Edges:
    """Answer as they are told."""

    def __init__(self, *answers: bool) -> None:
        self.asked: list[tuple[str, Action]] = []
        self._answers = deque(answers)

    async def ask(self, edge_id: str, action: Action) -> Answer:
        self.asked.append((edge_id, action))
        return Answer(edge_id, ok=self._answers.popleft(), detail="")


def mesh_in_demand() -> tuple[Mesh, str, str]:
    """Four edges, of which the song's home reports a third of its NIC for this song alone; the home, and who is next."""
    mesh = Mesh(epoch=1, now=0.0, rng=Random(1))
    streams = {f"e{number}": mesh.hello(identity(f"e{number}"), 0.0) for number in range(1, 5)}
    home, second = mesh.homes(OPUS.rendition_id, "a", 2)
    for edge_id, stream in streams.items():
        heat = (SongHeat(OPUS.rendition_id, 333_000_000, 0),) if edge_id == home else ()
        mesh.report(edge_id, stream, load(heat=heat, committed_bps=sum(row.live_bps for row in heat)), 0.0)
    return mesh, home, second


def chosen(mesh: Mesh, now: float) -> set[str]:
    plays = (Play(OPUS.rendition_id, 96_000, (("a", 0.0),), f"listener-{number}") for number in range(30))
    return {mesh.pick(play, now)[0].edge_id for play in plays}


async def prefill(mesh: Mesh, edges: Edges, outcome: str) -> None:
    metrics = BalancerMetrics(CollectorRegistry())
    running = asyncio.create_task(Prefilling(mesh, edges.ask, metrics).run())
    labels = {"outcome": outcome}
    counted = "reprise_balancer_prefills_total"
    await wait_until(lambda: metrics.registry.get_sample_value(counted, labels), f"a prefill is {outcome}")
    running.cancel()


async def test_a_new_replica_takes_listeners_as_soon_as_it_has_answered() -> None:
    mesh, home, second = mesh_in_demand()
    edges = Edges(True)
    assert chosen(mesh, 0.1) == {home}
    await prefill(mesh, edges, "done")
    assert edges.asked == [(second, Prewarm((OPUS.rendition_id,), prefix_only=True))]
    assert chosen(mesh, 0.1) == {second}, "it is the emptier one"


async def test_one_that_fails_is_not_asked_again_and_takes_listeners_after_two_seconds() -> None:
    mesh, home, _ = mesh_in_demand()
    edges = Edges(False)
    await prefill(mesh, edges, "failed")
    assert chosen(mesh, 1.9) == {home}
    mesh.tick(2.1)
    assert mesh.due_prefills() == []
    assert chosen(mesh, 2.1) == {home}, "the home has the song, so it starts sooner"
    assert len(edges.asked) == 1
