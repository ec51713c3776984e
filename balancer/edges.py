"""Edges as values: who one is, what it last reported. Pure.

Everything here came from an edge, which is not trusted with more than its own name; `check_identity` is the gate.
"""

import re
from dataclasses import dataclass

from reprise.errors import InvalidRequest
from reprise.grants import OPERATOR
from reprise.ids import check_id

HEAT_ROWS_MAX = 64
_HOST_PORT = r"(?:\[[0-9A-Fa-f:.]{2,64}\]|[A-Za-z0-9._-]{1,255}):([0-9]{1,5})\Z"
_ADDRESS = re.compile(_HOST_PORT)
_URL = re.compile(r"https?://" + _HOST_PORT)


@dataclass(frozen=True, slots=True)
class EdgeIdentity:
    """Who an edge is, fixed for one boot of it. `grpc_address` is "host:port", `http_url` "http://host:port"."""

    edge_id: str
    region: str
    grpc_address: str
    http_url: str
    boot_id: str
    nic_capacity_bps: int
    stream_limit: int
    # Edges that fail together; empty when not known.
    zone: str = ""


@dataclass(frozen=True, slots=True)
class SongHeat:
    """How hot one rendition is on one edge."""

    rendition_id: str
    live_bps: int
    waiting_followers: int


@dataclass(frozen=True, slots=True)
class EdgeCounters:
    """Totals since the edge's start, kept for operators; of them only the bytes that it holds decide anything (`ramp`)."""

    requests: int = 0
    ram_hits: int = 0
    disk_hits: int = 0
    fills: int = 0
    sent_bytes: int = 0
    ram_bytes: int = 0
    disk_bytes: int = 0


@dataclass(frozen=True, slots=True)
class EdgeLoad:
    """One report. `seen_grant_ids` are grants whose streams the other figures include from now on."""

    sequence: int
    active_streams: int = 0
    nic_tx_bps: int = 0
    committed_bps: int = 0
    loop_lag_ms: int = 0
    # The share of its cores that its processes used.
    cpu: float = 0.0
    # Median from a request to its first audio byte; 0 when there was none.
    first_byte_ms: int = 0
    # Plays since the last report.
    started_plays: int = 0
    failed_plays: int = 0
    draining: bool = False
    seen_grant_ids: tuple[str, ...] = ()
    heat: tuple[SongHeat, ...] = ()
    counters: EdgeCounters = EdgeCounters()


def check_identity(identity: EdgeIdentity) -> EdgeIdentity:
    """Returns `identity` when every field is usable; raises InvalidRequest that names the first that is not."""
    check_id(identity.edge_id, "edge_id")
    if identity.edge_id == OPERATOR:
        raise InvalidRequest(f"edge_id {OPERATOR!r} is taken: it names the operators' key; give the edge another id")
    check_id(identity.region, "region")
    check_id(identity.boot_id, "boot_id")
    if identity.zone:
        check_id(identity.zone, "zone")
    _check_address(_ADDRESS, identity.grpc_address, "grpc_address must look like host:port")
    _check_address(_URL, identity.http_url, "http_url must look like http://host:port")
    if identity.nic_capacity_bps < 1 or identity.stream_limit < 1:
        raise InvalidRequest(
            f"nic_capacity_bps and stream_limit must be at least 1, not {identity.nic_capacity_bps} and"
            f" {identity.stream_limit}: set them on edge {identity.edge_id}"
        )
    return identity


def _check_address(shape: re.Pattern[str], value: str, rule: str) -> None:
    match = shape.match(value)
    if match is None or not 0 < int(match[1]) < 65536:
        raise InvalidRequest(f"{rule}, not {value[:80]!r}")
