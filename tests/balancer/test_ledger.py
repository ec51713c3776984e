"""The pending ledger, against a model that is too simple to be wrong."""

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from balancer.ledger import START_BURST, TTL_S, Ledger, Pending

EDGES = st.sampled_from(["e1", "e2", "e3"])


class LedgerAgainstModel(RuleBasedStateMachine):
    """Any interleaving of grants, reports, restarts and time: each grant counts once, while it should, and never again."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger = Ledger()
        self.now = 0.0
        self.minted: list[tuple[str, str]] = []
        self.counting: dict[tuple[str, str], tuple[int, float]] = {}

    @rule(edge_id=EDGES, bitrate_bps=st.integers(1, 10**6))
    def grant(self, edge_id: str, bitrate_bps: int) -> None:
        grant_id = f"g{len(self.minted)}"
        self.minted.append((edge_id, grant_id))
        self.ledger.add(edge_id, grant_id, bitrate_bps, self.now)
        self.counting[edge_id, grant_id] = (bitrate_bps * START_BURST, self.now + TTL_S)

    @rule(data=st.data(), reporter=EDGES)
    def report(self, data: st.DataObject, reporter: str) -> None:
        """Also of grants seen before, of other edges' grants, and of made-up ones."""
        known = [grant_id for _, grant_id in self.minted]
        seen = data.draw(st.lists(st.sampled_from([*known, "made-up"]), max_size=5))
        self.ledger.retire(reporter, seen)
        for grant_id in seen:
            self.counting.pop((reporter, grant_id), None)

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

    @invariant()
    def agrees(self) -> None:
        for edge_id in ("e1", "e2", "e3"):
            mine = [bps for (owner, _), (bps, _) in self.counting.items() if owner == edge_id]
            assert self.ledger.of(edge_id) == Pending(sum(mine), len(mine))
        assert self.ledger.grants == len(self.counting)


TestLedgerAgainstModel = LedgerAgainstModel.TestCase


def test_a_full_ledger_forgets_the_oldest_grant() -> None:
    ledger = Ledger(entries_max=2)
    for number in range(3):
        ledger.add("e1", f"g{number}", 1000, now=0.0)
    assert ledger.of("e1").grants == 2
    ledger.retire("e1", ("g0",))
    assert ledger.of("e1").grants == 2
