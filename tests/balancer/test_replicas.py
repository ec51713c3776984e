"""How many edges serve a song."""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from balancer.edges import SongHeat
from balancer.orders import Orders
from balancer.policy import DEFAULT
from balancer.replicas import BITRATE_BPS, Prefill, Replicas

SONG, OTHER = "a1" * 32, "b2" * 32
EDGES = [f"e{number}" for number in range(12)]
CAPACITY_BPS = 1_000_000_000
PORTION_BPS = int(CAPACITY_BPS * DEFAULT.replica_share)


class Region:
    """Twelve equal edges, zones as told."""

    def __init__(self, edges: int = 12, zones: dict[str, str] | None = None, songs_max: int = 100) -> None:
        self.orders = Orders()
        self.replicas = Replicas(self.orders, lambda edge_id: (zones or {}).get(edge_id, ""), songs_max=songs_max)
        self.resize(edges)

    def resize(self, edges: int) -> None:
        self.orders.weigh("a", dict.fromkeys(EDGES[:edges], CAPACITY_BPS))
        self.replicas.resize("a", [CAPACITY_BPS] * edges)

    def hear(self, live_bps: int, now: float, edge_id: str = "e0", waiting: int = 0, song: str = SONG) -> None:
        self.replicas.heard(edge_id, "a", [SongHeat(song, live_bps, waiting)], now)

    def own(self, now: float, song: str = SONG) -> list[str]:
        return list(self.replicas.look(song, "a", now).own)

    def settled(self, now: float) -> list[str]:
        """The members, once all prefills are over."""
        for prefill in self.replicas.due_prefills():
            self.replicas.prefilled(prefill.edge_id, prefill.rendition_id)
        return self.own(now)


