"""A database of coordinates: found in it, or a clear word about what is wrong with it."""

from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import pytest

from balancer.geography.geoip import GeoIp
from balancer.geography.regions import Location
from reprise.config import ConfigError
from tests.balancer.geography import mmdb


@pytest.fixture
def database(tmp_path: Path) -> Iterator[GeoIp]:
    records: dict[str, mmdb.Value] = {
        "192.0.2.0/24": {"location": {"latitude": 52.52, "longitude": 13.4}},
        "198.51.100.0/24": {"country": {"iso_code": "US"}},
        "203.0.113.0/24": {"location": {"latitude": "north", "longitude": 1.0}},
    }
    opened = GeoIp(mmdb.write(tmp_path / "city.mmdb", records))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("address", "location"),
    [
        ("192.0.2.200", Location(52.52, 13.4)),
        ("198.51.100.1", None),
        ("203.0.113.1", None),
        ("10.0.0.1", None),
        ("2001:db8::1", None),
    ],
)
def test_an_address_is_where_the_database_says_or_nowhere(
    database: GeoIp, address: str, location: Location | None
) -> None:
    assert database.locate(ip_address(address)) == location


def _missing(path: Path) -> None:
    """No file."""


def _text(path: Path) -> None:
    path.write_text("192.0.2.0/24 eu\n" * 100)


def _cut(path: Path) -> None:
    mmdb.write(path, {"192.0.2.0/24": {"location": {"latitude": 1.0, "longitude": 1.0}}})
    path.write_bytes(path.read_bytes()[-200:])


def _countries(path: Path) -> None:
    mmdb.write(path, {"192.0.2.0/24": {"country": {"iso_code": "DE"}}}, "Test-Country")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_missing, "geoip_path: cannot read .*x.mmdb: No such file"),
        (_text, "geoip_path: .*x.mmdb is no sound MaxMind database"),
        (_cut, "geoip_path: .*x.mmdb"),
        (_countries, r"geoip_path: .*x.mmdb \(Test-Country\) holds no coordinates: use a database of cities"),
    ],
)
def test_a_file_that_is_no_database_of_coordinates_ends_the_start(
    tmp_path: Path, make: Callable[[Path], None], message: str
) -> None:
    make(tmp_path / "x.mmdb")
    with pytest.raises(ConfigError, match=message):
        GeoIp(tmp_path / "x.mmdb")


def test_a_part_that_is_broken_says_nothing(tmp_path: Path) -> None:
    here = {"location": {"latitude": 1.0, "longitude": 2.0}}
    path = mmdb.write(
        tmp_path / "city.mmdb", {"10.0.0.0/8": here, "192.0.2.0/24": {"a": {"b": "broken", "c": "record"}}}
    )
    content = path.read_bytes()
    path.write_bytes(content.replace(b"\x46broken", b"\x5dbroken"))
    database = GeoIp(path)
    assert database.locate(ip_address("10.1.2.3")) == Location(1.0, 2.0)
    assert database.locate(ip_address("192.0.2.1")) is None
    database.close()
