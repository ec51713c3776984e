"""The running servers of `bench edge`, with the same songs in all their caches, and one measurement on one of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench.asks import Ask, http_bytes, make_asks, play_message, played, web_bytes, web_messages
from bench.grpc_load import hear, run_grpc
from bench.launch import SERVER_CORE, Server, cipher
from bench.load import Load, LoadFailed, Plan
from bench.songs import Song
from bench.wrk import exchange, run_wrk
from reprise.chunks import CHUNK_BYTES

HTTP, WEB, GRPC = "http", "grpc-web", "grpc"
# Who is measured at a door, plain and by TLS. Varnish has no TLS of its own.
CONTESTANTS = {
    (HTTP, False): ("nginx", "varnish", "reprise"),
    (HTTP, True): ("nginx", "reprise"),
    (WEB, False): ("envoy", "reprise"),
    (WEB, True): ("envoy", "reprise"),
    (GRPC, False): ("bare", "reprise"),
    (GRPC, True): ("bare", "reprise"),
}
GRANTS = 64
# A listener asks for many spans of one song, so nobody may get far by knowing whole requests by heart.
ASKS_EACH = 4
# What a connection gets before anything counts: handshakes are over then, and the kernel's buffers about full.
WARM_BYTES = 2 << 20
_RECORD_BYTES, _RECORD_HEAD_BYTES = 1 << 14, 22
# What is looked at to know how many bytes an answer takes with its head and frames.
_PROBES = 4


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure on each of its servers. `length` 0 is a whole song."""

    door: str
    tls: bool
    length: int
    connections: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round of one case on one server gave. `answers` counts parts of answers too."""

    answers: float
    payload_bytes: float
    seconds: float
    cpu_s: float
    client_cpu_s: float
    rss_bytes: int
    errors: int

    @property
    def per_cpu_s(self) -> float:
        return self.answers / self.cpu_s


class Field:
    """Servers by name and by whether they speak TLS."""

    def __init__(self, folder: Path, servers: dict[tuple[str, bool], Server], songs: Sequence[Song]) -> None:
        self._folder = folder
        self._servers = servers
        self._songs = songs
        self._wire: dict[tuple[Case, str], float] = {}

    def contestants(self, door: str, tls: bool) -> list[str]:
        return [name for name in CONTESTANTS.get((door, tls), ()) if (name, tls) in self._servers]

    def warm(self) -> None:
        """Every server reads every song once, and gives whole songs and spans back unchanged at each of its doors.

        Raises LoadFailed, also for a server that is not on the one core that it should have.
        """
        for server in self._servers.values():
            if server.cores() != {SERVER_CORE}:
                raise LoadFailed(f"{server.name} may run on cores {server.cores()}, not only on {SERVER_CORE}")
        for (door, tls), length in product(CONTESTANTS, (0, CHUNK_BYTES)):
            for name in self.contestants(door, tls):
                server = self._servers[name, tls]
                for ask in make_asks(self._songs, server.name, length, len(self._songs)):
                    got = _answer(door, server, ask)
                    if got != ask.wanted:
                        raise LoadFailed(
                            f"{server.name} gave {len(got)} bytes by {door} that are not what was asked for"
                        )

    def cipher(self) -> str:
        """What the TLS servers agree on with OpenSSL's client, which wrk is too. Raises LoadFailed when they differ."""
        found = {s.name: cipher(s.http_port) for (_, tls), s in self._servers.items() if tls and s.http_port}
        if len(set(found.values())) > 1:
            raise LoadFailed(f"servers differ in what they encrypt with: {found}")
        return next(iter(found.values()), "not measured")

    def measure(self, case: Case, name: str, seconds: float) -> Sample:
        """One round of one case on one server."""
        server = self._servers[name, case.tls]
        asks = make_asks(self._songs, server.name, case.length, max(GRANTS, case.connections), ASKS_EACH)
        plan = Plan(case.connections, case.connections * min(asks[0].length, WARM_BYTES), seconds)
        load = self._load(case.door, server, asks, plan)
        answers = load.received_bytes / self._wire_bytes(case, server, asks)
        if not load.received_bytes or not load.server_cpu_s:
            raise LoadFailed(f"{name} gave nothing by {case.door} in {seconds} s ({load.errors} errors)")
        payload = answers * asks[0].length
        return Sample(
            answers, payload, load.seconds, load.server_cpu_s, load.client_cpu_s, server.rss_bytes(), load.errors
        )

    def _load(self, door: str, server: Server, asks: Sequence[Ask], plan: Plan) -> Load:
        if door == GRPC:
            return run_grpc(self._folder, server, [play_message(ask) for ask in asks], plan)
        return run_wrk(self._folder, server, [_request(door, server, ask) for ask in asks], plan)

    def _wire_bytes(self, case: Case, server: Server, asks: Sequence[Ask]) -> float:
        """Bytes that the client reads per answer."""
        key = (case, server.name)
        if key not in self._wire:
            self._wire[key] = sum(_wire_bytes(case.door, server, ask) for ask in asks[:_PROBES]) / len(asks[:_PROBES])
        return self._wire[key]


def _request(door: str, server: Server, ask: Ask) -> bytes:
    if door == WEB:
        return web_bytes(ask)
    return http_bytes(ask, ask.song.edge_path(ask.grant) if server.wants_grant else ask.song.origin_path)


def _answer(door: str, server: Server, ask: Ask) -> bytes:
    if door == GRPC:
        return played(hear(server, play_message(ask)))
    body = exchange(server.http_port, _request(door, server, ask), tls=server.tls).body
    return played(web_messages(body)) if door == WEB else body


def _wire_bytes(door: str, server: Server, ask: Ask) -> int:
    if door == GRPC:
        return sum(map(len, hear(server, play_message(ask))))
    plain = exchange(server.http_port, _request(door, server, ask), tls=server.tls).wire_bytes
    return plain + (-(-plain // _RECORD_BYTES) * _RECORD_HEAD_BYTES if server.tls else 0)
