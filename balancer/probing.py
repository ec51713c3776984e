"""Asks suspect edges whether they live: the health service on their gRPC port, twice, a quarter of a second each.

A balancer that is late itself gives them longer.
"""

import asyncio
from collections.abc import Awaitable, Callable

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from balancer.edges import EdgeIdentity
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from reprise import rpc
from reprise.log import get_logger

log = get_logger()

TIMEOUT_S = 0.25
ATTEMPTS = 2
TICK_S = 0.1
# More suspects than this wait for a place; a mesh where this binds is in doubt anyway.
PROBES_MAX = 64

_SILENT = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
# Told where, and for how much longer than usual.
Probe = Callable[[str, float], Awaitable[bool]]


async def answers(grpc_address: str, patience_s: float = 0.0) -> bool:
    """Whether an edge at this address answers at all; "not serving" is an answer.

    Each probe has a connection of its own: a kept one may be in backoff from before the edge came back.
    """
    for _ in range(ATTEMPTS):
        async with rpc.channel(grpc_address) as channel:
            try:
                check = health_pb2_grpc.HealthStub(channel).Check
                await check(health_pb2.HealthCheckRequest(), timeout=TIMEOUT_S + patience_s)
            except grpc.aio.AioRpcError as failure:
                if failure.code() in _SILENT:
                    continue
            return True
    return False


class Prober:
    """Runs the mesh's clock: silence, suspicion, probes, expiry."""

    def __init__(
        self,
        mesh: Mesh,
        probe: Probe,
        metrics: BalancerMetrics,
        clock: Callable[[], float],
        on_tick: Callable[[float], None],
    ) -> None:
        self._mesh = mesh
        self._probe = probe
        self._count = metrics.probes
        self._clock = clock
        self._on_tick = on_tick
        self._places = asyncio.Semaphore(PROBES_MAX)

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            loop = asyncio.get_running_loop()
            due = loop.time()
            while True:
                now, lag_s = self._clock(), max(0.0, loop.time() - due)
                for identity in self._mesh.tick(now, lag_s):
                    group.create_task(self._judge(identity), name=f"probe.{identity.edge_id}")
                self._on_tick(now)
                due = loop.time() + TICK_S
                await asyncio.sleep(TICK_S)

    async def _judge(self, identity: EdgeIdentity) -> None:
        async with self._places:
            answered = await self._probe(identity.grpc_address, self._mesh.patience_s)
        self._count.labels("answered" if answered else "failed").inc()
        if not answered:
            log.warning("edge_does_not_answer", edge=identity.edge_id, address=identity.grpc_address)
        self._mesh.probed(identity, answered=answered, now=self._clock())
