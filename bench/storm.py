"""`./scripts/bench storm`: a crowd asks for one cold song at the same moment, and the origin is slow; then it also dies.

Every run starts its servers anew, so everything is cold. There are two origins and everybody knows both; the one that is asked
first is the one that dies, in the middle of its first read. Clients never try again: what a server does not hide is an error.
Several nginx or edges share the clients evenly. Edges learn of each other from a real balancer. Servers, origins and the crowd
share the machine's cores, so differences between servers say more than any figure alone.
"""

import argparse
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench import report
from bench.asks import make_asks
from bench.crowd import Call, Outcome, run_crowd
from bench.launch import Missing, Server, installed
from bench.load import LoadFailed
from bench.options import names, numbers
from bench.report import Column
from bench.servers import Origin, Servers
from bench.songs import Song, make_songs
from bench.wrk import http_request
from reprise.engines.ports import LOOPBACK, free_ports
from reprise.placement import rank

FIRST_BYTE_S = 0.2
RATE_BPS = 20e6
RUN_S_MAX = 30.0
# A reported edge is known to the others one message later.
VIEW_S = 0.3
LIVES, DIES = "lives", "dies"
COLUMNS = (
    Column("server", "server"),
    Column("clients", "clients"),
    Column("origin", "origin"),
    Column("origin reads", "reads"),
    Column("x song read", "read_songs", 2),
    Column("first byte ms", "leader_ms"),
    Column("others after it: p50 ms", "first_p50_ms"),
    Column("p99 ms", "first_p99_ms"),
    Column("done p50 ms", "done_p50_ms"),
    Column("p99 ms", "done_p99_ms"),
    Column("errors", "errors"),
)
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


@dataclass(frozen=True, slots=True)
class Case:
    """One storm."""

    server: str
    clients: int
    dies: bool

    @property
    def origin(self) -> str:
        return DIES if self.dies else LIVES


@dataclass(frozen=True, slots=True)
class Sample:
    """What a storm gave."""

    outcome: Outcome
    reads: int
    read_bytes: int


def run_case(case: Case, song_bytes: int) -> Sample:
    """One storm on servers of its own."""
    (song,) = make_songs(1, song_bytes)
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as folder, Servers(Path(folder)) as servers:
        origins = _origins(servers, song, case)
        asked = VARIANTS[case.server](servers, origins)
        calls = [_call(asked[number % len(asked)], song) for number in range(case.clients)]
        outcome = run_crowd(calls, song_bytes, song.rendition_id, RUN_S_MAX)
        counts = [origin.counts() for origin in origins]
    return Sample(outcome, sum(count.reads for count in counts), sum(count.sent_bytes for count in counts))


def _origins(servers: Servers, song: Song, case: Case) -> list[Origin]:
    """Two, the one that edges ask first in front, as nginx and Varnish ask it first too."""
    ports = {f"{LOOPBACK}:{pair[0]}": pair for pair in (free_ports(2), free_ports(2))}
    order = rank(song.rendition_id, ports)
    half = len(song.data) // 2
    return [
        servers.origin(
            1,
            len(song.data),
            name=f"origin-{number + 1}",
            first_byte_s=FIRST_BYTE_S,
            rate_bps=RATE_BPS,
            die_at=half if case.dies and number == 0 else 0,
            ports=ports[address],
        )
        for number, address in enumerate(order)
    ]


def _call(server: Server, song: Song) -> Call:
    if not server.wants_grant:
        return Call(server.http_port, http_request("GET", song.origin_path, {}))
    (ask,) = make_asks([song], server.name, 0, 1)
    return Call(server.http_port, http_request("GET", song.edge_path(ask.grant), {}))


def row(case: Case, samples: Sequence[Sample], song_bytes: int) -> dict[str, object]:
    """Medians over rounds; errors are summed."""

    def ms(pick: Callable[[Outcome], Sequence[float]], share: float, after_first: bool = False) -> float | None:
        """Of those rounds in which anybody got that far."""
        seen = [(pick(sample.outcome), sample.outcome.first_s) for sample in samples]
        found = [report.quantile(got, share) - (min(first) if after_first else 0) for got, first in seen if got]
        return report.median(found) * 1000 if found else None

    return {
        "server": case.server,
        "clients": case.clients,
        "origin": case.origin,
        "reads": report.median([sample.reads for sample in samples]),
        "read_songs": report.median([sample.read_bytes / song_bytes for sample in samples]),
        "leader_ms": ms(_first, 0),
        "first_p50_ms": ms(_first, 0.5, after_first=True),
        "first_p99_ms": ms(_first, 0.99, after_first=True),
        "done_p50_ms": ms(_done, 0.5),
        "done_p99_ms": ms(_done, 0.99),
        "errors": sum(sample.outcome.errors for sample in samples),
    }


def _first(outcome: Outcome) -> list[float]:
    return outcome.first_s


def _done(outcome: Outcome) -> list[float]:
    return outcome.done_s


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench storm", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=numbers, default=[200, 1000], metavar="200,1000")
    every = list(VARIANTS)
    parser.add_argument("--servers", type=names(every), default=every, metavar=",".join(every))
    parser.add_argument("--origin", type=names((LIVES, DIES)), default=[LIVES, DIES], metavar=f"{LIVES},{DIES}")
    parser.add_argument("--song-bytes", type=int, default=5_000_000)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args()


def main() -> int:
    options, machine = _options(), report.machine()
    samples: dict[Case, list[Sample]] = defaultdict(list)
    wanted = list(options.servers)
    if "varnish" in wanted and not installed("varnishd"):
        report.say("varnish is not installed and is left out: sudo apt install varnish")
        wanted.remove("varnish")
    cases = [
        Case(server, clients, origin == DIES)
        for origin, clients, server in product(options.origin, options.clients, wanted)
    ]
    try:
        for turn in range(options.rounds):
            report.say(f"round {turn + 1} of {options.rounds}")
            for case in cases:
                samples[case].append(run_case(case, options.song_bytes))
    except (Missing, LoadFailed) as error:
        print(f"bench storm: {error}", file=sys.stderr)
        return 1
    rows = [row(case, found, options.song_bytes) for case, found in samples.items()]
    print(f"{machine}\n{options.rounds} rounds; medians, errors of all rounds\n")
    print(report.table(COLUMNS, rows))
    report.write_json(options.json, {"machine": machine, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
