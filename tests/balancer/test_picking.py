"""Which edges a listener is sent to, and why."""

from collections import Counter
from random import Random
from typing import Self

from hypothesis import given, settings
from hypothesis import strategies as st

from balancer.edges import SongHeat
from balancer.orders import Orders
from balancer.picking import CANDIDATES_MAX, Pick, Picker, Play, Reason
from balancer.policy import DEFAULT
from balancer.replicas import Replicas
from balancer.standings import Standing, Standings
from reprise import placement

SONG = "a1" * 32
HERE = (("a", 10.0), ("b", 40.0), ("c", 200.0))
CAPACITY_BPS = 1_000_000_000


class Field:
    """Edges as they stand, of capacities all alike; `gone` have a place in the orders and no standing."""

    def __init__(self, *standings: Standing, gone: tuple[str, ...] = (), seed: int = 1) -> None:
        self.standings, self.orders = Standings(), Orders()
        self.by_id = {standing.edge_id: standing for standing in standings}
        self.replicas = Replicas(self.orders, lambda edge_id: self.by_id[edge_id].zone)
        self.picker = Picker(self.standings, self.orders, self.replicas, Random(seed))
        regions: dict[str, dict[str, float]] = {}
        for standing in standings:
            standing.capacity_bps = CAPACITY_BPS
            self.standings.put(standing)
            regions.setdefault(standing.region, dict.fromkeys(gone, 1.0))[standing.edge_id] = 1.0
        for region, weights in regions.items():
            self.orders.weigh(region, weights)
            self.replicas.resize(region, [CAPACITY_BPS] * len(weights))

    def put(self, edge_id: str, **changes: object) -> None:
        old = self.by_id[edge_id]
        values = {name: getattr(old, name) for name in Standing.__slots__}
        if "utilisation" in changes:
            changes.setdefault("committed", changes["utilisation"])
        self.by_id[edge_id] = Standing(**{**values, **changes})
        self.standings.put(self.by_id[edge_id])

    def in_demand(self, region: str = "a") -> Self:
        """Has a few others hear SONG, and no edge have it."""
        self.replicas.heard("somebody", region, [SongHeat(SONG, 2_000_000, 0)], 20.0)
        return self

    def home_takes(self, region: str) -> bool:
        kept, home = self.standings.region(region), self.standings.of(self.orders.of(SONG, region)[0])
        return kept is not None and home is not None and kept.is_roomy_home(home, kept.bound)

    def widen(self, region: str, to: int) -> list[str]:
        """Has SONG served by so many edges of a region, all of which have it."""
        for second in range(10):
            heat = [SongHeat(SONG, int(to * DEFAULT.replica_share * CAPACITY_BPS) - 1, 0)]
            self.replicas.heard("somebody", region, heat, second)
            for prefill in self.replicas.due_prefills():
                self.replicas.prefilled(prefill.edge_id, SONG)
        home = self.orders.of(SONG, region)[0]
        self.replicas.assigned(home, SONG, region, 1, 1.0, 10)
        return list(self.replicas.look(SONG, region, 10.0).own)

    def pick(
        self, session: str = "listener", regions: tuple[tuple[str, float], ...] = HERE, **wishes: object
    ) -> list[Pick]:
        return self.picker.pick(Play(SONG, 96_000, regions, session, **wishes), 20.0)  # type: ignore[arg-type]

    def firsts(self, count: int = 200, **wishes: object) -> Counter[tuple[str, Reason]]:
        picks = [self.pick(f"listener-{number}", **wishes)[0] for number in range(count)]  # type: ignore[arg-type]
        return Counter((pick.edge_id, pick.reason) for pick in picks)


def region_of(count: int, used: float = 0.1, region: str = "a") -> list[Standing]:
    return [busy(f"{region}{number}", region, used) for number in range(count)]


def busy(edge_id: str, region: str, used: float) -> Standing:
    """All that its NIC carries is for its own listeners."""
    return Standing(edge_id, region, used, committed=used)


def ids(picks: list[Pick]) -> list[str]:
    return [pick.edge_id for pick in picks]