def test_a_song_that_few_ask_for_has_its_home_and_is_not_known() -> None:
    region = Region()
    region.hear(PORTION_BPS // 100, 0.0)
    assert region.replicas.wide == 0
    assert region.own(0.0) == [region.orders.of(SONG, "a")[0]]


def test_a_set_doubles_each_second_until_it_carries_the_demand() -> None:
    region, sizes = Region(), []
    for tenth in range(50):
        region.hear(9 * PORTION_BPS, tenth / 10)
        sizes.append(len(region.settled(tenth / 10)))
    assert sizes[::10] == [2, 4, 8, 9, 9]
    assert sorted(sizes) == sizes


def test_growing_keeps_everyone_where_they_are() -> None:
    region = Region()
    before: list[str] = []
    for second in range(6):
        region.hear(10 * PORTION_BPS, second)
        members = region.settled(second)
        assert members[: len(before)] == before
        before = members
    assert before == list(region.orders.of(SONG, "a")[:10])


def test_a_set_shrinks_one_by_one_and_only_when_half_would_do() -> None:
    region = Region()
    for second in range(5):
        region.hear(8 * PORTION_BPS, second)
    assert len(region.settled(5)) == 8
    sizes = []
    for second in range(5, 305):
        region.hear(3 * PORTION_BPS, second)
        region.replicas.tick(second)
        sizes.append(len(region.own(second)))
    assert sizes[0] == 8
    assert sizes[-1] == 5, "three would do for five, but five is not twice three"
    assert all(sizes[at] - sizes[at + 29] <= 1 for at in range(len(sizes) - 29))
    region.hear(0, 306)
    for second in range(306, 500):
        region.replicas.tick(second)
    assert len(region.own(500)) == 1
    assert region.replicas.wide == 0


def test_listeners_that_wait_on_one_edge_widen_the_set_at_once() -> None:
    region = Region()
    region.hear(0, 10.0, waiting=int(1.5 * PORTION_BPS / BITRATE_BPS))
    assert len(region.replicas.due_prefills()) == 1
    assert region.replicas.wide == 1


def test_what_was_given_out_in_the_last_ten_seconds_counts() -> None:
    region = Region()
    for number in range(100):
        region.replicas.assigned("e0", SONG, "a", PORTION_BPS // 40, 1.0, number / 100)
    assert len(region.settled(1.0)) == 2
    quiet = Region()
    for number in range(100):
        quiet.replicas.assigned("e0", SONG, "a", PORTION_BPS // 40, 1.0, float(number))
    assert quiet.replicas.wide == 0


def test_each_of_two_balancers_reckons_with_the_others_listeners() -> None:
    region = Region()
    for _ in range(100):
        region.replicas.assigned("e0", SONG, "a", PORTION_BPS // 150, 2.0, 0.0)
    assert region.replicas.wide == 1


def test_a_new_member_takes_listeners_when_it_is_filled_or_two_seconds_later() -> None:
    region = Region()
    region.hear(2 * PORTION_BPS, 0.0)
    home, second = region.orders.of(SONG, "a")[:2]
    assert region.own(0.5) == [home]
    assert region.replicas.due_prefills() == [Prefill(second, SONG)]
    assert region.replicas.due_prefills() == []
    assert region.own(1.9) == [home]
    assert region.own(2.0) == [home, second]
    region.hear(4 * PORTION_BPS, 3.0)
    for prefill in region.replicas.due_prefills():
        region.replicas.prefilled(prefill.edge_id, prefill.rendition_id)
    assert len(region.own(3.0)) == 4


def test_a_member_that_has_the_song_already_needs_no_prefill() -> None:
    region = Region()
    home, second = region.orders.of(SONG, "a")[:2]
    region.replicas.assigned(second, SONG, "a", 1000, 1.0, 0.0)
    region.hear(2 * PORTION_BPS, 1.0)
    assert region.replicas.due_prefills() == []
    assert region.own(1.0) == [home, second]


def test_the_first_two_members_are_of_different_zones() -> None:
    home, second, third, *_ = Region().orders.of(SONG, "a")
    zones = dict.fromkeys(EDGES, "west") | {third: "east"}
    region = Region(zones=zones)
    region.hear(2 * PORTION_BPS, 0.0)
    assert region.settled(0.0) == [home, third]
    region.hear(3 * PORTION_BPS, 1.0)
    assert region.settled(1.0) == [home, third, second]


def test_a_member_that_dies_is_replaced_by_the_next_which_is_prefilled() -> None:
    region = Region()
    for second in range(4):
        region.hear(3 * PORTION_BPS, second)
    before = region.settled(4)
    region.orders.weigh("a", {edge_id: CAPACITY_BPS for edge_id in EDGES if edge_id != before[1]})
    assert region.own(5.0) == [before[0], before[2]]
    (prefill,) = region.replicas.due_prefills()
    assert region.own(7.0) == [before[0], before[2], prefill.edge_id]


def test_a_song_is_popular_when_a_second_listener_hears_it() -> None:
    region = Region()
    assert not region.replicas.look(SONG, "a", 0.0).popular
    region.replicas.assigned("e0", SONG, "a", 96_000, 1.0, 0.0)
    region.hear(2 * PORTION_BPS // 100, 0.0, song=OTHER)
    assert not region.replicas.look(SONG, "a", 0.0).popular
    for _ in range(2):
        region.replicas.assigned("e0", SONG, "a", 96_000, 1.0, 0.0)
    assert region.replicas.look(SONG, "a", 0.0).popular
    assert not region.replicas.look(SONG, "a", 5.0).popular, "that was a while ago"
    assert region.replicas.look(OTHER, "a", 5.0).popular, "it still plays"


def test_a_dead_edges_report_counts_no_more() -> None:
    region = Region()
    region.hear(5 * PORTION_BPS, 0.0, edge_id="e3")
    region.replicas.forget("e3")
    region.hear(PORTION_BPS // 2, 20.0, edge_id="e4")
    assert len(region.settled(20.0)) == 2, "as it was; nothing made it grow"


REPORTS = st.lists(
    st.tuples(
        st.sampled_from(EDGES),
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4 * PORTION_BPS), st.integers(0, 300)), max_size=4),
        st.floats(0, 3),
        st.integers(1, 12),
    ),
    max_size=25,
)


@settings(max_examples=60)
@given(REPORTS)
def test_whatever_is_reported_sets_stay_within_bounds(
    reports: Iterable[tuple[str, list[tuple[int, int, int]], float, int]],
) -> None:
    region, now = Region(songs_max=3), 0.0
    sizes: dict[str, int] = {}
    for edge_id, rows, pause_s, edges in reports:
        now += pause_s
        region.resize(edges)
        heat = [SongHeat(f"{number:064x}", bps, waiting) for number, bps, waiting in rows]
        region.replicas.heard(edge_id, "a", heat, now)
        region.replicas.tick(now)
        kept = region.replicas._regions["a"]
        assert len(kept.songs) <= 3
        assert kept.wide.keys() <= kept.songs.keys()
        for rendition_id, song in kept.songs.items():
            assert song.live_bps == pytest.approx(sum(song.holders.values()))
            assert song.size <= 2 * sizes.get(rendition_id, 1)
            assert (song.size > 1) == (rendition_id in kept.wide)
            members = region.own(now, rendition_id)
            assert 1 <= len(members) == len(set(members)) <= max(1, song.size)
            assert set(members) <= set(EDGES[:edges])
        sizes = {rendition_id: song.size for rendition_id, song in kept.songs.items()}
    assert set(region.replicas.due_prefills()) <= {Prefill(e, f"{n:064x}") for e in EDGES for n in range(6)}
