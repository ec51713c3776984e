"""Has edges fill the beginning of a song before listeners are sent there, when its replica set grows.

Edges fill it from the song's home, so a wider set costs the origin nothing. Every balancer that widens a set asks for it; an
edge that has the song already, or is filling it, answers without a second fill. What fails is not tried again: the edge gets
listeners two seconds after it was asked, prefilled or not.
"""

import asyncio
from collections.abc import Awaitable, Callable

from balancer.commands import Action, Answer, Prewarm
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.replicas import Prefill

LOOK_S = 0.1
# Prefills that edges have not answered yet; more than that are left to the listeners.
OPEN_MAX = 256


class Prefilling:
    """Sends what the mesh wants prefilled to the edges."""

    def __init__(self, mesh: Mesh, ask: Callable[[str, Action], Awaitable[Answer]], metrics: BalancerMetrics) -> None:
        self._mesh = mesh
        self._ask = ask
        self._count = metrics.prefills
        self._open = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for prefill in self._mesh.due_prefills():
                    if self._open >= OPEN_MAX:
                        self._count.labels("skipped").inc()
                        continue
                    self._open += 1
                    group.create_task(self._fill(prefill), name=f"prefill.{prefill.edge_id}")
                await asyncio.sleep(LOOK_S)

    async def _fill(self, prefill: Prefill) -> None:
        try:
            answer = await self._ask(prefill.edge_id, Prewarm((prefill.rendition_id,), prefix_only=True))
        finally:
            self._open -= 1
        self._count.labels("done" if answer.ok else "failed").inc()
        if answer.ok:
            self._mesh.prefilled(prefill.edge_id, prefill.rendition_id)