def test_a_song_starts_at_home_and_the_order_follows() -> None:
    field = Field(*region_of(5))
    order = field.orders.of(SONG, "a")
    picks = field.pick()
    assert ids(picks) == list(order[:3])
    assert [pick.reason for pick in picks] == [Reason.REPLICA, Reason.OVERFLOW, Reason.OVERFLOW]


def test_an_edge_above_its_cap_is_passed_over_but_stays_a_last_resort() -> None:
    field = Field(busy("p", "a", 0.9), busy("q", "a", 0.2), busy("r", "b", 0.2))
    assert ids(field.pick()) == ["q", "r", "p"]
    assert [pick.reason for pick in field.pick()][1:] == [Reason.SPILL, Reason.TWO_CHOICES]


def test_two_random_edges_of_a_hot_song_are_compared_and_the_emptier_one_wins() -> None:
    field = Field(*region_of(10, 0.2))
    own = field.widen("a", 4)
    assert len(own) == 4
    firsts = field.firsts()
    assert {edge_id for edge_id, _ in firsts} == set(own)
    assert {reason for _, reason in firsts} == {Reason.REPLICA}
    field.put(own[2], utilisation=0.3)
    assert own[2] not in {edge_id for edge_id, _ in field.firsts()}, "two random edges are two different ones"


def test_the_edge_that_starts_sooner_wins_while_it_is_within_its_cap() -> None:
    field = Field(*region_of(4, 0.2))
    one, other = field.widen("a", 2)
    field.put(one, utilisation=0.3)
    assert field.pick()[0].edge_id == other
    assert field.pick(regions=(("a", 100.0),), warm=frozenset({one}))[0].edge_id == one
    assert field.pick(regions=(("a", 1.0),), warm=frozenset({one}))[0].edge_id == other, "nobody hears two milliseconds"
    field.put(other, first_byte_ms=200)
    assert field.pick()[0].edge_id == one
    field.put(one, utilisation=0.8)
    assert field.pick()[0].edge_id == other


def test_the_estimate_is_made_of_round_trips_the_edges_own_time_and_a_miss() -> None:
    field = Field(*region_of(1))
    field.put("a0", first_byte_ms=7)
    assert field.pick()[0].start_ms == 3 * 10 + 7 + DEFAULT.miss_ms
    field.replicas.assigned("a0", SONG, "a", 96_000, 1.0, 1.0)
    assert field.pick()[0].start_ms == 3 * 10 + 7
    assert field.pick(warm=frozenset({"a0"}))[0].start_ms == 10 + 7


def test_a_ramping_edge_has_a_part_of_the_cap() -> None:
    field = Field(*region_of(4, 0.3))
    home = field.orders.of(SONG, "a")[0]
    field.put(home, utilisation=0.21, ramp=0.2)
    assert field.pick()[0].edge_id != home, "whatever the song"
    field.in_demand()
    field.put(home, utilisation=0.1, ramp=0.2)
    assert field.pick()[0].edge_id != home
    field.put(home, utilisation=0.05, ramp=0.2)
    assert field.pick()[0].edge_id == home


def test_a_song_that_hardly_anybody_hears_stays_with_its_home_until_that_is_full_or_out_of_breath() -> None:
    """Its home would relay it, byte for byte, and look the more crowded for it."""
    field = Field(*region_of(4, 0.4))
    home, second, *_ = field.orders.of(SONG, "a")
    field.put(home, utilisation=1.3, committed=0.99)
    assert field.pick()[0].edge_id == home
    field.put(home, utilisation=1.3, committed=0.99, strain=0.95)
    assert field.pick()[0].edge_id == second
    field.put(home, utilisation=1.3, committed=0.99, strain=0.0, full=True)
    assert field.pick()[0].edge_id == second


def test_a_song_in_demand_leaves_a_crowded_home_for_an_edge_that_has_it() -> None:
    field = Field(*region_of(4, 0.4)).in_demand()
    home, second, third, _ = field.orders.of(SONG, "a")
    field.put(home, utilisation=0.8)
    assert field.pick()[0].edge_id == second
    field.replicas.assigned(third, SONG, "a", 96_000, 1.0, 20.0)
    assert field.pick()[0] == Pick(third, Reason.OVERFLOW, 30)


