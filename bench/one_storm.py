"""One storm on servers of its own, so that everything is cold: who is asked, what breaks meanwhile, and what it gave."""

import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.asks import make_asks
from bench.crowd import Call, Outcome, run_crowd
from bench.launch import Server, quiet_ports
from bench.servers import Origin, Servers
from bench.songs import Song, make_songs
from bench.wrk import http_request
from reprise.engines.ports import LOOPBACK
from reprise.placement import rank

FIRST_BYTE_S = 0.2
RATE_BPS = 20e6
RUN_S_MAX = 30.0
# A reported edge is known to the others one message later.
VIEW_S = 0.3
WATCH_S = 0.002
LIVES, DIES, HOME_DIES = "lives", "dies", "home-dies"
Start = Callable[[Servers, Sequence[Origin]], list[Server]]


def _edges(count: int) -> Start:
    def start(servers: Servers, origins: Sequence[Origin]) -> list[Server]:
        balancer = servers.balancer() if count > 1 else None
        edges = [servers.edge(origins, edge_id=f"edge-{n + 1}", balancer=balancer) for n in range(count)]
        if balancer is not None:
            servers.wait_reported(balancer, count)
            time.sleep(VIEW_S)
        return edges

    return start


VARIANTS: dict[str, Start] = {
    "nginx": lambda servers, origins: [servers.nginx(origins)],
    "nginx-x3": lambda servers, origins: [servers.nginx(origins, name=f"nginx-{n + 1}") for n in range(3)],
    "varnish": lambda servers, origins: [servers.varnish(origins)],
    "reprise-x1": _edges(1),
    "reprise-x3": _edges(3),
    "reprise-x5": _edges(5),
}
# Those that have a home for each song, and others to go to when it is dead.
MESHES = frozenset({"reprise-x3", "reprise-x5"})


@dataclass(frozen=True, slots=True)
class Case:
    """One storm. `origin` says what breaks when half of the song has been read."""

    server: str
    clients: int
    origin: str

    @property
    def makes_sense(self) -> bool:
        return self.origin != HOME_DIES or self.server in MESHES


@dataclass(frozen=True, slots=True)
class Sample:
    """What a storm gave. `left` are the clients of the edge that died."""

    outcome: Outcome
    reads: int
    read_bytes: int
    left: int


def run_case(case: Case, song_bytes: int) -> Sample:
    """One storm. Raises LoadFailed, Missing."""
    (song,) = make_songs(1, song_bytes)
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as folder, Servers(Path(folder)) as servers:
        origins = _origins(servers, song, case.origin == DIES)
        asked = VARIANTS[case.server](servers, origins)
        # In the order in which the mesh prefers them, so the first is the song's home.
        order = rank(song.rendition_id, [server.name for server in asked])
        by_name = {server.name: server for server in asked}
        home, next_home = by_name[order[0]], by_name[order[-1 if len(order) == 1 else 1]]
        victim = home if case.origin == HOME_DIES else None
        calls = [_call(asked[number % len(asked)], song, victim, next_home) for number in range(case.clients)]
        with _killing(victim, origins, song_bytes // 2):
            outcome = run_crowd(calls, song_bytes, song.rendition_id, RUN_S_MAX)
        counts = [origin.counts() for origin in origins]
    left = sum(call.again is not None for call in calls)
    return Sample(outcome, sum(count.reads for count in counts), sum(count.sent_bytes for count in counts), left)


def _origins(servers: Servers, song: Song, first_dies: bool) -> list[Origin]:
    """Two, the one that edges ask first in front, as nginx and Varnish ask it first too."""
    free = quiet_ports(4)
    ports = {f"{LOOPBACK}:{pair[0]}": pair for pair in (free[:2], free[2:])}
    order = rank(song.rendition_id, ports)
    half = len(song.data) // 2
    return [
        servers.origin(
            1,
            len(song.data),
            name=f"origin-{number + 1}",
            first_byte_s=FIRST_BYTE_S,
            rate_bps=RATE_BPS,
            die_at=half if first_dies and number == 0 else 0,
            ports=ports[address],
        )
        for number, address in enumerate(order)
    ]


def _call(server: Server, song: Song, victim: Server | None, next_home: Server) -> Call:
    """Only clients of an edge that will die have a second one, the next in order, as a route would give them."""
    again = _call(next_home, song, None, next_home) if server is victim else None
    if not server.wants_grant:
        return Call(server.http_port, http_request("GET", song.origin_path, {}), again)
    (ask,) = make_asks([song], server.name, 0, 1)
    return Call(server.http_port, http_request("GET", song.edge_path(ask.grant), {}), again)


@contextmanager
def _killing(victim: Server | None, origins: Sequence[Origin], at_bytes: int) -> Iterator[None]:
    """Kills `victim` (SIGKILL) once the origins have given so many bytes."""
    if victim is None:
        yield
        return
    over = threading.Event()

    def watch() -> None:
        while sum(origin.counts().sent_bytes for origin in origins) < at_bytes:
            if over.wait(WATCH_S):
                return
        victim.process.kill()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
