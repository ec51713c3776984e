"""How many edges a region should have."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.scaling import CROWDED_P90, CROWDED_S, SCALE_IN_AFTER_S, Desired, RegionFigures, Scaling, desired

GBPS = 1_000_000_000


def figures(ready: int = 4, utilisation: float = 0.3, **changes: int) -> RegionFigures:
    idle = RegionFigures(
        region="a",
        utilisations=(utilisation,) * ready,
        active_streams=0,
        stream_limit=1000 * ready,
        pending_grants=0,
        committed_bps=0,
        capacity_bps=GBPS * ready,
    )
    return replace(idle, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (figures(), Desired(1, "idle")),
        (figures(active_streams=100, committed_bps=600_000_000), Desired(1, "idle")),
        (figures(active_streams=100, committed_bps=600_000_001), Desired(2, "bandwidth")),
        (figures(active_streams=100, committed_bps=3 * GBPS), Desired(5, "bandwidth")),
        # A hundred more that were promised count as much as the hundred that play.
        (figures(active_streams=100, pending_grants=100, committed_bps=GBPS), Desired(4, "bandwidth")),
        (figures(active_streams=700), Desired(1, "idle")),
        (figures(active_streams=650, pending_grants=51), Desired(2, "streams")),
        (figures(utilisation=0.79), Desired(1, "idle")),
        (figures(utilisation=0.80), Desired(5, "imbalance")),
        # One hot edge of twenty is the balancer's to cool; three are not.
        (figures(20, utilisations=(0.1,) * 19 + (0.95,)), Desired(1, "idle")),  # type: ignore[arg-type]
        (figures(20, utilisations=(0.1,) * 17 + (0.95,) * 3), Desired(21, "imbalance")),  # type: ignore[arg-type]
    ],
)
def test_the_row_that_asks_for_most_decides_and_is_named(seen: RegionFigures, expected: Desired) -> None:
    assert desired(seen, CROWDED_S if seen.p90 >= CROWDED_P90 else 0.0) == expected


def test_capacity_is_that_of_the_edges_that_are_there() -> None:
    small = figures(2, active_streams=100, committed_bps=GBPS, capacity_bps=GBPS)
    assert desired(small, 0.0).edges == 4


def test_more_is_asked_for_at_once_and_fewer_after_five_quiet_minutes() -> None:
    scaling = Scaling()
    busy, quiet = figures(active_streams=9, committed_bps=3 * GBPS), figures()
    scaling.look([quiet], 0.0)
    assert scaling.of("a") == Desired(1, "idle")
    scaling.look([busy], 5.0)
    assert scaling.of("a") == Desired(5, "bandwidth")
    scaling.look([quiet], 10.0)
    scaling.look([quiet], 5.0 + SCALE_IN_AFTER_S - 0.1)
    assert scaling.of("a") == Desired(5, "bandwidth")
    scaling.look([quiet], 5.0 + SCALE_IN_AFTER_S)
    assert scaling.of("a") == Desired(1, "idle")


def test_a_crowded_edge_counts_when_it_stays_crowded() -> None:
    scaling = Scaling()
    crowded, calm = figures(utilisation=0.9), figures()
    for now, seen in ((0.0, crowded), (10.0, calm), (15.0, crowded), (29.9, crowded)):
        scaling.look([seen], now)
        assert scaling.of("a") == Desired(1, "idle")
    scaling.look([crowded], 30.0)
    assert scaling.of("a") == Desired(5, "imbalance")


def test_a_short_peak_in_the_quiet_begins_the_wait_anew() -> None:
    scaling = Scaling()
    busy, less = figures(active_streams=9, committed_bps=3 * GBPS), figures(active_streams=9, committed_bps=GBPS)
    for now, seen in ((0.0, busy), (200.0, busy), (250.0, less), (499.0, figures())):
        scaling.look([seen], now)
    assert scaling.of("a").edges == 5
    scaling.look([figures()], 500.0)
    assert scaling.of("a").edges == 2


def test_a_region_whose_edges_all_died_keeps_its_number_and_one_without_edges_is_forgotten() -> None:
    scaling = Scaling()
    scaling.look([figures(active_streams=9, committed_bps=3 * GBPS)], 0.0)
    scaling.look([figures(0)], 1000.0)
    assert scaling.of("a").edges == 5
    scaling.look([], 1005.0)
    assert scaling.of("a") == Desired(1, "idle")


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 20)), max_size=40))
def test_the_number_is_always_the_highest_of_the_last_five_minutes(looks: list[tuple[float, int]]) -> None:
    scaling, now, seen = Scaling(), 0.0, []
    for pause, load in looks:
        now += pause
        look = figures(active_streams=1, committed_bps=load * GBPS // 10)
        scaling.look([look], now)
        seen.append((now, desired(look, 0.0).edges))
        assert scaling.of("a").edges == max(edges for at, edges in seen if at > now - SCALE_IN_AFTER_S)


def test_percentiles_of_few_edges_are_the_busiest() -> None:
    seen = figures(3, utilisations=(0.1, 0.2, 0.9))  # type: ignore[arg-type]
    assert (seen.edges_ready, round(seen.mean, 3), seen.p90, seen.busiest) == (3, 0.4, 0.9, 0.9)
    none = figures(0)
    assert (none.edges_ready, none.mean, none.p90, none.busiest) == (0, 0.0, 0.0, 0.0)
