"""Which edges are kept from listeners, over anything that listeners and edges can say."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from balancer.ejection import (
    EJECTED_S,
    EJECTED_S_MAX,
    FAILED_SESSIONS_MIN,
    FORGIVEN_EVERY_S,
    JUDGED_EVERY_S,
    OWN_FAILURES_MIN,
    WINDOW_S,
    Ejections,
    cap,
)


class Region:
    """Edges of one region that serve, and what is said of them; time passes by `wait`."""

    def __init__(self, edges: int) -> None:
        self.now = 100.0
        self.ejections = Ejections()
        self.edge_ids = [f"e{number}" for number in range(1, edges + 1)]
        for edge_id in self.edge_ids:
            self.serve(edge_id)

    def serve(self, edge_id: str, serving: bool = True) -> None:
        self.ejections.serves(edge_id, "a", serving=serving, now=self.now)

    def wait(self, seconds: float) -> list[str]:
        self.now += seconds
        return self.ejections.tick(self.now)

    def plays(self, edge_id: str, *, failed: int, ok: int = 0, who: str = "listener") -> None:
        for number in range(failed + ok):
            self.ejections.note_play(edge_id, f"{who}-{number}", ok=number >= failed, now=self.now)

    def ejected(self) -> list[str]:
        return [edge_id for edge_id in self.edge_ids if self.ejections.until(edge_id, self.now)]

    def eject(self, edge_id: str) -> None:
        self.plays(edge_id, failed=FAILED_SESSIONS_MIN)
        assert self.wait(JUDGED_EVERY_S) == [edge_id]


def test_five_listeners_eject_an_edge_for_half_a_minute() -> None:
    region = Region(3)
    region.plays("e1", failed=FAILED_SESSIONS_MIN - 1)
    assert region.wait(1) == []
    region.plays("e1", failed=1, who="another")
    assert region.wait(1) == ["e1"]
    assert region.ejected() == ["e1"]
    assert region.wait(EJECTED_S - 1) == []
    assert region.wait(1) == ["e1"]
    assert region.ejected() == []


def test_one_listener_ejects_nobody_however_often_it_fails() -> None:
    region = Region(3)
    for _ in range(1000):
        region.plays("e1", failed=1)
        region.wait(0.01)
    assert region.ejected() == []


def test_failures_that_are_ten_seconds_apart_are_no_pattern() -> None:
    region = Region(3)
    for number in range(20):
        region.plays("e1", failed=1, who=f"listener-{number}")
        assert region.wait(WINDOW_S / (FAILED_SESSIONS_MIN - 1)) == []


def test_a_few_failures_among_many_plays_are_no_pattern() -> None:
    region = Region(3)
    region.plays("e1", failed=FAILED_SESSIONS_MIN, ok=95)
    assert region.wait(1) == []
    region.plays("e1", failed=15, ok=85)
    assert region.wait(1) == ["e1"]


@pytest.mark.parametrize(("elsewhere", "ejected"), [(0.0, True), (0.1, True), (0.3, False), (0.4, False)])
def test_what_fails_everywhere_is_no_edges_fault(elsewhere: float, ejected: bool) -> None:
    region = Region(5)
    for edge_id in region.edge_ids[1:]:
        region.plays(edge_id, failed=int(100 * elsewhere), ok=100 - int(100 * elsewhere))
    region.plays("e1", failed=40, ok=60)
    region.wait(1)
    assert region.ejected() == (["e1"] if ejected else [])


def test_an_outage_of_all_ejects_nobody() -> None:
    region = Region(10)
    for _ in range(20):
        for edge_id in region.edge_ids:
            region.plays(edge_id, failed=30)
        region.wait(1)
    assert region.ejected() == []


def test_an_edge_convicts_itself_by_its_own_count() -> None:
    region = Region(3)
    region.ejections.note_counts("e1", 10, OWN_FAILURES_MIN - 1, region.now)
    assert region.wait(1) == []
    region.ejections.note_counts("e1", 0, 1, region.now)
    assert region.wait(1) == ["e1"]


def test_each_ejection_is_longer_and_successes_are_forgiveness_step_by_step() -> None:
    region = Region(3)
    region.eject("e1")
    for times in range(2, 15):
        region.wait(EJECTED_S_MAX)
        region.eject("e1")
        assert region.ejections.until("e1", region.now) == region.now + min(EJECTED_S * times, EJECTED_S_MAX)
    region.wait(EJECTED_S_MAX)
    for _ in range(12):
        region.wait(FORGIVEN_EVERY_S)
        region.plays("e1", failed=0, ok=1)
    region.eject("e1")
    assert region.ejections.until("e1", region.now) == region.now + EJECTED_S * 3


def test_time_alone_forgives_nothing() -> None:
    region = Region(3)
    region.eject("e1")
    region.wait(100_000)
    region.eject("e1")
    assert region.ejections.until("e1", region.now) == region.now + 2 * EJECTED_S


def test_going_away_and_coming_back_ends_no_ejection() -> None:
    region = Region(3)
    region.eject("e1")
    region.serve("e1", serving=False)
    region.wait(1)
    region.serve("e1")
    assert region.ejected() == ["e1"]


def test_who_comes_back_to_a_region_that_lacks_another_is_needed() -> None:
    region = Region(4)
    region.eject("e1")
    region.serve("e1", serving=False)
    region.eject("e2")
    region.serve("e1")
    assert region.ejected() == ["e2"]


def test_when_others_leave_the_ejected_are_needed_again() -> None:
    region = Region(3)
    region.eject("e1")
    region.serve("e3", serving=False)
    assert region.wait(0.1) == ["e1"]
    assert region.ejected() == []


def test_the_worst_go_first_where_not_all_may_go() -> None:
    region = Region(9)
    for number, edge_id in enumerate(region.edge_ids[:3]):
        region.plays(edge_id, failed=10 + 30 * number, ok=90 - 30 * number)
    assert region.wait(1) == ["e3"]


def test_a_forgotten_edge_is_a_new_one() -> None:
    region = Region(3)
    region.eject("e1")
    region.ejections.forget("e1")
    region.serve("e1")
    assert region.ejected() == []
    region.ejections.note_play("unknown", "listener", ok=False, now=region.now)


@pytest.mark.parametrize(("edges", "most"), [(0, 0), (1, 0), (2, 0), (3, 1), (4, 1), (9, 1), (10, 2), (100, 20)])
def test_how_many_may_go(edges: int, most: int) -> None:
    assert cap(edges) == most


EDGES = st.sampled_from([f"e{number}" for number in range(12)])
SESSIONS = st.integers(0, 30).map(str)


class AnythingSaid(RuleBasedStateMachine):
    """Whatever is said: the cap holds, an ejection ends at its time and, while others stay, not before."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.ejections = Ejections()
        self.regions: dict[str, str] = {}
        self.serving: set[str] = set()
        self.accusers: dict[str, set[str]] = {}
        self.own_failures: dict[str, int] = {}

    @rule(edge_id=EDGES, region=st.sampled_from("ab"), serving=st.sampled_from([True, True, True, False]))
    def edge(self, edge_id: str, region: str, serving: bool) -> None:
        region = self.regions.setdefault(edge_id, region)
        self.ejections.serves(edge_id, region, serving=serving, now=self.now)
        (self.serving.add if serving else self.serving.discard)(edge_id)

    @rule(edge_id=EDGES)
    def gone(self, edge_id: str) -> None:
        self.ejections.forget(edge_id)
        self.serving.discard(edge_id)
        self.regions.pop(edge_id, None)

    @rule(edge_id=EDGES, sessions=st.sets(SESSIONS, max_size=20), ok=st.booleans())
    def plays(self, edge_id: str, sessions: set[str], ok: bool) -> None:
        before = self.all_ejected()
        for session_id in sessions:
            self.ejections.note_play(edge_id, session_id, ok=ok, now=self.now)
        assert self.all_ejected() == before
        if not ok:
            self.accusers.setdefault(edge_id, set()).update(sessions)

    @rule(edge_id=EDGES, started=st.integers(0, 50), failed=st.integers(0, 50))
    def counts(self, edge_id: str, started: int, failed: int) -> None:
        self.ejections.note_counts(edge_id, started, failed, self.now)
        self.own_failures[edge_id] = self.own_failures.get(edge_id, 0) + failed

    @rule(seconds=st.sampled_from([0.1, 0.6, 3.0, 20.0, 400.0]))
    def wait(self, seconds: float) -> None:
        before = self.all_ejected()
        self.now += seconds
        changed = self.ejections.tick(self.now)
        after = self.all_ejected()
        assert {e for e in before if e not in after} <= set(changed)
        for edge_id, until in before.items():
            assert until <= self.now or after[edge_id] == until
        for edge_id in after.keys() - before.keys():
            assert edge_id in changed
            enough = len(self.accusers.get(edge_id, ())) >= FAILED_SESSIONS_MIN
            assert enough or self.own_failures[edge_id] >= OWN_FAILURES_MIN
            assert self.now < after[edge_id] <= self.now + EJECTED_S_MAX

    def all_ejected(self) -> dict[str, float]:
        untils = {edge_id: self.ejections.until(edge_id, self.now) for edge_id in self.regions}
        return {edge_id: until for edge_id, until in untils.items() if until}

    @invariant()
    def only_who_serves_is_ejected_and_never_more_than_the_cap(self) -> None:
        ejected = self.all_ejected().keys()
        assert ejected <= self.serving
        assert len(ejected) <= self.ejections.count()
        for region in "ab":
            members = {edge_id for edge_id in self.serving if self.regions[edge_id] == region}
            assert len(ejected & members) <= cap(len(members))


TestAnythingSaid = AnythingSaid.TestCase
