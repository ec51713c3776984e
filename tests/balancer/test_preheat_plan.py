"""Who is given which bytes before a moment, and when that begins."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from balancer.preheat_plan import (
    BATCH,
    EDGES_PER_REGION,
    MARGIN_S,
    PREFIX_BYTES,
    Wish,
    batches,
    begins,
    due,
    plan,
    size_of,
)
from reprise.placement import rank_by_capacity
from reprise.types.v1.types_pb2 import Rendition

MBPS = 1_000_000
NORTH = {f"n{n}": 1000 for n in range(5)}
MEMBERS = {"north": NORTH, "south": {"s0": 1000, "s1": 4000}}


def songs(count: int, size_bytes: int = 5_000_000) -> tuple[Rendition, ...]:
    return tuple(Rendition(rendition_id=f"{n:064x}", size_bytes=size_bytes) for n in range(count))


@given(
    st.integers(1, 40),
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("pqrstuv"), st.integers(1, 9), min_size=1)),
    st.integers(1, 5),
)
def test_each_region_reads_each_rendition_once_at_its_home_and_warms_the_edges_that_listeners_are_sent_to_first(
    count: int, shape: dict[str, dict[str, int]], edges_per_region: int
) -> None:
    members = {region: {f"{region}-{e}": nic for e, nic in edges.items()} for region, edges in shape.items()}
    wish = Wish("x", songs(count), edges_per_region=edges_per_region)
    planned = plan(wish, members, 100 * MBPS)
    read = Counter(r.rendition_id for errand in planned.homes for r in errand.renditions)
    assert read == ({r.rendition_id: len(members) for r in wish.renditions} if members else {})
    given_to: dict[str, set[str]] = {}
    for errand in (*planned.homes, *planned.others):
        for rendition in errand.renditions:
            given_to.setdefault(rendition.rendition_id, set()).add(errand.edge_id)
    for rendition_id, edges in given_to.items():
        wanted = {e for m in members.values() for e in rank_by_capacity(rendition_id, m)[:edges_per_region]}
        assert edges == wanted
    assert planned.origin_bps_max * max(1, len(planned.homes)) <= 100 * MBPS


def test_others_are_told_who_has_to_have_it_first() -> None:
    planned = plan(Wish("x", songs(20), regions=("north",)), MEMBERS, 100 * MBPS)
    homes = {r.rendition_id: errand.edge_id for errand in planned.homes for r in errand.renditions}
    assert len(homes) == 20
    assert sum(len(errand.renditions) for errand in planned.others) == 20 * (EDGES_PER_REGION - 1)
    assert all(homes[r.rendition_id] == errand.home_id for errand in planned.others for r in errand.renditions)


def test_a_region_without_edges_is_given_nothing() -> None:
    assert plan(Wish("x", songs(3), regions=("west",)), MEMBERS, MBPS).homes == ()


def test_a_prefix_is_no_longer_than_its_song() -> None:
    assert size_of(songs(2, 5_000_000), whole=False) == 2 * PREFIX_BYTES
    assert size_of(songs(2, 5_000_000), whole=True) == 10_000_000
    assert size_of(songs(2, 1000), whole=False) == 2000


def test_commands_have_a_bearable_size() -> None:
    (errand,) = plan(Wish("x", songs(2 * BATCH + 1)), {"a": {"e": 1}}, MBPS).homes
    assert [len(batch) for batch in batches(errand)] == [BATCH, BATCH, 1]


def test_a_preheat_begins_early_enough_to_be_done_twice_before_the_moment() -> None:
    wish = Wish("x", songs(100), at_unix_s=10_000.0, regions=("north",))
    began = begins({"r": wish}, MEMBERS, 10 * MBPS)["r"]
    origin_s = 100 * PREFIX_BYTES * 8 / (10 * MBPS)
    assert 10_000.0 - began >= MARGIN_S + 2 * origin_s
    assert due({"r": began}, began - 1) == []
    assert due({"r": began}, began) == ["r"]


def test_releases_of_one_moment_wait_for_one_another_and_begin_earlier_for_it() -> None:
    wishes = {f"r{n}": Wish("x", songs(100), at_unix_s=10_000.0) for n in range(3)}
    first, second, third = begins(wishes, MEMBERS, 10 * MBPS).values()
    assert first > second > third
    # The third needs the head start that only all three together need: so the first begins with it.
    assert due(begins(wishes, MEMBERS, 10 * MBPS), third) == ["r0", "r1", "r2"]


def test_without_edges_nothing_fails() -> None:
    assert list(begins({"r": Wish("x", songs(3), at_unix_s=100.0)}, {}, MBPS)) == ["r"]
