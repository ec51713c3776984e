"""`./scripts/bench listeners`: as many listeners as asked play songs at 160 kb/s from one edge process.

The edge has one core. Prints the share of it that the edge used, what each listener added to the edge's memory, and how many
pieces came late. Memory that the kernel holds for sockets belongs to no process and is not in it. The edge paces long
answers as it always does; listeners take 16 KiB when they are due, and their small receive buffers hold it back until then.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from bench import report
from bench.asks import make_asks
from bench.launch import CLIENT_CORE, ROOT, SERVER_CORE, Missing, Server, pinned
from bench.load import LoadFailed
from bench.options import numbers
from bench.paced import PIECE_BYTES, Heard
from bench.report import Column
from bench.servers import Servers
from bench.songs import BITRATE_BPS, Song, make_songs
from bench.wrk import exchange, http_request
from reprise.chunks import CHUNK_BYTES

SONGS = 8
# The limit on open files is per process, and a process of listeners has one for each.
PER_PROCESS = 5000
# Between the last request and the first figure: who just came fills the buffers of its socket.
SETTLE_S = 1.0
GATHER_S_MAX = 60.0
WARM_BYTES = 2 * CHUNK_BYTES
COLUMNS = (
    Column("listeners", "listeners"),
    Column("seconds", "seconds"),
    Column("Mb/s", "mbps"),
    Column("CPU % of a core", "cpu_percent", 1),
    Column("RSS MiB", "rss_mib", 1),
    Column("RSS KiB per listener", "rss_kib_each", 1),
    Column("pieces", "pieces"),
    Column("late > 1 s", "late"),
    Column("lateness p99 ms", "late_p99_ms"),
    Column("worst ms", "late_max_ms"),
    Column("readers' own lag, worst ms", "own_lag_ms"),
    Column("errors", "errors"),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run gave."""

    seconds: float
    cpu_s: float
    rss_bytes: int
    added_bytes: int
    heard: Sequence[Heard]


def run_case(listeners: int, seconds: int) -> Sample:
    """That many listeners on a fresh edge whose cache is warm."""
    piece_s = PIECE_BYTES * 8 / BITRATE_BPS
    # Nobody's song may end before the last one has come and all were measured.
    longest_s = seconds + GATHER_S_MAX
    song_bytes = int(longest_s * BITRATE_BPS / 8) + 8 * CHUNK_BYTES
    songs = make_songs(SONGS, song_bytes)
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as folder, Servers(Path(folder)) as servers:
        origin = servers.origin(SONGS, song_bytes)
        edge = servers.edge([origin], core=SERVER_CORE, paced=True, stream_limit=listeners + 100)
        _warm(edge, songs)
        before = edge.rss_bytes()
        with ExitStack() as stack:
            crowds = [
                stack.enter_context(_crowd(Path(folder), number, edge, requests, piece_s, seconds))
                for number, requests in enumerate(_requests(edge, songs, listeners))
            ]
            return _measure(edge, crowds, before)


def _measure(edge: Server, crowds: Sequence[subprocess.Popen[str]], before: int) -> Sample:
    for crowd in crowds:
        if _line(crowd) != "gathered":
            raise LoadFailed("a process of listeners said something else than that all are there")
    time.sleep(SETTLE_S)
    cpu_s, started = edge.cpu_s(), time.monotonic()
    for crowd in crowds:
        assert crowd.stdin is not None
        crowd.stdin.write("\n")
        crowd.stdin.flush()
    heard = [Heard(**json.loads(_line(crowd))) for crowd in crowds]
    took_s, rss = time.monotonic() - started, edge.rss_bytes()
    return Sample(took_s, edge.cpu_s() - cpu_s, rss, rss - before, heard)


def _warm(edge: Server, songs: Sequence[Song]) -> None:
    """In ranges that are too short for the edge to pace them."""
    for ask, start in product(make_asks(songs, edge.name, 0, len(songs)), range(0, len(songs[0].data), WARM_BYTES)):
        wanted = ask.song.data[start : start + WARM_BYTES]
        headers = {"Range": f"bytes={start}-{start + len(wanted) - 1}"}
        if exchange(edge.http_port, http_request("GET", ask.song.edge_path(ask.grant), headers)).body != wanted:
            raise LoadFailed("the edge gave other bytes than the song's")


def _requests(edge: Server, songs: Sequence[Song], listeners: int) -> list[list[bytes]]:
    """Requests of all listeners, each with a grant of its own, by process."""
    asks = make_asks(songs, edge.name, 0, listeners)
    requests = [http_request("GET", ask.song.edge_path(ask.grant), {}) for ask in asks]
    return [requests[at : at + PER_PROCESS] for at in range(0, len(requests), PER_PROCESS)]


def _crowd(
    folder: Path, number: int, edge: Server, requests: Sequence[bytes], piece_s: float, seconds: int
) -> subprocess.Popen[str]:
    listed = folder / f"requests-{number}"
    listed.write_text("\n".join(request.hex() for request in requests))
    argv = pinned(CLIENT_CORE, sys.executable, "-m", "bench.paced", f"--port={edge.http_port}", f"--requests={listed}")
    argv += (f"--piece-s={piece_s}", f"--seconds={seconds}")
    return subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def _line(crowd: subprocess.Popen[str]) -> str:
    """The next line of a process of listeners. It always comes: their waits are bounded. Raises LoadFailed."""
    assert crowd.stdout is not None
    line = crowd.stdout.readline().strip()
    if not line:
        raise LoadFailed("a process of listeners ended early; its message is above")
    return line


def row(listeners: int, sample: Sample) -> dict[str, object]:
    heard = sample.heard
    pieces = sum(one.pieces for one in heard)
    return {
        "listeners": listeners,
        "seconds": sample.seconds,
        "mbps": pieces * PIECE_BYTES * 8 / sample.seconds / 1e6,
        "cpu_percent": sample.cpu_s / sample.seconds * 100,
        "rss_mib": sample.rss_bytes / 2**20,
        "rss_kib_each": sample.added_bytes / 1024 / listeners,
        "pieces": pieces,
        "late": sum(one.late for one in heard),
        "late_p99_ms": max(one.lateness_p99_s for one in heard) * 1000,
        "late_max_ms": max(one.lateness_max_s for one in heard) * 1000,
        "own_lag_ms": max(one.own_lag_max_s for one in heard) * 1000,
        "errors": sum(one.errors for one in heard),
    }


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench listeners", description=__doc__.partition("\n")[0])
    parser.add_argument("--listeners", type=numbers, default=[500], metavar="500,10000")
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--json", type=Path, help="write the rows to this file too")
    return parser.parse_args()


def main() -> int:
    options, machine = _options(), report.machine()
    try:
        rows = [row(listeners, run_case(listeners, options.seconds)) for listeners in options.listeners]
    except (Missing, LoadFailed) as error:
        print(f"bench listeners: {error}", file=sys.stderr)
        return 1
    print(f"{machine}\n")
    print(report.table(COLUMNS, rows))
    report.write_json(options.json, {"machine": machine, "rows": rows})
    return 0


if __name__ == "__main__":
    sys.exit(main())
