"""What an edge reports about itself. Builds the messages; sends nothing.

NIC throughput is what left the interface by the kernel's count, or, where several edges share one interface (a mesh on
loopback), what this edge gave to its sockets.
"""

import time
from collections.abc import Callable
from pathlib import Path

from edge_node.access import Gate
from edge_node.node import Node
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.errors import NotReady
from reprise.metrics import LoopLag

HEAT_MAX = 64


class TransmitRate:
    """Bits per second between two calls, from a counter of bytes."""

    def __init__(self, sent_bytes: Callable[[], int]) -> None:
        self._sent_bytes = sent_bytes
        self._last = (time.monotonic(), sent_bytes())

    def bps(self) -> int:
        now, total = time.monotonic(), self._sent_bytes()
        (then, before), self._last = self._last, (now, total)
        return int(max(0, total - before) * 8 / max(now - then, 1e-3))


def interface_counter(interface: str) -> Callable[[], int]:
    """The kernel's count of bytes sent by a network interface. Raises NotReady when there is no such interface."""
    path = Path("/sys/class/net") / interface / "statistics" / "tx_bytes"
    if not path.is_file():
        raise NotReady(f"nic_interface {interface!r}: no such network interface")
    return lambda: int(path.read_text())


class LoadReports:
    """Builds reports. One object per balancer: each counts its own sequence and its own rate."""

    def __init__(self, node: Node, rate: TransmitRate, lag: LoopLag) -> None:
        self._node = node
        self._rate = rate
        self._lag = lag
        self._sequence = 0

    def next(self, seen_grant_ids: list[str]) -> messages.LoadReport:
        self._sequence += 1
        node = self._node
        return messages.LoadReport(
            sequence=self._sequence,
            active_streams=node.streams,
            nic_tx_bps=self._rate.bps(),
            committed_bps=node.committed_bps,
            loop_lag_ms=int(self._lag.p95_s() * 1000),
            draining=node.draining.is_set(),
            seen_grant_ids=seen_grant_ids,
            heat=_heat(node),
            counters=_counters(node),
        )


class SeenGrants:
    """Grant ids seen at the gate, kept for each balancer until that one has been told."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._untold: dict[str, list[str]] = {}

    def add_balancer(self, address: str) -> None:
        self._untold[address] = []

    def take(self, address: str) -> list[str]:
        fresh = self._gate.take_seen()
        for ids in self._untold.values():
            ids.extend(fresh)
            del ids[:-1000]
        taken, self._untold[address] = self._untold[address], []
        return taken


def _heat(node: Node) -> list[messages.SongHeat]:
    heats = []
    for live in node.lives.values():
        bitrate = live.manifest.rendition.bitrate_bps if live.manifest else 0
        heats.append((len(live.readers) * bitrate, live.waiting, live.rendition_id))
    hottest = sorted(heats, reverse=True)[:HEAT_MAX]
    return [messages.SongHeat(rendition_id=r, live_bps=bps, waiting_followers=waiting) for bps, waiting, r in hottest]


def _counters(node: Node) -> messages.EdgeCounters:
    node.metrics.settle()
    requests = node.metrics.requests
    return messages.EdgeCounters(
        requests=sum(requests.values()),
        ram_hits=sum(n for (_, result), n in requests.items() if result == "hit_ram"),
        disk_hits=sum(n for (_, result), n in requests.items() if result == "hit_disk"),
        fills=sum(node.metrics.fills.values()),
        sent_bytes=sum(node.metrics.sent_bytes.values()),
    )
