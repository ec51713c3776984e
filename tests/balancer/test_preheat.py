"""Preheats carried out: homes first, others when their home has it, what failed again until the moment."""

import asyncio

import pytest
from prometheus_client import CollectorRegistry

from balancer import preheat
from balancer.commands import Answer, Prewarm
from balancer.events import Kind
from balancer.membership import Membership
from balancer.metrics import BalancerMetrics
from balancer.preheat import Preheater
from balancer.preheat_plan import PREFIX_BYTES, Wish
from reprise.placement import rank_by_capacity
from tests.balancer.values import AAC, OPUS, identity

EDGES = ("e1", "e2", "e3", "e4")
MBPS = 1_000_000


class Stage:
    """A preheater in front of four edges that answer as the test says."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.now = 1000.0
        members = Membership(1, 0.0)
        for edge_id in EDGES:
            members.hello(identity(edge_id), 0.0)
        self.asked: list[tuple[str, Prewarm]] = []
        self.failing: set[str] = set()
        self.has: set[tuple[str, str]] = set()
        self.waits: list[float] = []
        self.notes: list[str] = []
        metrics = BalancerMetrics(self.registry)
        self.preheater = Preheater(members.alive, self.ask, self.note, metrics, lambda: self.now, 100 * MBPS)

    def note(self, kind: Kind, edge_id: str, detail: str) -> None:
        self.notes.append(detail)

    async def ask(self, edge_id: str, order: Prewarm, seconds_max: float) -> Answer:
        self.asked.append((edge_id, order))
        self.waits.append(seconds_max)
        await asyncio.sleep(0)
        if edge_id in self.failing:
            return Answer(edge_id, ok=False, detail="no source has the bytes now")
        self.has |= {(edge_id, rendition_id) for rendition_id in order.rendition_ids}
        return Answer(edge_id, ok=True, detail="here")

    def order(self, rendition_id: str) -> list[str]:
        return rank_by_capacity(rendition_id, dict.fromkeys(EDGES, 1_000_000_000))

    def count(self, outcome: str) -> float:
        return self.registry.get_sample_value("reprise_balancer_preheats_total", {"outcome": outcome}) or 0.0


@pytest.fixture
async def stage() -> Stage:
    return Stage()


async def test_the_home_has_it_before_the_others_are_asked(stage: Stage) -> None:
    answers = await stage.preheater.run(Wish("x", (OPUS,)))
    home, *others = stage.order(OPUS.rendition_id)[:3]
    assert stage.asked[0][0] == home
    assert sorted(edge_id for edge_id, _ in stage.asked[1:]) == sorted(others)
    assert sorted(answer.edge_id for answer in answers if answer.ok) == sorted([home, *others])
    assert all(order == Prewarm((OPUS.rendition_id,), True, 100 * MBPS) for _, order in stage.asked)
    assert stage.count("done") == 1
    assert stage.notes == ["x: 1 renditions on 3 edges, done"]


async def test_the_limit_of_the_origin_is_shared_by_the_homes(stage: Stage) -> None:
    await stage.preheater.run(Wish("x", (OPUS, AAC), edges_per_region=1))
    homes = {stage.order(r.rendition_id)[0] for r in (OPUS, AAC)}
    assert {edge_id for edge_id, _ in stage.asked} == homes
    assert sum(order.origin_bps_max for _, order in stage.asked) <= 100 * MBPS


async def test_an_edge_is_given_the_time_that_its_share_needs(stage: Stage) -> None:
    stage.preheater.origin_bps_max = PREFIX_BYTES * 8 // 100
    await stage.preheater.run(Wish("x", (OPUS,), edges_per_region=1))
    assert stage.waits[0] >= 200


async def test_where_the_home_lacks_it_nobody_asks_it_for_it(stage: Stage) -> None:
    """It would read the song at full speed then, past the origin's limit."""
    home, *others = stage.order(OPUS.rendition_id)[:3]
    stage.failing = {home}
    answers = {answer.edge_id: answer for answer in await stage.preheater.run(Wish("x", (OPUS,)))}
    assert [edge_id for edge_id, _ in stage.asked] == [home]
    assert answers[home].detail == "no source has the bytes now"
    assert all(home in answers[other].detail and not answers[other].ok for other in others)
    assert stage.count("partial") == 1


async def test_what_failed_is_asked_for_again_until_the_moment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.failing = {stage.order(OPUS.rendition_id)[0]}
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        stage.now += max(seconds, 1.0)
        if len(pauses) == 3:
            stage.failing = set()

    monkeypatch.setattr(preheat.asyncio, "sleep", sleep)
    answers = await stage.preheater.run(Wish("x", (OPUS,), at_unix_s=stage.now + 1000))
    assert all(answer.ok for answer in answers)
    assert len(answers) == 3
    assert stage.count("done") == 1
    stage.failing = set(EDGES)
    await stage.preheater.run(Wish("x", (OPUS,), at_unix_s=stage.now + 50))
    assert stage.now < 2200
    assert stage.count("partial") == 1


async def test_without_an_edge_it_says_so(stage: Stage) -> None:
    (answer,) = await stage.preheater.run(Wish("x", (OPUS,), regions=("nowhere",)))
    assert (answer.ok, answer.detail) == (False, "no edge is alive in nowhere")


async def test_two_preheats_read_from_the_origin_one_after_the_other(stage: Stage) -> None:
    under_way = 0
    most = 0
    ask = stage.ask

    async def counted(edge_id: str, order: Prewarm, seconds_max: float) -> Answer:
        nonlocal under_way, most
        if edge_id == stage.order(order.rendition_ids[0])[0]:
            under_way += 1
            most = max(most, under_way)
            await asyncio.sleep(0.01)
            under_way -= 1
        return await ask(edge_id, order, seconds_max)

    stage.preheater._ask_edge = counted
    await asyncio.gather(*(stage.preheater.run(Wish("x", (r,))) for r in (OPUS, AAC)))
    assert most == 1
    assert stage.count("done") == 2