def test_an_exhausted_region_keeps_what_is_left_for_the_songs_that_are_there() -> None:
    field = Field(*region_of(10, 0.95))
    home, other, *_ = field.orders.of(SONG, "a")
    field.put(home, utilisation=1.0, full=True)
    assert field.pick() == [], "each would have to be fetched from an edge that is full"
    field.put(home, utilisation=0.99, full=False)
    field.put(other, utilisation=1.0, full=True)
    assert field.pick()[0].edge_id == home
    field.put(other, utilisation=0.5, full=False)
    field.put(home, utilisation=1.0, full=True)
    assert field.pick()[0].edge_id == other, "while anyone has room nobody is turned away"


def test_in_a_crowded_region_a_song_stays_with_its_own_edges() -> None:
    field = Field(*region_of(8, 0.95))
    own = field.widen("a", 3)
    firsts = field.firsts()
    assert {edge_id for edge_id, _ in firsts} <= set(own)
    field.put(own[1], utilisation=0.93)
    assert set(field.firsts()) == {(own[1], Reason.REPLICA)}


def test_beyond_the_kept_order_two_choices_find_the_room_that_is_left() -> None:
    field = Field(*region_of(60, 0.5))
    order = placement.rank(SONG, field.in_demand().by_id)
    for edge_id in order[:40]:
        field.put(edge_id, utilisation=0.95)
    firsts = field.firsts()
    assert {reason for _, reason in firsts} == {Reason.TWO_CHOICES}
    assert {edge_id for edge_id, _ in firsts} <= set(order[40:])
    assert len(firsts) > 10


def test_the_second_candidate_is_of_another_zone() -> None:
    field = Field(*region_of(6))
    order = field.orders.of(SONG, "a")
    for edge_id in order:
        field.put(edge_id, zone="east" if edge_id == order[4] else "west")
    assert ids(field.pick()) == [order[0], order[4], order[1]]


def test_an_edge_that_just_failed_the_listener_comes_last_but_before_nothing() -> None:
    field = Field(*region_of(4))
    p, q, r, s = field.orders.of(SONG, "a")
    assert ids(field.pick(failed=frozenset({p}))) == [q, r, s]
    assert ids(field.pick(failed=frozenset({p, q, r}))) == [s, p, q]
    assert ids(field.pick(failed=frozenset({p, q, r, s}))) == [p, q, r]
    assert {pick.reason for pick in field.pick(failed=frozenset({p, q, r, s}))} == {Reason.RETRY}


def test_a_loaded_region_sends_some_sessions_away_and_always_the_same() -> None:
    field = Field(*region_of(4, 0.875), *region_of(4, 0.2, "b"), *region_of(4, 0.0, "c"))
    gone = {n for n in range(400) if field.pick(f"listener-{n}")[0].reason is Reason.SPILL}
    assert 120 < len(gone) < 280
    assert {field.pick(f"listener-{n}")[0].edge_id[0] for n in gone} == {"b"}, (
        "the near one, though the far one is idle"
    )
    assert gone == {n for n in range(400) if field.pick(f"listener-{n}")[0].reason is Reason.SPILL}
    for edge_id in field.orders.of(SONG, "a"):
        field.put(edge_id, utilisation=0.9)
    assert gone <= {n for n in range(400) if field.pick(f"listener-{n}")[0].reason is Reason.SPILL}


def test_nobody_leaves_for_a_region_that_is_loaded_itself() -> None:
    field = Field(*region_of(4, 0.9), *region_of(4, 0.85, "b"))
    assert {reason for _, reason in field.firsts()} == {Reason.REPLICA}


def test_a_region_without_edges_sends_everybody_to_the_nearest_one() -> None:
    field = Field(*region_of(4, 0.1, "b"), *region_of(4, 0.1, "c"))
    picks = field.pick()
    assert {pick.edge_id[0] for pick in picks} == {"b"}
    assert {pick.reason for pick in picks} == {Reason.SPILL}


