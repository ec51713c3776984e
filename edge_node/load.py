"""What an edge tells of its load: reports for balancers, and the terms of ORCA for everybody. Sends nothing."""

import time
from collections.abc import Callable, Mapping
from math import ceil

from edge_node.access import Gate
from edge_node.heat import hottest
from edge_node.meter import Meter
from edge_node.node import Node
from edge_node.tally import Tally
from edge_node.utilisation import Load
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.orca.v3.orca_load_report_pb2 import OrcaLoadReport

# What listeners take of an edge: when it moved by more, that does not wait for the next report's turn.
URGENT_CHANGE = 0.05


class LoadReports:
    """Builds reports. One object per balancer: each counts its own sequence, and what it has not told yet."""

    def __init__(self, node: Node, meter: Meter, size_bytes: Callable[[], Mapping[str, int]]) -> None:
        """`size_bytes` gives the bytes of the store by tier."""
        self._node = node
        self._meter = meter
        self._size_bytes = size_bytes
        self._sequence = 0
        self._told = Tally()
        self._told_taken = 0.0
        self._told_followers = 0

    def urgent(self) -> bool:
        """Whether something has happened since the last report that changes where listeners should go."""
        moved = abs(self._meter.load.taken - self._told_taken)
        return moved > URGENT_CHANGE or self._node.followers != self._told_followers

    def next(self, seen_grant_ids: list[str]) -> messages.LoadReport:
        self._meter.sample()
        self._sequence += 1
        load, tally = self._meter.load, self._meter.tally
        report = messages.LoadReport(
            sequence=self._sequence,
            active_streams=load.active_streams,
            nic_tx_bps=load.tx_bps,
            committed_bps=load.committed_bps,
            loop_lag_ms=int(load.loop_lag_s * 1000),
            draining=self._node.draining.is_set(),
            seen_grant_ids=seen_grant_ids,
            heat=self._heat(tally),
            counters=self._counters(tally),
            orca=orca_report(load),
            cpu_permille=int(load.cpu * 1000),
            started_plays=tally.started_plays - self._told.started_plays,
            failed_plays=tally.failed_plays - self._told.failed_plays,
            first_byte_p50_ms=ceil(load.first_byte_p50_s * 1000),
        )
        self._told, self._told_taken, self._told_followers = tally, load.taken, self._node.followers
        return report

    def _heat(self, tally: Tally) -> list[messages.SongHeat]:
        sessions = self._node.sessions
        songs = hottest(sessions.live, sessions.past, tally.waiting, time.monotonic())
        return [
            messages.SongHeat(rendition_id=song.rendition_id, live_bps=song.live_bps, waiting_followers=song.waiting)
            for song in songs
        ]

    def _counters(self, tally: Tally) -> messages.EdgeCounters:
        sizes = self._size_bytes()
        return messages.EdgeCounters(
            requests=tally.requests,
            ram_hits=tally.ram_hits,
            disk_hits=tally.disk_hits,
            fills=sum(self._node.metrics.fills.values()),
            sent_bytes=tally.sent_bytes,
            ram_bytes=sizes.get("ram", 0),
            disk_bytes=sizes.get("disk", 0),
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


def orca_report(load: Load) -> OrcaLoadReport:
    """The load as stock gRPC clients and Envoy understand it: they balance by requests a second over utilisation."""
    return OrcaLoadReport(
        cpu_utilization=load.cpu,
        application_utilization=load.utilisation,
        rps_fractional=load.requests_per_s,
        eps=load.failures_per_s,
        utilization={
            "nic_tx": min(1.0, load.nic),
            "streams": min(1.0, load.streams),
            "cpu": min(1.0, load.cpu),
            "loop_lag": min(1.0, load.loop_lag),
        },
        named_metrics={
            "active_streams": load.active_streams,
            "committed_bps": load.committed_bps,
            "tx_bps": load.tx_bps,
            "hit_ratio": load.hit_ratio,
            "first_byte_p50_ms": load.first_byte_p50_s * 1000,
        },
    )
