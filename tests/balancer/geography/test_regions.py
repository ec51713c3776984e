"""Distances between regions, told and estimated."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.geography.regions import (
    UNKNOWN_MS,
    WITHIN_MS,
    Location,
    RegionTable,
    distance_km,
    parse_locations,
    parse_rtts,
)
from reprise.errors import InvalidRequest

BERLIN, NEW_YORK = Location(52.52, 13.40), Location(40.71, -74.01)
PLACES = st.builds(Location, st.floats(-90, 90), st.floats(-180, 180))


def test_what_was_told_wins_over_the_distance_and_that_over_nothing() -> None:
    table = RegionTable(parse_rtts(["eu us 90", "eu eu 2"]), {"eu": BERLIN, "us": NEW_YORK, "us2": NEW_YORK})
    assert table.rtt_ms("eu", "us") == table.rtt_ms("us", "eu") == 90
    assert (table.rtt_ms("eu", "eu"), table.rtt_ms("us", "us")) == (2, WITHIN_MS)
    assert table.rtt_ms("eu", "us2") == pytest.approx(WITHIN_MS + 1.5 * 63.85, rel=0.01)
    assert table.rtt_ms("eu", "moon") == UNKNOWN_MS
    assert (table.knows("us2"), table.knows("moon")) == (True, False)


@given(PLACES, PLACES)
def test_distances_are_symmetric_and_fit_on_earth(a: Location, b: Location) -> None:
    assert distance_km(a, b) == pytest.approx(distance_km(b, a), abs=1e-3)
    assert 0 <= distance_km(a, b) <= 20_016
    assert distance_km(a, a) == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("eu us", "region_rtts: each entry is two regions and milliseconds, such as 'eu us 90', not 'eu us'"),
        ("eu us fast", "region_rtts: the milliseconds of 'eu us fast' must be a number from 0 to 2000"),
        ("eu us -1", "must be a number from 0 to 2000"),
        ("eu us nan", "must be a number from 0 to 2000"),
        ("e:u us 5", "a region in region_rtts must be"),
        ("us eu 91", "'us eu 91' contradicts 90 ms"),
    ],
)
def test_a_wrong_round_trip_is_named(entry: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_rtts(["eu us 90", entry])


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("us 40.71", "region_locations: each entry is a region, its latitude and longitude"),
        ("us 91 0", "the latitude of 'us 91 0' must be a number from -90 to 90"),
        ("us 40 181", "the longitude of 'us 40 181' must be a number from -180 to 180"),
        ("eu 1 1", "region_locations: 'eu' is there twice"),
    ],
)
def test_a_wrong_location_is_named(entry: str, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        parse_locations(["eu 52.52 13.40", entry])