def test_edges_in_doubt_get_work_only_in_panic_and_when_the_others_have_no_room() -> None:
    field = Field(busy("good", "a", 0.5), *(Standing(f"d{n}", "a", 0.0, vouched=False) for n in range(3)))
    field.in_demand()
    assert field.pick()[0].edge_id == "good"
    assert {pick.reason for pick in field.pick()[1:]} == {Reason.PANIC}
    field.put("good", utilisation=0.95)
    assert field.pick()[0].reason is Reason.PANIC
    field.put("d0", vouched=True, utilisation=0.95)
    assert "d1" not in ids(field.pick()), "half of the edges are in order"


def test_there_is_no_panic_while_another_region_has_room() -> None:
    doubtful = [Standing(f"d{n}", "a", 0.0, vouched=False) for n in range(3)]
    field = Field(*doubtful, busy("near", "b", 0.5))
    assert ids(field.pick()) == ["near"]
    field.put("near", utilisation=0.9)
    assert ids(field.pick())[0] == "near"
    assert {pick.reason for pick in field.pick()[1:]} == {Reason.PANIC}


STANDINGS = st.lists(
    st.builds(
        Standing,
        edge_id=st.sampled_from([f"e{n}" for n in range(24)]),
        region=st.sampled_from("ab"),
        utilisation=st.floats(0, 2),
        full=st.booleans(),
        vouched=st.sampled_from([True, True, True, False]),
        committed=st.floats(0, 2),
        ramp=st.sampled_from([1.0, 1.0, 0.5, 0.1]),
        zone=st.sampled_from(["", "east", "west"]),
    ),
    unique_by=lambda standing: standing.edge_id,
    max_size=24,
)


@settings(max_examples=150)
@given(
    STANDINGS,
    st.integers(0, 10**6),
    st.frozensets(st.sampled_from([f"e{n}" for n in range(24)]), max_size=6),
    st.sampled_from([0, 3, 8]),
    st.text("xyz", max_size=3),
)
def test_whatever_the_mesh_looks_like_the_rules_hold(
    drawn: list[Standing], seed: int, failed: frozenset[str], demand: int, session: str
) -> None:
    field = Field(*drawn, gone=("gone-1", "gone-2"), seed=seed)
    field.by_id |= {gone: Standing(gone, "", 0.0) for gone in ("gone-1", "gone-2")}
    if demand and (region := field.standings.region("a")):
        field.widen(region.name, demand)
    regions = (("a", 10.0), ("b", 40.0))
    picks = field.pick(session, regions, failed=failed)
    usable = {s.edge_id for s in drawn if s.vouched and not s.full}
    doubtful = {s.edge_id for s in drawn if not s.vouched and not s.full}
    in_panic = {region.name for region in field.standings.regions() if field.picker.is_in_panic(region)}
    chosen = [field.by_id[pick.edge_id] for pick in picks]

    assert len(set(ids(picks))) == len(picks) <= CANDIDATES_MAX
    assert set(ids(picks)) <= usable | doubtful, "neither full nor gone"
    assert {s.region for s in chosen if not s.vouched} <= in_panic
    open_to_all = {region.name for region in field.standings.regions() if not region.is_exhausted}
    assert len(picks) >= min(CANDIDATES_MAX, len({s.edge_id for s in drawn if s.region in open_to_all} & usable))
    spared = [pick.edge_id not in failed for pick in picks]
    assert spared == sorted(spared, reverse=True), "who failed comes last"
    assert all((pick.reason is Reason.RETRY) == (pick.edge_id in failed) for pick in picks)
    assert all(pick.start_ms >= 10 for pick in picks)
    if not picks or picks[0].edge_id in failed:
        return
    region = field.standings.region(chosen[0].region)
    assert region is not None
    popular = field.replicas.look(SONG, region.name, 20.0).popular
    home = field.orders.of(SONG, region.name)[0]
    assert popular or picks[0].edge_id == home or home in failed or not field.home_takes(region.name)
    if popular and not region.is_roomy(chosen[0], region.bound):
        others = [s for s in region.edges.values() if s.edge_id not in failed]
        assert not any(region.is_roomy(s, region.bound) for s in others), "the bound is kept while anyone has room"
