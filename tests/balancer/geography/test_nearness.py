"""The order of evidence, one story each."""

from collections.abc import Callable
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.geography.cidrs import parse_cidrs
from balancer.geography.nearness import Evidence, Geography
from balancer.geography.networks import Networks
from balancer.geography.regions import WITHIN_MS, Location, RegionTable, parse_rtts
from reprise.prefixes import Address

BERLIN, NEW_YORK, TOKYO = Location(52.5, 13.4), Location(40.7, -74.0), Location(35.7, 139.7)
RTTS = parse_rtts(["eu us 90", "eu asia 200", "us asia 150"])
LISTENER = "192.0.2.1"
EVERYWHERE = {"192.0.2": BERLIN, "198.51.100": NEW_YORK}


def located(address: Address) -> Location | None:
    return EVERYWHERE.get(str(address).rpartition(".")[0])


def geography(
    *cidrs: str, regions: str = "eu us asia", locate: Callable[[Address], Location | None] | None = None
) -> Geography:
    table = RegionTable(RTTS, {"eu": BERLIN, "us": NEW_YORK, "asia": TOKYO} if locate else {})
    made = Geography(table, Networks(lambda: None), "us", locate)
    made.set_mesh(frozenset(regions.split()))
    made.set_cidrs(parse_cidrs(cidrs))
    return made


def teach(made: Geography, region: str, rtt_ms: float, now: float = 0.0, network: str = "192.0.2") -> None:
    for host in range(1, 6):
        made.learn(f"{network}.{host}", region, rtt_ms, now)


def first(made: Geography, asked: str = "", address: str = LISTENER, **measured: float) -> tuple[str, Evidence]:
    near = made.regions(asked, measured, address, 1.0)
    return near.regions[0][0], near.evidence


def test_those_who_say_nothing_are_in_the_default_region_and_the_others_follow_by_the_table() -> None:
    near = geography().regions("", {}, LISTENER, 0.0)
    assert near.regions == (("us", WITHIN_MS), ("eu", WITHIN_MS + 90), ("asia", WITHIN_MS + 150))
    assert near.evidence is Evidence.DEFAULT


def test_the_database_beats_the_default() -> None:
    made = geography(locate=located)
    assert first(made) == ("eu", Evidence.GEOIP)
    assert first(made, address="198.51.100.1") == ("us", Evidence.GEOIP)
    assert first(made, address="203.0.113.1") == ("us", Evidence.DEFAULT)
    regions = made.regions("", {}, LISTENER, 0.0).regions
    assert [region for region, _ in regions] == ["eu", "us", "asia"]
    assert regions[1][1] == pytest.approx(WITHIN_MS + 1.5 * 63.85, rel=0.01)


def test_the_operators_file_beats_the_database() -> None:
    assert first(geography("192.0.2.0/24 asia", locate=located)) == ("asia", Evidence.CIDR)


def test_what_the_network_learned_beats_the_operators_file() -> None:
    made = geography("192.0.2.0/24 asia")
    teach(made, "asia", 150.0)
    teach(made, "eu", 15.0)
    assert first(made, address="192.0.2.77") == ("eu", Evidence.LEARNED)
    assert first(made, address="192.0.3.1") == ("us", Evidence.DEFAULT)


def test_a_far_region_that_was_tried_is_not_put_before_the_near_one_that_was_not() -> None:
    """As after plays that spilled over."""
    made = geography("192.0.2.0/24 eu")
    teach(made, "asia", 210.0)
    assert first(made) == ("eu", Evidence.CIDR)
    assert dict(made.regions("", {}, LISTENER, 1.0).regions)["asia"] == 210.0


def test_a_network_that_is_near_another_region_than_the_default_goes_there() -> None:
    made = geography()
    teach(made, "eu", 20.0)
    assert first(made) == ("eu", Evidence.LEARNED)
    teach(made, "us", 8.0)
    assert first(made) == ("us", Evidence.LEARNED)
    far = geography()
    teach(far, "asia", 200.0)
    assert first(far) == ("us", Evidence.DEFAULT)


def test_a_slow_line_makes_no_region_nearer_that_nobody_tried() -> None:
    made = geography("192.0.2.0/24 eu", locate=located)
    teach(made, "eu", 300.0)
    regions = made.regions("", {}, LISTENER, 1.0).regions
    assert regions == (("eu", 300.0), ("us", 390.0), ("asia", 500.0))


def test_the_listeners_own_measurements_beat_what_its_network_learned() -> None:
    made = geography()
    teach(made, "us", 10.0)
    assert first(made, eu=25.0, asia=180.0) == ("eu", Evidence.MEASURED)
    near = made.regions("", {"eu": 25.0, "asia": 180.0}, LISTENER, 1.0)
    assert near.regions == (("eu", 25.0), ("us", 25.0), ("asia", 180.0)), "none is nearer than the first"


