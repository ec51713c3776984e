"""`./scripts/bench workers`: one edge with one process, and with worker processes, serves ranges of a warm cache.

What counts is requests per CPU second over all of the edge's processes: if it stays what one process has, N free cores serve N
times as much. With `--cores one` all of them share one core and the client has another, so nothing but being several processes
makes a difference. With `--cores all` they spread; there requests per second grow with the workers as long as there are more
free cores than workers, for the client needs one too.
"""

import argparse
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench import report
from bench.asks import Ask, http_bytes, make_asks
from bench.field import ASKS_EACH, GRANTS, WARM_BYTES
from bench.launch import SERVER_CORE, Missing, Server, cpu_s, need
from bench.load import LoadFailed, Plan
from bench.options import names, numbers, sizes
from bench.report import Column
from bench.servers import Servers
from bench.songs import Song, make_songs
from bench.wrk import exchange, run_wrk

ONE, ALL = "one", "all"
# Connections are spread over the workers by a hash: each song is asked for often enough to reach all of them.
WARM_ASKS = 16
COLUMNS = (
    Column("bytes", "size"),
    Column("connections", "connections"),
    Column("cores", "cores"),
    Column("workers", "workers"),
    Column("requests/s", "requests_s"),
    Column("MB/s", "mb_s"),
    Column("edge's CPU", "edge_cpu", 2),
    Column("client's CPU", "client_cpu", 2),
    Column("requests/CPU s", "requests_cpu_s"),
    Column("x one process", "x_one", 2),
    Column("node process, % of the CPU", "node_percent", 1),
    Column("busiest worker, % of the workers' CPU", "busiest_percent"),
    Column("RSS MiB", "rss_mib"),
    Column("errors", "errors"),
)


@dataclass(frozen=True, slots=True)
class Case:
    """Ranges of `length` bytes over so many connections."""

    length: int
    connections: int


@dataclass(frozen=True, slots=True)
class Layout:
    """An edge, and the cores that it has."""

    cores: str
    workers: int


@dataclass(frozen=True, slots=True)
class Sample:
    """What one round of one case on one edge gave. `spent_s` is CPU time by process, the node process first."""

    answers: float
    seconds: float
    cpu_s: float
    client_cpu_s: float
    spent_s: tuple[float, ...]
    rss_bytes: int
    errors: int

    @property
    def per_cpu_s(self) -> float:
        return self.answers / self.cpu_s


def measure(folder: Path, edge: Server, songs: Sequence[Song], case: Case, seconds: float) -> Sample:
    """One round of one case on one edge."""
    asks = make_asks(songs, edge.name, case.length, max(GRANTS, case.connections), ASKS_EACH)
    requests = [_request(ask) for ask in asks]
    plan = Plan(case.connections, case.connections * min(case.length, WARM_BYTES), seconds)
    before = _spent_s(edge)
    load = run_wrk(folder, edge, requests, plan)
    after = _spent_s(edge)
    if not load.received_bytes or not load.server_cpu_s or before.keys() != after.keys():
        raise LoadFailed(f"{edge.name} gave nothing, or lost a worker ({load.errors} errors)")
    answers = load.received_bytes / exchange(edge.http_port, requests[0]).wire_bytes
    spent_s = tuple(after[pid] - before[pid] for pid in after)
    return Sample(answers, load.seconds, load.server_cpu_s, load.client_cpu_s, spent_s, edge.rss_bytes(), load.errors)


def warm(edge: Server, songs: Sequence[Song]) -> None:
    """Every song is in the edge's RAM, and every worker has seen it; what it gives is right."""
    for ask in make_asks(songs, edge.name, 0, len(songs) * WARM_ASKS):
        if exchange(edge.http_port, _request(ask)).body != ask.wanted:
            raise LoadFailed(f"{edge.name} gave bytes that are not the song")


