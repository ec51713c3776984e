"""Settings of an edge."""

from dataclasses import dataclass
from pathlib import Path

from reprise.service import ServiceSettings


@dataclass(frozen=True, kw_only=True)
class Settings(ServiceSettings):
    """See docs/configuration.md."""

    edge_id: str
    region: str
    edge_key_path: Path
    manifest_keys_path: Path
    cache_dir: Path
    # Edges that fail together: a rack, a zone. Empty when not known.
    zone: str = ""
    balancers: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    # How others reach this edge; empty means the bound address.
    advertise_grpc: str = ""
    advertise_http: str = ""
    ram_bytes_max: int = 1 << 30
    disk_bytes_max: int = 20 << 30
    # 0 turns it off.
    scrub_bytes_per_s: int = 1 << 20
    # 0 means the speed of the link.
    nic_capacity_bps: int = 0
    # Empty means that of the default route, or "sockets" on loopback: then what this edge gives to its sockets is counted.
    nic_interface: str = ""
    stream_limit: int = 10_000
    # Processes that serve the HTTP port; with 1 there are no others than this one.
    workers: int = 1
    # A gRPC stream whose listener takes nothing for so long is ended.
    stream_stall_s_max: float = 30.0
    # Without one item from a source in this time the fill goes to the next.
    source_item_s_max: float = 3.0
    # A long answer over HTTP: this much of it at once, the rest at `factor` times its bitrate. A factor of 0 turns it off.
    pacing_factor: float = 1.5
    pacing_burst_s: float = 10.0