def test_measurements_of_regions_without_edges_say_nothing() -> None:
    assert first(geography(), atlantis=1.0) == ("us", Evidence.DEFAULT)


def test_a_region_that_is_asked_for_stands_first_unless_measurements_contradict() -> None:
    made = geography()
    teach(made, "eu", 10.0)
    assert first(made, asked="asia") == ("asia", Evidence.ASKED)
    assert first(made, asked="asia", asia=40.0, eu=12.0) == ("asia", Evidence.ASKED)
    assert first(made, asked="asia", asia=180.0, eu=12.0) == ("eu", Evidence.MEASURED)
    assert first(made, asked="asia", eu=12.0) == ("asia", Evidence.ASKED), "it was not measured"


def test_a_region_without_edges_still_says_where_somebody_is() -> None:
    made = geography("192.0.2.0/24 eu", regions="us asia")
    assert made.regions("", {}, LISTENER, 0.0).regions[0] == ("us", WITHIN_MS + 90)
    assert made.regions("eu", {}, "", 0.0).regions[0][0] == "us"
    assert first(made, asked="atlantis") == ("us", Evidence.CIDR), "nothing is known of it"


def test_who_is_near_changes_with_the_edges_and_with_the_file() -> None:
    made = geography("192.0.2.0/24 eu")
    assert first(made) == ("eu", Evidence.CIDR)
    assert first(made, asked="eu") == ("eu", Evidence.ASKED)
    made.set_mesh(frozenset({"us", "asia"}))
    assert first(made, asked="eu") == ("us", Evidence.ASKED)
    assert [region for region, _ in made.regions("", {}, LISTENER, 0.0).regions] == ["us", "asia"]
    made.set_cidrs(parse_cidrs(["192.0.2.0/24 asia"]))
    assert first(made) == ("asia", Evidence.CIDR)
    made.set_mesh(frozenset())
    assert made.regions("", {}, LISTENER, 0.0).regions == ()


def test_nothing_is_learned_from_loopback_unknown_round_trips_or_regions_without_edges() -> None:
    made = geography(regions="eu us")
    teach(made, "eu", 1.0, network="127.0.0")
    teach(made, "eu", 0.0)
    teach(made, "asia", 1.0)
    made.learn("", "eu", 1.0, 0.0)
    assert first(made, address="127.0.0.1") == first(made) == first(made, address="") == ("us", Evidence.DEFAULT)


def test_what_was_learned_of_a_region_returns_with_its_edges() -> None:
    made = geography()
    teach(made, "eu", 10.0)
    made.set_mesh(frozenset({"us"}))
    assert first(made) == ("us", Evidence.DEFAULT)
    made.set_mesh(frozenset({"us", "eu"}))
    assert first(made) == ("eu", Evidence.LEARNED)


RTT = st.floats(0, 2000)
REGION = st.sampled_from(["eu", "us", "asia", "atlantis"])


@given(
    mesh=st.frozensets(st.sampled_from(["eu", "us", "asia", "africa"])),
    asked=st.one_of(st.just(""), REGION),
    measured=st.dictionaries(REGION, RTT),
    learned=st.dictionaries(REGION, RTT),
    located_at=st.one_of(st.none(), st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))),
    cidr=st.sampled_from(["", "192.0.2.0/24 eu", "0.0.0.0/0 atlantis"]),
)
def test_every_region_of_the_mesh_is_there_once_nearest_first(
    mesh: frozenset[str],
    asked: str,
    measured: dict[str, float],
    learned: dict[str, float],
    located_at: Location | None,
    cidr: str,
) -> None:
    made = geography(cidr, regions=" ".join(mesh), locate=lambda _address: located_at)
    for region, rtt_ms in learned.items():
        teach(made, region, rtt_ms)
    near = made.regions(asked, measured, LISTENER, 1.0)
    assert sorted(region for region, _ in near.regions) == sorted(mesh)
    rtts = [rtt_ms for _, rtt_ms in near.regions]
    assert rtts == sorted(rtts)
    assert all(rtt_ms >= 0 for rtt_ms in rtts)


def test_the_place_of_an_address_is_looked_up_once() -> None:
    asked: list[Address] = []
    made = geography(locate=lambda address: asked.append(address) or BERLIN)  # type: ignore[func-returns-value]
    for _ in range(3):
        assert first(made) == ("eu", Evidence.GEOIP)
    assert asked == [ip_address(LISTENER)]
