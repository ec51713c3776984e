"""Sees to it that every edge drops what was purged, those included that were away when it was ordered.

An order goes to the connected edges at once, and their answers to whoever ordered. From then on it is owed: an edge that says
hello, here or to another balancer, is sent what it has not confirmed. So a listener hears a purged song from an edge that
returns for a fifth of a second at most.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence

from balancer.commands import Answer, Purge
from balancer.metrics import BalancerMetrics
from balancer.purge_stream import PurgeStream
from balancer.purges import PurgeLog, PurgeOrder
from balancer.reports import Reports
from reprise.log import get_logger

log = get_logger()

LOOK_S = 0.2
# Whoever ordered a purge asks the edges itself, and its word of their answers takes a moment.
SETTLE_S = 3.0
# An edge that did not confirm is asked again after so long.
AGAIN_S = 30.0


class Purging:
    """Orders purges, and collects the debts."""

    def __init__(
        self,
        purges: PurgeLog,
        reports: Reports,
        metrics: BalancerMetrics,
        clock: Callable[[], float],
        unix_s: Callable[[], float],
        stream: PurgeStream | None,
    ) -> None:
        """`stream` is where the other balancers are told; None without Valkey."""
        self._stream = stream
        self._purges = purges
        self._reports = reports
        self._metrics = metrics
        self._clock = clock
        self._unix_s = unix_s
        # By edge: the log's revision at which it owed nothing, and until when to leave it alone.
        self._clear_at: dict[str, int] = {}
        self._resting: dict[str, float] = {}

    async def order(self, edge_ids: Sequence[str], rendition_ids: tuple[str, ...]) -> list[Answer]:
        """Purges these on the edges named, or on all; what became of it on those that are connected."""
        order = PurgeOrder(secrets.token_hex(8), self._unix_s(), rendition_ids, tuple(edge_ids))
        self._purges.add(order, order.unix_s)
        if self._stream is not None:
            self._stream.tell_order(order)
        asked = edge_ids or self._reports.connected()
        return list(await asyncio.gather(*(self._ask(edge_id, [order]) for edge_id in asked)))

    async def run(self) -> None:
        """Collects debts until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                for edge_id in self._due():
                    group.create_task(self._collect(edge_id), name=f"purge.{edge_id}")
                await asyncio.sleep(LOOK_S)

    def _due(self) -> list[str]:
        """Connected edges that owe a purge which its orderer has had time for."""
        unix_s, now = self._unix_s(), self._clock()
        self._purges.expire(unix_s)
        self._metrics.purges_kept.set(len(self._purges))
        connected = self._reports.connected() if len(self._purges) else []
        here = set(connected)
        self._clear_at = {edge_id: revision for edge_id, revision in self._clear_at.items() if edge_id in here}
        self._resting = {edge_id: until for edge_id, until in self._resting.items() if until > now and edge_id in here}
        due = []
        for edge_id in connected:
            if self._clear_at.get(edge_id) == self._purges.revision or edge_id in self._resting:
                continue
            owed = self._purges.owed(edge_id, unix_s)
            if not owed:
                self._clear_at[edge_id] = self._purges.revision
            elif owed[0].unix_s <= unix_s - SETTLE_S:
                self._resting[edge_id] = now + AGAIN_S
                due.append(edge_id)
        return due

    async def _collect(self, edge_id: str) -> None:
        unix_s = self._unix_s()
        owed = [order for order in self._purges.owed(edge_id, unix_s) if order.unix_s <= unix_s - SETTLE_S]
        if not owed:
            return  # confirmed to somebody else meanwhile
        answer = await self._ask(edge_id, owed)
        self._metrics.purges_owed.labels("done" if answer.ok else "failed").inc(len(owed))
        log.info("owed_purges", edge=edge_id, count=len(owed), ok=answer.ok, detail=answer.detail)
        if answer.ok:  # what one command could not carry goes next; an edge that failed is left alone for a while
            self._resting.pop(edge_id, None)

    async def _ask(self, edge_id: str, orders: Sequence[PurgeOrder]) -> Answer:
        renditions = dict.fromkeys(rendition_id for order in orders for rendition_id in order.rendition_ids)
        answer = await self._reports.ask_edge(edge_id, Purge(tuple(renditions)))
        if answer.ok:
            for order in orders:
                self._purges.done(order.purge_id, edge_id)
                if self._stream is not None:
                    self._stream.tell_done(order.purge_id, edge_id)
        return answer
