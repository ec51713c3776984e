"""Coordinates of addresses from a database in MaxMind's format that the operator has. None comes with Reprise.

Never stops a route: a part of the file that turns out to be broken says nothing about the addresses in it.
"""

from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from balancer.geography.regions import Location
from reprise.config import ConfigError
from reprise.prefixes import Address

if TYPE_CHECKING:
    from maxminddb import Reader

_RECORDS_TRIED = 1_000


class GeoIp:
    """An open database. The file is mapped: replace it by renaming, never by writing into it."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when there is no database with coordinates at `path`."""
        # Half as long as all else that a balancer loads: only those pay who have a database.
        import maxminddb

        self._broken = (maxminddb.InvalidDatabaseError, ValueError)
        try:
            self._reader: Reader = maxminddb.open_database(path)
            if not any(_location(record) for _network, record in islice(self._reader, _RECORDS_TRIED)):
                raise ConfigError(
                    f"geoip_path: {path} ({self._reader.metadata().database_type}) holds no coordinates:"
                    " use a database of cities"
                )
        except OSError as error:
            raise ConfigError(f"geoip_path: cannot read {path}: {error.strerror or error}") from None
        except self._broken as error:
            raise ConfigError(f"geoip_path: {path} is no sound MaxMind database: {error}") from None

    def locate(self, address: Address) -> Location | None:
        try:
            return _location(self._reader.get(address))
        except self._broken:  # also an IPv6 address and a database of IPv4
            return None

    def close(self) -> None:
        self._reader.close()


def _location(record: object) -> Location | None:
    location = record.get("location") if isinstance(record, dict) else None
    if not isinstance(location, dict):
        return None
    latitude, longitude = location.get("latitude"), location.get("longitude")
    if not isinstance(latitude, float | int) or not isinstance(longitude, float | int):
        return None
    return Location(latitude, longitude)
