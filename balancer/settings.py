"""Settings of a balancer."""

from dataclasses import dataclass
from pathlib import Path

from reprise.config import ConfigError
from reprise.errors import InvalidRequest
from reprise.ids import check_id
from reprise.service import ServiceSettings

MBPS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """See docs/configuration.md."""

    # Names this balancer in the grants that it signs.
    balancer_id: str
    # The catalog's gRPC port, "host:port".
    catalog_address: str
    mesh_key_path: Path
    # Where listeners are who do not say.
    default_region: str
    # "redis://host:port/0"; empty works without an edge directory.
    valkey_url: str = ""
    # How often the catalog is asked for the release calendar.
    calendar_poll_s: float = 30.0
    # What a preheat may read from origins, all edges together.
    preheat_origin_bps_max: int = 200_000_000
    # Round trips between regions: "eu us 90" each, in ms.
    region_rtts: tuple[str, ...] = ()
    # Where regions are: "eu 52.52 13.40" each, in degrees.
    region_locations: tuple[str, ...] = ()
    # Lines of "CIDR region".
    regions_cidr_path: Path | None = None
    # A database of cities in MaxMind's format.
    geoip_path: Path | None = None
    # CIDRs of proxies whose X-Forwarded-For counts.
    trusted_proxies: tuple[str, ...] = ()
    # Routes listeners with a valid session token only.
    sessions_required: bool = False
    # Public keys of the catalogs' session keys.
    session_keys_path: Path | None = None

    def __post_init__(self) -> None:
        for name in ("balancer_id", "default_region"):
            try:
                check_id(getattr(self, name), name)
            except InvalidRequest as error:
                raise ConfigError(error.message) from None
        if self.calendar_poll_s <= 0:
            raise ConfigError(f"calendar_poll_s must be positive, not {self.calendar_poll_s:g}")
        if self.preheat_origin_bps_max < MBPS:
            raise ConfigError(f"preheat_origin_bps_max must be at least {MBPS}, not {self.preheat_origin_bps_max}")
        if self.geoip_path and not self.region_locations:
            raise ConfigError("geoip_path needs region_locations: where the regions are that listeners may be near")
        if self.sessions_required and not self.session_keys_path:
            raise ConfigError("sessions_required needs session_keys_path: by which keys tokens are verified")
        host, _, port = self.catalog_address.rpartition(":")
        if not host or not port.isdigit():
            raise ConfigError(f"catalog_address must look like host:port, not {self.catalog_address!r}")
