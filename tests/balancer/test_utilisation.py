"""How loaded an edge is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.ledger import Expected
from balancer.utilisation import is_full, utilisation
from tests.balancer.values import identity, load

NOTHING = Expected()


@pytest.mark.parametrize(
    ("figures", "expected", "used"),
    [
        ({}, NOTHING, 0.0),
        ({"active_streams": 500}, NOTHING, 0.5),
        ({"active_streams": 500}, Expected(0, 100), 0.6),
        ({"committed_bps": 400_000_000}, Expected(100_000_000, 1), 0.5),
        ({"nic_tx_bps": 700_000_000, "committed_bps": 400_000_000}, Expected(100_000_000, 1), 0.8),
        ({"loop_lag_ms": 50}, NOTHING, 0.9),
        ({"cpu": 0.75, "active_streams": 100}, NOTHING, 0.75),
        ({"active_streams": 100, "loop_lag_ms": 25, "nic_tx_bps": 300_000_000}, NOTHING, 0.45),
    ],
)
def test_utilisation_is_the_tightest_resource(figures: dict[str, float], expected: Expected, used: float) -> None:
    assert utilisation(identity(), load(**figures), expected) == pytest.approx(used)


@given(
    st.integers(0, 2000), st.integers(0, 2 * 10**9), st.integers(0, 10**9), st.integers(0, 100), st.integers(0, 10**9)
)
def test_more_load_never_looks_like_less(streams: int, bps: int, pending_bps: int, lag_ms: int, more: int) -> None:
    base = {"active_streams": streams, "nic_tx_bps": bps, "committed_bps": bps, "loop_lag_ms": lag_ms, "cpu": lag_ms}
    before = utilisation(identity(), load(**base), Expected(pending_bps, 1))
    for name in base:
        assert utilisation(identity(), load(**{**base, name: base[name] + more}), Expected(pending_bps, 1)) >= before
    assert utilisation(identity(), load(**base), Expected(pending_bps + more, 2)) >= before


def test_only_what_an_edge_committed_makes_it_full() -> None:
    assert is_full(identity(), load(active_streams=1000))
    assert is_full(identity(), load(committed_bps=1_000_000_000))
    assert not is_full(identity(), load(nic_tx_bps=9_000_000_000, loop_lag_ms=500, cpu=1.0, active_streams=999))
