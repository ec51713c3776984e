"""What an edge reports about itself. Builds the messages; sends nothing.

NIC throughput is what left the interface by the kernel's count, or, where several edges share one interface (a mesh on
loopback), what this edge gave to its sockets.
"""

import time
from collections.abc import Callable
from heapq import nlargest
from pathlib import Path

from edge_node.access import Gate
from edge_node.live import Live
from edge_node.node import Node
from edge_node.tally import Tally, added
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

    def __init__(self, node: Node, rate: TransmitRate, lag: LoopLag, elsewhere: Callable[[], Tally] = Tally) -> None:
        """`elsewhere` tells what the edge's other processes do."""
        self._node = node
        self._rate = rate
        self._lag = lag
        self._elsewhere = elsewhere
        self._sequence = 0

    def next(self, seen_grant_ids: list[str]) -> messages.LoadReport:
        self._sequence += 1
        node = self._node
        tally = added((tally_of(node, self._lag), self._elsewhere()))
        return messages.LoadReport(
            sequence=self._sequence,
            active_streams=node.streams + node.streams_elsewhere,
            nic_tx_bps=self._rate.bps(),
            committed_bps=tally.committed_bps,
            loop_lag_ms=int(tally.loop_lag_s * 1000),
            draining=node.draining.is_set(),
            seen_grant_ids=seen_grant_ids,
            heat=_hottest(tally),
            counters=messages.EdgeCounters(
                requests=tally.requests,
                ram_hits=tally.ram_hits,
                disk_hits=tally.disk_hits,
                fills=sum(node.metrics.fills.values()),
                sent_bytes=tally.sent_bytes,
            ),
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


def tally_of(node: Node, lag: LoopLag) -> Tally:
    """What this process does. The readers of other processes are theirs to count."""
    node.metrics.settle()
    requests = node.metrics.requests
    return Tally(
        committed_bps=node.committed_bps,
        loop_lag_s=lag.p95_s(),
        requests=sum(requests.values()),
        ram_hits=sum(n for (_, result), n in requests.items() if result == "hit_ram"),
        disk_hits=sum(n for (_, result), n in requests.items() if result == "hit_disk"),
        sent_bytes=sum(node.metrics.sent_bytes.values()),
        heat={live.rendition_id: _heat(live) for live in _hottest_lives(node)},
    )


def _hottest_lives(node: Node) -> list[Live]:
    return nlargest(HEAT_MAX, node.lives.values(), key=_heat)


def _heat(live: Live) -> tuple[int, int]:
    bitrate = live.manifest.rendition.bitrate_bps if live.manifest else 0
    return sum(reader.listens for reader in live.readers) * bitrate, live.waiting


def _hottest(tally: Tally) -> list[messages.SongHeat]:
    hottest = nlargest(HEAT_MAX, tally.heat.items(), key=lambda item: item[1])
    return [messages.SongHeat(rendition_id=r, live_bps=bps, waiting_followers=waiting) for r, (bps, waiting) in hottest]
