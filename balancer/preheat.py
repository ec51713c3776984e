"""Carries out preheats: commands to edges, their answers, and again what failed, until the moment.

One preheat at a time reads from the origin, because the limit is the origin's. What is asked for again is planned again: an
edge may have died or joined, and what is there already is answered at once.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence

from balancer import preheat_plan
from balancer.commands import Answer, Prewarm
from balancer.events import Kind
from balancer.membership import Edge
from balancer.metrics import BalancerMetrics
from balancer.preheat_plan import Errand, Wish
from reprise.log import get_logger
from reprise.types.v1.types_pb2 import Rendition

log = get_logger()

RETRY_S_MIN, RETRY_S_MAX = 1.0, 30.0
# Sends a command to an edge and waits so many seconds for its answer.
AskEdge = Callable[[str, Prewarm, float], Awaitable[Answer]]


class Preheater:
    """Preheats through the edges that are connected to this balancer."""

    def __init__(
        self,
        alive: Callable[[], Iterable[Edge]],
        ask_edge: AskEdge,
        note: Callable[[Kind, str, str], None],
        metrics: BalancerMetrics,
        unix_s: Callable[[], float],
        origin_bps_max: int,
    ) -> None:
        self.origin_bps_max = origin_bps_max
        self._alive = alive
        self._ask_edge = ask_edge
        self._note = note
        self._count = metrics.preheats
        self._unix_s = unix_s
        self._origin = asyncio.Lock()

    def members(self) -> dict[str, dict[str, int]]:
        """The edges of each region that take listeners, with their capacities: what homes are chosen from."""
        found: dict[str, dict[str, int]] = {}
        for edge in self._alive():
            if not edge.draining:
                identity = edge.identity
                found.setdefault(identity.region, {})[identity.edge_id] = identity.nic_capacity_bps
        return found

    async def run(self, wish: Wish) -> list[Answer]:
        """One answer of each edge; returns when all have what they should, or when there is no time to try again."""
        pause_s = RETRY_S_MIN
        while True:
            answers = await self._pass(wish)
            failed = [answer for answer in answers if not answer.ok]
            if not failed or self._unix_s() + pause_s >= wish.at_unix_s:
                break
            log.info("preheat_again", name=wish.name, failed=[answer.edge_id for answer in failed], pause_s=pause_s)
            await asyncio.sleep(pause_s * random.uniform(0.5, 1))  # noqa: S311  # jitter
            pause_s = min(2 * pause_s, RETRY_S_MAX)
        self._tell(wish, failed, len(answers))
        return answers

    async def _pass(self, wish: Wish) -> list[Answer]:
        plan = preheat_plan.plan(wish, self.members(), self.origin_bps_max)
        if not plan.homes:
            return [Answer("", ok=False, detail=f"no edge is alive in {', '.join(wish.regions) or 'any region'}")]
        async with self._origin:
            homes = await self._errands(plan.homes, wish, plan.origin_bps_max)
        # An edge would ask a home that lacks a song to read it at full speed.
        lacking = {answer.edge_id for answer in homes if not answer.ok}
        others = [errand for errand in plan.others if errand.home_id not in lacking]
        held = [
            Answer(errand.edge_id, ok=False, detail=f"not asked: {errand.home_id}, the home, lacks a song")
            for errand in plan.others
            if errand.home_id in lacking
        ]
        return _by_edge([*homes, *await self._errands(others, wish, plan.origin_bps_max), *held])

    async def _errands(self, errands: Iterable[Errand], wish: Wish, origin_bps_max: int) -> list[Answer]:
        done = await asyncio.gather(*(self._errand(errand, wish, origin_bps_max) for errand in errands))
        return [answer for answers in done for answer in answers]

    async def _errand(self, errand: Errand, wish: Wish, origin_bps_max: int) -> list[Answer]:
        bps = origin_bps_max if errand.edge_id == errand.home_id else preheat_plan.PEER_BPS
        answers = []
        for batch in preheat_plan.batches(errand):
            order = Prewarm(_ids(batch), prefix_only=not wish.whole, origin_bps_max=origin_bps_max)
            seconds_max = preheat_plan.answer_s_max(batch, whole=wish.whole, bps=bps)
            answers.append(await self._ask_edge(errand.edge_id, order, seconds_max))
        return answers

    def _tell(self, wish: Wish, failed: Sequence[Answer], edges: int) -> None:
        late = wish.at_unix_s and self._unix_s() > wish.at_unix_s
        outcome = "partial" if failed else "late" if late else "done"
        self._count.labels(outcome).inc()
        words = f"{wish.name}: {len(wish.renditions)} renditions on {edges} edges, {outcome}"
        self._note(Kind.PREHEAT, "", words)
        log.info("preheated", name=wish.name, outcome=outcome, failed=[f"{a.edge_id}: {a.detail}" for a in failed])


def _ids(renditions: Sequence[Rendition]) -> tuple[str, ...]:
    return tuple(rendition.rendition_id for rendition in renditions)


def _by_edge(answers: Iterable[Answer]) -> list[Answer]:
    """One answer for each edge: a failure, if there is one."""
    found: dict[str, Answer] = {}
    for answer in answers:
        known = found.get(answer.edge_id)
        if known is None or known.ok:
            found[answer.edge_id] = answer
    return list(found.values())
