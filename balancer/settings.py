"""Settings of a balancer."""

from dataclasses import dataclass
from pathlib import Path

from reprise.service import ServiceSettings


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
