"""How loaded an edge is, and who is asked first."""

from itertools import pairwise
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.ledger import Pending
from balancer.scoring import CANDIDATES_MAX, Pick, Reason, is_full, rank, utilisation
from balancer.standings import Standing, Standings
from tests.balancer.values import identity, load

NOTHING = Pending()


@pytest.mark.parametrize(
    ("figures", "pending", "expected"),
    [
        ({}, NOTHING, 0.0),
        ({"active_streams": 500}, NOTHING, 0.5),
        ({"active_streams": 500}, Pending(0, 100), 0.6),
        ({"committed_bps": 400_000_000}, Pending(100_000_000, 1), 0.5),
        ({"nic_tx_bps": 700_000_000, "committed_bps": 400_000_000}, Pending(100_000_000, 1), 0.8),
        ({"loop_lag_ms": 50}, NOTHING, 0.9),
        ({"active_streams": 100, "loop_lag_ms": 25, "nic_tx_bps": 300_000_000}, NOTHING, 0.45),
    ],
)
def test_utilisation_is_the_tightest_resource(figures: dict[str, int], pending: Pending, expected: float) -> None:
    assert utilisation(identity(), load(**figures), pending) == pytest.approx(expected)


@given(
    st.integers(0, 2000), st.integers(0, 2 * 10**9), st.integers(0, 10**9), st.integers(0, 100), st.integers(0, 10**9)
)
def test_more_load_never_looks_like_less(streams: int, bps: int, pending_bps: int, lag_ms: int, more: int) -> None:
    base = {"active_streams": streams, "nic_tx_bps": bps, "committed_bps": bps, "loop_lag_ms": lag_ms}
    before = utilisation(identity(), load(**base), Pending(pending_bps, 1))
    for name in base:
        assert utilisation(identity(), load(**{**base, name: base[name] + more}), Pending(pending_bps, 1)) >= before
    assert utilisation(identity(), load(**base), Pending(pending_bps + more, 2)) >= before


def test_only_what_an_edge_committed_makes_it_full() -> None:
    assert is_full(identity(), load(active_streams=1000))
    assert is_full(identity(), load(committed_bps=1_000_000_000))
    assert not is_full(identity(), load(nic_tx_bps=9_000_000_000, loop_lag_ms=500, active_streams=999))


def standings_of(*standings: Standing) -> Standings:
    kept = Standings()
    for standing in standings:
        kept.put(standing)
    return kept


def ids(picks: list[Pick]) -> list[str]:
    return [pick.edge_id for pick in picks]


def test_the_home_edge_comes_first_and_the_order_follows() -> None:
    standings = standings_of(*(Standing(e, "a", 0.1) for e in ("p", "q", "r")))
    assert rank([("a", ("q", "p", "r"))], standings, frozenset()) == [
        Pick("q", Reason.REPLICA),
        Pick("p", Reason.OVERFLOW),
        Pick("r", Reason.OVERFLOW),
    ]


def test_an_edge_above_the_bound_is_passed_over_but_stays_a_last_resort() -> None:
    standings = standings_of(Standing("p", "a", 0.9), Standing("q", "a", 0.2), Standing("r", "b", 0.2))
    picks = rank([("a", ("p", "q")), ("b", ("r",))], standings, frozenset())
    assert picks == [Pick("q", Reason.OVERFLOW), Pick("r", Reason.SPILL), Pick("p", Reason.REPLICA)]


def test_the_listeners_region_comes_before_others() -> None:
    standings = standings_of(Standing("far", "b", 0.0), Standing("near", "a", 0.3))
    assert ids(rank([("a", ("near",)), ("b", ("far",))], standings, frozenset())) == ["near", "far"]


def test_a_region_above_the_ceiling_spills() -> None:
    standings = standings_of(Standing("near", "a", 0.95), Standing("far", "b", 0.5))
    picks = rank([("a", ("near",)), ("b", ("far",))], standings, frozenset())
    assert picks[0] == Pick("far", Reason.SPILL)


def test_an_edge_that_just_failed_the_listener_comes_last_but_before_nothing() -> None:
    standings = standings_of(*(Standing(e, "a", 0.1) for e in "pqrs"))
    order = [("a", tuple("pqrs"))]
    assert ids(rank(order, standings, frozenset("p"))) == ["q", "r", "s"]
    assert ids(rank(order, standings, frozenset("pqr"))) == ["s", "p", "q"]
    assert ids(rank(order, standings, frozenset("pqrs"))) == ["p", "q", "r"]


def test_a_suspect_gets_work_only_when_nothing_else_is_left() -> None:
    suspect = Standing("p", "a", 0.0, vouched=False)
    order = [("a", ("p", "q"))]
    assert ids(rank(order, standings_of(suspect, Standing("q", "a", 0.8)), frozenset())) == ["q"]
    assert rank(order, standings_of(suspect), frozenset()) == [Pick("p", Reason.PANIC)]


def test_full_edges_are_not_worth_a_panic() -> None:
    standings = standings_of(Standing("p", "a", 0.0, vouched=False), Standing("q", "a", 1.2, full=True))
    assert rank([("a", ("p", "q"))], standings, frozenset()) == []


STANDINGS = st.lists(
    st.builds(
        Standing,
        edge_id=st.sampled_from([f"e{n}" for n in range(9)]),
        region=st.sampled_from("ab"),
        utilisation=st.floats(0, 2),
        full=st.booleans(),
        vouched=st.booleans(),
    ),
    unique_by=lambda standing: standing.edge_id,
    max_size=9,
)


@given(STANDINGS, st.randoms(use_true_random=False), st.sets(st.sampled_from([f"e{n}" for n in range(9)])))
def test_whatever_the_mesh_looks_like_the_rules_hold(drawn: list[Standing], rng: Random, failed: set[str]) -> None:
    standings, by_id = standings_of(*drawn), {standing.edge_id: standing for standing in drawn}
    orders = []
    for region in "ab":
        # The order also names edges without a standing: draining ones, and those that died since.
        edge_ids = [s.edge_id for s in drawn if s.region == region] + [f"gone-{region}"]
        rng.shuffle(edge_ids)
        orders.append((region, tuple(edge_ids)))
    picks = rank(orders, standings, failed)
    usable = [s for s in drawn if s.vouched and not s.full]
    doubtful = [s for s in drawn if not s.vouched and not s.full]
    assert len(set(ids(picks))) == len(picks) <= CANDIDATES_MAX
    assert set(ids(picks)) <= {s.edge_id for s in (usable or doubtful)}
    if any(s.vouched for s in drawn):
        assert len(picks) == min(CANDIDATES_MAX, len(usable))
        assert Reason.PANIC not in {pick.reason for pick in picks}
    else:
        assert len(picks) == min(CANDIDATES_MAX, len(doubtful))
    spared = [pick.edge_id not in failed for pick in picks]
    assert spared == sorted(spared, reverse=True)
    for earlier, later in pairwise(picks):
        if (earlier.edge_id in failed) == (later.edge_id in failed):
            first, second = by_id[earlier.edge_id], by_id[later.edge_id]
            crowded = [s.utilisation > standings.bound(s.region) for s in (first, second)]
            assert not usable or crowded == sorted(crowded)
    assert rank(orders, standings, failed) == picks
