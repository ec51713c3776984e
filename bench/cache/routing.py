"""Where listeners of a trace go: anywhere, or as the balancer's own code sends them. No network, no clock but the trace's.

The edges report every second what plays on them, as real ones do; a song is routed when it starts and stays where it is.
"""

import heapq
from collections import Counter
from collections.abc import Sequence
from random import Random

from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.mesh import Mesh
from balancer.picking import Play
from bench.cache.traces import Trace

EDGES = ("edge-1", "edge-2", "edge-3")
REGION = "here"
HERE = ((REGION, 0.0),)
REPORT_S = 1.0


def spread(trace: Trace) -> list[int]:
    """The edge of each request when every listener has one of their own: how three caches are used that know nothing."""
    return [listener % len(EDGES) for listener in trace.listeners]


def balanced(trace: Trace, rendition_ids: Sequence[str], utilisation: float) -> list[int]:
    """The edge of each request as the balancer routes, with NICs that the whole trace uses by `utilisation` on average."""
    mean_bps = 8 * trace.requested_bytes / (trace.times_s[-1] - trace.times_s[0])
    region = _Region(int(mean_bps / len(EDGES) / utilisation))
    places: list[int] = []
    for item, listener, now in zip(trace.objects, trace.listeners, trace.times_s, strict=True):
        region.wake(now)
        track = item // 2
        if item % 2 == 0:
            size_bytes = trace.sizes[item] + trace.sizes[item + 1]
            region.play(listener, rendition_ids[track], size_bytes, trace.durations_s[track], now)
        places.append(region.edge_of(listener))
    return places


class _Region:
    """Three equal edges and what plays on them."""

    def __init__(self, nic_capacity_bps: int) -> None:
        self._mesh = Mesh(epoch=1, now=0.0, rng=Random(1))
        identities = (_identity(name, nic_capacity_bps) for name in EDGES)
        self._streams = [self._mesh.hello(identity, 0.0) for identity in identities]
        self._committed_bps = Counter[int]()
        self._active = Counter[int]()
        self._unseen: list[list[str]] = [[] for _ in EDGES]
        # Listener -> (number of the play, edge, bit rate); the heap has (when it is over, listener, number).
        self._playing: dict[int, tuple[int, int, int]] = {}
        self._ends: list[tuple[float, int, int]] = []
        self._edges: dict[int, int] = {}
        self._plays = 0
        self._next_report_s = 0.0
        self._sequence = 0

    def wake(self, now: float) -> None:
        """Plays end and edges report as time goes by."""
        while self._next_report_s <= now:
            while self._ends and self._ends[0][0] <= self._next_report_s:
                _, listener, number = heapq.heappop(self._ends)
                if self._playing.get(listener, (0,))[0] == number:
                    self._stop(listener)
            self._report(self._next_report_s)
            self._next_report_s += REPORT_S

    def play(self, listener: int, rendition_id: str, size_bytes: int, duration_s: float, now: float) -> None:
        """A listener leaves what they heard and asks for a song."""
        self._stop(listener)
        bitrate_bps = int(8 * size_bytes / duration_s)
        edge_id = self._mesh.pick(Play(rendition_id, bitrate_bps, HERE, str(listener)), now)[0].edge_id
        edge = EDGES.index(edge_id)
        self._plays += 1
        self._mesh.assign(edge_id, rendition_id, str(self._plays), bitrate_bps, now)
        self._unseen[edge].append(str(self._plays))
        self._committed_bps[edge] += bitrate_bps
        self._active[edge] += 1
        self._playing[listener] = (self._plays, edge, bitrate_bps)
        self._edges[listener] = edge
        heapq.heappush(self._ends, (now + duration_s, listener, self._plays))

    def edge_of(self, listener: int) -> int:
        """Where the listener's last song came from."""
        return self._edges[listener]

    def _stop(self, listener: int) -> None:
        if listener in self._playing:
            _, edge, bitrate_bps = self._playing.pop(listener)
            self._committed_bps[edge] -= bitrate_bps
            self._active[edge] -= 1

    def _report(self, now: float) -> None:
        self._sequence += 1
        for edge, name in enumerate(EDGES):
            seen, self._unseen[edge] = tuple(self._unseen[edge]), []
            load = EdgeLoad(
                sequence=self._sequence,
                active_streams=self._active[edge],
                nic_tx_bps=self._committed_bps[edge],
                committed_bps=self._committed_bps[edge],
                seen_grant_ids=seen,
            )
            assert self._mesh.report(name, self._streams[edge], load, now)


def _identity(name: str, nic_capacity_bps: int) -> EdgeIdentity:
    return EdgeIdentity(
        edge_id=name,
        region=REGION,
        grpc_address="127.0.0.1:1",
        http_url="http://127.0.0.1:1",
        boot_id="1",
        nic_capacity_bps=nic_capacity_bps,
        stream_limit=1_000_000,
    )
