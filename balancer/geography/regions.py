"""How far regions are from one another. Pure.

The round trip between two regions is what the operator wrote; else an estimate from where both are; else UNKNOWN_MS. It is
the same there and back.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from reprise.errors import InvalidRequest
from reprise.ids import check_id

UNKNOWN_MS = 50.0
# Between a listener and an edge of the same region: the listener's own line, mostly.
WITHIN_MS = 5.0
RTT_MS_MAX = 2_000.0
_EARTH_RADIUS_KM = 6371.0
_NUMBER = re.compile(r"-?[0-9]{1,5}(\.[0-9]{1,6})?")


@dataclass(frozen=True, slots=True)
class Location:
    """Degrees, north and east positive."""

    latitude: float
    longitude: float


def estimate_ms(a: Location, b: Location) -> float:
    """A round trip between two places: 1 ms for 100 km of glass fibre, which runs half as far again as the crow flies."""
    return WITHIN_MS + 1.5 * distance_km(a, b) / 100


def distance_km(a: Location, b: Location) -> float:
    """Along the great circle, by the haversine formula."""
    north_a, north_b = math.radians(a.latitude), math.radians(b.latitude)
    east = math.radians(b.longitude - a.longitude)
    chord = math.sin((north_b - north_a) / 2) ** 2 + math.cos(north_a) * math.cos(north_b) * math.sin(east / 2) ** 2
    return 2 * _EARTH_RADIUS_KM * math.asin(math.sqrt(min(1.0, chord)))


class RegionTable:
    """What the operator told about regions."""

    def __init__(self, rtts: Mapping[frozenset[str], float], locations: Mapping[str, Location]) -> None:
        self.locations = dict(locations)
        self._rtts = dict(rtts)
        self._known = frozenset(locations).union(*rtts)

    def knows(self, region: str) -> bool:
        """Whether anything was told about it."""
        return region in self._known

    def rtt_ms(self, a: str, b: str) -> float:
        """From a listener in one region to an edge of the other, which may be the same."""
        told = self._rtts.get(frozenset((a, b)))
        if told is not None:
            return told
        if a == b:
            return WITHIN_MS
        if a in self.locations and b in self.locations:
            return estimate_ms(self.locations[a], self.locations[b])
        return UNKNOWN_MS


def parse_rtts(entries: Iterable[str]) -> dict[frozenset[str], float]:
    """Of "region region milliseconds" each; the same region twice is the round trip within it. Raises InvalidRequest."""
    rtts: dict[frozenset[str], float] = {}
    for entry in entries:
        a, b, number = _words(entry, 3, "region_rtts", "two regions and milliseconds, such as 'eu us 90'")
        pair, rtt_ms = frozenset((a, b)), _number(number, 0, RTT_MS_MAX, f"region_rtts: the milliseconds of {entry!r}")
        check_id(a, "a region in region_rtts")
        check_id(b, "a region in region_rtts")
        if rtts.setdefault(pair, rtt_ms) != rtt_ms:
            raise InvalidRequest(f"region_rtts: {entry!r} contradicts {rtts[pair]:g} ms between the same regions")
    return rtts


def parse_locations(entries: Iterable[str]) -> dict[str, Location]:
    """Of "region latitude longitude" each, in degrees. Raises InvalidRequest."""
    locations: dict[str, Location] = {}
    for entry in entries:
        shape = "a region, its latitude and longitude in degrees, such as 'eu 52.52 13.40'"
        region, north, east = _words(entry, 3, "region_locations", shape)
        check_id(region, "a region in region_locations")
        latitude = _number(north, -90, 90, f"region_locations: the latitude of {entry!r}")
        longitude = _number(east, -180, 180, f"region_locations: the longitude of {entry!r}")
        if region in locations:
            raise InvalidRequest(f"region_locations: {region!r} is there twice")
        locations[region] = Location(latitude, longitude)
    return locations


def _words(entry: str, count: int, setting: str, shape: str) -> list[str]:
    words = entry.split()
    if len(words) != count:
        raise InvalidRequest(f"{setting}: each entry is {shape}, not {entry[:80]!r}")
    return words


def _number(text: str, least: float, most: float, what: str) -> float:
    if not _NUMBER.fullmatch(text) or not least <= float(text) <= most:
        raise InvalidRequest(f"{what} must be a number from {least:g} to {most:g}")
    return float(text)
