"""The pending ledger, against a model that is too simple to be wrong."""

from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from balancer.ledger import SHARE_MIN, SHOWN_MIN, Ledger, Pending

PENDING_S, START_BURST = 5.0, 4.0
EDGES = st.sampled_from(["e1", "e2", "e3"])


class LedgerAgainstModel(RuleBasedStateMachine):
    """Any interleaving of grants, reports, restarts and time: each grant counts once, while it should, and never again."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger(PENDING_S, START_BURST)
        self.now = 0.0
        self.minted: list[tuple[str, str]] = []
        self.counting: dict[tuple[str, str], tuple[float, float]] = {}
        # Grants that moved the share and are remembered.
        self.counted: set[str] = set()

    @rule(edge_id=EDGES, bitrate_bps=st.integers(1, 10**6))
    def grant(self, edge_id: str, bitrate_bps: int) -> None:
        grant_id = f"g{len(self.minted)}"
        self.minted.append((edge_id, grant_id))
        self.ledger.add(edge_id, grant_id, bitrate_bps, self.now)
        self.counting[edge_id, grant_id] = (bitrate_bps * START_BURST, self.now + PENDING_S)

    @rule(data=st.data(), reporter=EDGES)
    def report(self, data: st.DataObject, reporter: str) -> None:
        """Also of grants seen before, of other edges' grants, and of made-up ones."""
        known = [grant_id for _, grant_id in self.minted]
        seen = data.draw(st.lists(st.sampled_from([*known, "made-up", "another's"]), max_size=5))
        share, unheard = self.ledger.share, set(seen) - self.counted
        ours = unheard & self.ledger._seen.keys()
        self.ledger.saw(reporter, seen, self.now)
        for grant_id in seen:
            self.counting.pop((reporter, grant_id), None)
        self.counted |= unheard
        if not unheard:
            assert self.ledger.share == share, "a grant that is reported again moves nothing"
        elif ours == unheard:
            assert self.ledger.share >= share
        elif not ours:
            assert self.ledger.share < share

    @rule(edge_id=EDGES)
    def restart(self, edge_id: str) -> None:
        self.ledger.clear(edge_id)
        self.counting = {key: value for key, value in self.counting.items() if key[0] != edge_id}

    @rule(seconds=st.floats(0, 4))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        gone = {key for key, (_, until) in self.counting.items() if until <= self.now}
        assert self.ledger.expire(self.now) == {edge_id for edge_id, _ in gone}
        for key in gone:
            del self.counting[key]
        self.counted &= self.ledger._seen.keys()

    @invariant()
    def agrees(self) -> None:
        for edge_id in ("e1", "e2", "e3"):
            mine = [bps for (owner, _), (bps, _) in self.counting.items() if owner == edge_id]
            assert self.ledger.of(edge_id) == Pending(sum(mine), len(mine))
            expected = self.ledger.expected(edge_id)
            assert expected.bps >= sum(mine) * SHOWN_MIN
            assert expected.streams <= len(mine) / SHARE_MIN
        assert self.ledger.grants == len(self.counting)
        assert 0 <= self.ledger.share <= 1
        assert 0 <= self.ledger.shown <= 1


TestLedgerAgainstModel = LedgerAgainstModel.TestCase
TestLedgerAgainstModel.settings = settings(max_examples=40, deadline=None)


def test_a_full_ledger_forgets_the_oldest_grant() -> None:
    ledger = Ledger(entries_max=2)
    for number in range(3):
        ledger.add("e1", f"g{number}", 1000, now=0.0)
    assert ledger.of("e1").grants == 2
    ledger.saw("e1", ("g0",), 0.0)
    assert ledger.of("e1").grants == 2


@given(st.integers(1, 5))
def test_each_of_several_balancers_learns_how_many_they_are(balancers: int) -> None:
    ledger, number = Ledger(), count()
    for second in range(40):
        for _ in range(25):
            mine = f"mine-{next(number)}"
            ledger.add("e1", mine, 1000, float(second))
            others = tuple(f"theirs-{next(number)}" for _ in range(balancers - 1))
            ledger.saw("e1", (mine, *others), second + 0.5)
        ledger.expire(float(second))
    assert ledger.balancers == pytest.approx(balancers, rel=0.15)
    ledger.add("e2", "last", 1000, 40.0)
    assert ledger.expected("e2").streams == pytest.approx(balancers, rel=0.15)


def test_grants_that_nobody_uses_are_expected_less_and_less() -> None:
    ledger = Ledger()
    for number in range(4000):
        now = number * 0.1
        ledger.add("e1", f"g{number}", 1000, now)
        if number % 2:
            ledger.saw("e1", (f"g{number}",), now + 0.05)
        ledger.expire(now)
    assert ledger.shown == pytest.approx(0.5, abs=0.1)
    pending = ledger.of("e1").grants
    assert ledger.expected("e1").streams == pytest.approx(pending / 2, rel=0.25)
