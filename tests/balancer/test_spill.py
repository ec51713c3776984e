"""Which listeners leave a loaded region."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.policy import DEFAULT
from balancer.spill import Refuge, leaves, refuge, share

LOADS = st.floats(0, 2)
SESSIONS = [f"session-{number}" for number in range(2000)]
REFUGES = st.lists(
    st.builds(Refuge, st.sampled_from("bcdefg"), st.floats(0, 300), st.floats(0, 1e9)), unique_by=lambda one: one.region
)


@pytest.mark.parametrize(("load", "part"), [(0.5, 0), (0.8, 0), (0.875, 0.5), (0.95, 1), (1.5, 1), (float("inf"), 1)])
def test_a_region_keeps_its_listeners_until_it_is_loaded(load: float, part: float) -> None:
    assert share(load, DEFAULT) == pytest.approx(part)
    gone = sum(leaves(session, share(load, DEFAULT)) for session in SESSIONS)
    assert gone == pytest.approx(part * len(SESSIONS), abs=0.04 * len(SESSIONS))


@given(LOADS, LOADS, st.sampled_from(SESSIONS))
def test_who_left_at_a_lower_load_leaves_at_a_higher_one(one: float, other: float, session: str) -> None:
    low, high = sorted((one, other))
    assert leaves(session, share(low, DEFAULT)) <= leaves(session, share(high, DEFAULT))


@given(REFUGES, st.sampled_from(SESSIONS))
def test_a_session_goes_where_there_is_room_nearby_and_always_there(refuges: list[Refuge], session: str) -> None:
    chosen = refuge(session, refuges, DEFAULT)
    roomy = {one.region: one.rtt_ms for one in refuges if one.free_bps > 0}
    if not roomy:
        assert chosen is None
        return
    assert chosen is not None
    assert roomy[chosen] <= min(roomy.values()) + DEFAULT.spill_band_ms
    assert refuge(session, list(reversed(refuges)), DEFAULT) == chosen


def test_regions_alike_near_share_what_is_spilled_by_their_room() -> None:
    refuges = [Refuge("large", 20, 3e9), Refuge("small", 40, 1e9), Refuge("far", 200, 9e9)]
    chosen = Counter(refuge(session, refuges, DEFAULT) for session in SESSIONS)
    assert chosen["large"] / chosen["small"] == pytest.approx(3, rel=0.25)
    assert chosen["far"] == 0