def rows(samples: Mapping[tuple[Case, Layout], Sequence[Sample]]) -> list[dict[str, object]]:
    """A row per case and layout: medians over rounds, ratios as medians of what each round gave."""
    return [
        {
            "size": f"{case.length >> 10} KiB",
            "connections": case.connections,
            "cores": layout.cores,
            "workers": layout.workers,
            "requests_s": report.median([s.answers / s.seconds for s in found]),
            "mb_s": report.median([s.answers * case.length / s.seconds / 1e6 for s in found]),
            "edge_cpu": report.median([s.cpu_s / s.seconds for s in found]),
            "client_cpu": report.median([s.client_cpu_s / s.seconds for s in found]),
            "requests_cpu_s": report.median([s.per_cpu_s for s in found]),
            **(_of_workers(found, samples.get((case, Layout(layout.cores, 1)), ())) if layout.workers > 1 else {}),
            "rss_mib": report.median([s.rss_bytes / 2**20 for s in found]),
            "errors": sum(s.errors for s in found),
        }
        for (case, layout), found in samples.items()
    ]


def _of_workers(found: Sequence[Sample], of_one: Sequence[Sample]) -> dict[str, object]:
    """What only several processes have. `of_one` are the same rounds of the edge that has one."""
    ratios = [ours.per_cpu_s / one.per_cpu_s for ours, one in zip(found, of_one, strict=False)]
    return {
        "x_one": report.median(ratios) if ratios else None,
        "node_percent": report.median([100 * s.spent_s[0] / sum(s.spent_s) for s in found]),
        "busiest_percent": report.median([100 * max(s.spent_s[1:]) / sum(s.spent_s[1:]) for s in found]),
    }


def _request(ask: Ask) -> bytes:
    return http_bytes(ask, ask.song.edge_path(ask.grant))


def _spent_s(edge: Server) -> dict[int, float]:
    return {pid: cpu_s(pid) for pid in edge.pids}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench workers", description=__doc__.partition(":")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1, help="of load per round, case and edge")
    parser.add_argument(
        "--workers", type=numbers, default=[1, 2], metavar="1,2", help="1 is one process without workers"
    )
    parser.add_argument("--cores", type=names((ONE, ALL)), default=[ONE, ALL], metavar=f"{ONE},{ALL}")
    parser.add_argument("--sizes", type=sizes, default=sizes("64k,256k"), metavar="64k,256k")
    parser.add_argument("--connections", type=numbers, default=[64], metavar="16,64")
    parser.add_argument("--songs", type=int, default=8)
    parser.add_argument("--song-bytes", type=int, default=5 << 20)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args()


def run(options: argparse.Namespace, folder: Path) -> dict[tuple[Case, Layout], list[Sample]]:
    """All rounds of all cases."""
    need("wrk", "wrk")
    samples: dict[tuple[Case, Layout], list[Sample]] = defaultdict(list)
    cases = [Case(length, connections) for length, connections in product(options.sizes, options.connections)]
    if any(case.length == 0 for case in cases):
        raise LoadFailed("whole songs are streams: this measures ranges")
    with Servers(folder) as servers:
        origin = servers.origin(options.songs, options.song_bytes)
        songs = make_songs(options.songs, options.song_bytes)
        edges = {
            Layout(cores, n): servers.edge(
                [origin], edge_id=f"{cores}-{n}", core=SERVER_CORE if cores == ONE else None, workers=n
            )
            for cores, n in product(options.cores, options.workers)
        }
        for edge in edges.values():
            warm(edge, songs)
        for turn, case, (layout, edge) in product(range(options.rounds), cases, edges.items()):
            report.say(f"round {turn + 1}: {edge.name}, {case.length >> 10} KiB, {case.connections} connections")
            samples[case, layout].append(measure(folder, edge, songs, case, options.seconds))
    return samples


def main() -> int:
    options, machine = _options(), report.machine()
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as folder:
        try:
            samples = run(options, Path(folder))
        except (Missing, LoadFailed) as error:
            print(f"bench workers: {error}", file=sys.stderr)
            return 1
    found = rows(samples)
    print(f"{machine}\n{options.rounds} rounds of {options.seconds:g} s; medians\n")
    print(report.table(COLUMNS, found))
    if ALL in options.cores and len(os.sched_getaffinity(0)) <= max(options.workers):
        print("\nHere workers and client share all cores: requests/s do not show what free cores would give.")
    report.write_json(options.json, {"machine": machine, "command": sys.argv[1:], "rows": found})
    return 0


if __name__ == "__main__":
    sys.exit(main())
