"""`./scripts/bench edge`: a warm cache serves ranges by every door, beside nginx and Varnish with the same bytes.

Each server has one core, the client another. Rounds go through all servers in turn; figures are medians over rounds. What
counts is requests per CPU second of the server: unlike requests per second it hardly depends on what else the machine does.
TLS is not measured yet.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench import report
from bench.asks import Ask, http_bytes, make_asks, play_message, web_bytes
from bench.grpc_load import run_grpc
from bench.options import names, numbers, sizes
from bench.report import Column
from bench.servers import SERVER_CORE, Missing, Server, Servers, installed, need
from bench.songs import Song, make_songs
from bench.wrk import Load, LoadFailed, exchange, run_wrk
from reprise.chunks import CHUNK_BYTES
from reprise.engines.ports import free_ports

SERVERS = {"http": ("nginx", "varnish", "reprise"), "grpc-web": ("reprise",), "grpc": ("reprise", "bare")}
# What a door is held against: the door and server of the same bytes.
YARDSTICKS = {"nginx": ("http", "nginx"), "varnish": ("http", "varnish"), "bare": ("grpc", "bare")}
GRANTS = 64
COLUMNS = (
    Column("door", "door"),
    Column("bytes", "size"),
    Column("connections", "connections"),
    Column("server", "server"),
    Column("requests/s", "requests_s"),
    Column("MB/s", "mb_s"),
    Column("CPU s/GB", "cpu_s_gb", 3),
    Column("requests/CPU s", "requests_cpu_s"),
    Column("x nginx", "x_nginx", 2),
    Column("x Varnish", "x_varnish", 2),
    Column("x bare grpc.aio", "x_bare", 2),
    Column("RSS MiB", "rss_mib"),
    Column("errors", "errors"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure on each of its servers. `length` 0 is a whole song."""

    door: str
    length: int
    connections: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round of one case on one server gave."""

    requests: int
    payload_bytes: int
    seconds: float
    cpu_s: float
    rss_bytes: int
    errors: int

    @property
    def per_cpu_s(self) -> float:
        return self.requests / self.cpu_s


Samples = dict[tuple[Case, str], list[Sample]]


class Field:
    """The running servers and the songs that all of them have in their caches."""

    def __init__(self, folder: Path, servers: dict[str, Server], songs: Sequence[Song]) -> None:
        self._folder = folder
        self._servers = servers
        self._songs = songs

    def contestants(self, door: str) -> list[str]:
        return [name for name in SERVERS[door] if name in self._servers]

    def warm(self) -> None:
        """Every server reads every song once, and gives whole songs and spans back unchanged."""
        asks = make_asks(self._songs, "reprise", 0, len(self._songs))
        asks += make_asks(self._songs, "reprise", CHUNK_BYTES, len(self._songs))
        for name, ask in product(self.contestants("http"), asks):
            got = exchange(self._servers[name].http_port, http_bytes(ask, _path(name, ask)))
            if got != ask.wanted:
                raise LoadFailed(f"{name} gave {len(got)} bytes that are not the {ask.length} that were asked for")

    def measure(self, case: Case, name: str, seconds: int) -> Sample:
        """One round of one case on one server."""
        server = self._servers[name]
        asks = make_asks(self._songs, "reprise", case.length, max(GRANTS, case.connections))
        cpu_s = server.cpu_s()
        load = self._load(case, name, asks, seconds)
        cpu_s = server.cpu_s() - cpu_s
        size = asks[0].length
        if load.requests == 0:
            raise LoadFailed(f"{name} finished no answer of {size} bytes in {seconds} s: use more --seconds")
        if load.received_bytes < load.requests * size:
            raise LoadFailed(f"{name} gave {load.received_bytes} bytes for {load.requests} requests of {size} bytes")
        return Sample(load.requests, load.requests * size, load.seconds, cpu_s, server.rss_bytes(), load.errors)

    def _load(self, case: Case, name: str, asks: Sequence[Ask], seconds: int) -> Load:
        server = self._servers[name]
        if case.door == "grpc":
            messages = [play_message(ask) for ask in asks]
            return run_grpc(self._folder, server.grpc_port, messages, case.connections, seconds)
        made: Callable[[Ask], bytes] = (
            web_bytes if case.door == "grpc-web" else lambda ask: http_bytes(ask, _path(name, ask))
        )
        return run_wrk(self._folder, server.http_port, [made(ask) for ask in asks], case.connections, seconds)


def start(servers: Servers, wanted: Sequence[str], songs: int, song_bytes: int) -> dict[str, Server]:
    """The wanted servers, all in front of one origin, all on the same core: only one of them has work at a time."""
    origin = servers.origin(songs, song_bytes)
    bare_argv = ["bench.bare_grpc", f"--songs={songs}", f"--song-bytes={song_bytes}"]
    (bare_port,) = free_ports(1)
    makers: dict[str, Callable[[], Server]] = {
        "nginx": lambda: servers.nginx([origin], core=SERVER_CORE),
        "varnish": lambda: servers.varnish([origin], core=SERVER_CORE),
        "reprise": lambda: servers.edge([origin], core=SERVER_CORE),
        "bare": lambda: servers.bare(bare_argv, bare_port, core=SERVER_CORE),
    }
    return {name: makers[name]() for name in wanted}


def rows(samples: Samples, song_bytes: int) -> list[dict[str, object]]:
    """A row per case and server: medians over rounds, and ratios as medians of what each round gave."""
    return [
        {
            "door": case.door,
            "size": _size_name(case.length, song_bytes),
            "connections": case.connections,
            "server": name,
            "requests_s": report.median([s.requests / s.seconds for s in found]),
            "mb_s": report.median([s.payload_bytes / s.seconds / 1e6 for s in found]),
            "cpu_s_gb": report.median([s.cpu_s / s.payload_bytes * 1e9 for s in found]),
            "requests_cpu_s": report.median([s.per_cpu_s for s in found]),
            "rss_mib": report.median([s.rss_bytes / 2**20 for s in found]),
            "errors": sum(s.errors for s in found),
            **{f"x_{other}": _ratio(samples, case, name, other) for other in YARDSTICKS},
        }
        for (case, name), found in samples.items()
    ]


def _ratio(samples: Samples, case: Case, name: str, other: str) -> float | None:
    """How many times more requests a CPU second serves here than at the yardstick."""
    door, server = YARDSTICKS[other]
    if (case.door, name) == (door, server) or (other == "bare") != (case.door == "grpc"):
        return None
    theirs = samples.get((Case(door, case.length, case.connections), server), [])
    pairs = zip(samples[case, name], theirs, strict=False)
    return report.median([ours.per_cpu_s / their.per_cpu_s for ours, their in pairs]) if theirs else None


def _size_name(length: int, song_bytes: int) -> str:
    size, name = length or song_bytes, "" if length else " (song)"
    return (f"{size >> 20} MiB" if size % (1 << 20) == 0 else f"{size / 1024:.0f} KiB") + name


def _path(name: str, ask: Ask) -> str:
    return ask.song.edge_path(ask.grant) if name == "reprise" else ask.song.origin_path


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench edge", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=2, help="of load per round, case and server")
    parser.add_argument("--sizes", type=sizes, default=sizes("64k,256k,1m,song"), metavar="64k,1m,song")
    parser.add_argument("--connections", type=numbers, default=[16], metavar="16,512")
    parser.add_argument("--doors", type=names(tuple(SERVERS)), default=list(SERVERS), metavar=",".join(SERVERS))
    every = ["nginx", "varnish", "reprise", "bare"]
    parser.add_argument("--servers", type=names(every), default=every, metavar=",".join(every))
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--song-bytes", type=int, default=5 << 20)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> Samples:
    """All rounds of all cases."""
    samples: Samples = defaultdict(list)
    cases = [Case(*one) for one in product(options.doors, options.sizes, options.connections)]
    wanted = [name for name in options.servers if any(name in SERVERS[door] for door in options.doors)]
    if "varnish" in wanted and not installed("varnishd"):
        report.say("varnish is not installed and is left out: sudo apt install varnish")
        wanted.remove("varnish")
    need("wrk", "wrk")
    with Servers(folder) as servers:
        field = Field(
            folder,
            start(servers, wanted, options.songs, options.song_bytes),
            make_songs(options.songs, options.song_bytes),
        )
        field.warm()
        for turn in range(options.rounds):
            report.say(f"round {turn + 1} of {options.rounds}")
            for case in cases:
                for name in field.contestants(case.door):
                    samples[case, name].append(field.measure(case, name, options.seconds))
    return samples


def main() -> int:
    options, machine = _options(), report.machine()
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as folder:
        try:
            samples = run(options, Path(folder))
        except (Missing, LoadFailed) as error:
            print(f"bench edge: {error}", file=sys.stderr)
            return 1
    found = rows(samples, options.song_bytes)
    print(f"{machine}\n{options.rounds} rounds of {options.seconds} s; medians\n")
    print(report.table(COLUMNS, found))
    report.write_json(options.json, {"machine": machine, "rows": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
