"""Prints both comparisons: `python -m bench.cache`. `--quick` takes the mixed traces only, `--plot FILE` draws the first."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.cache.contenders import OTHERS, OURS, RIVAL, Misses, MissingExtraError, keys_of, ours, theirs
from bench.cache.mesh import Fetched, alone, meshed, united
from bench.cache.plot import draw
from bench.cache.routing import EDGES, balanced, spread
from bench.cache.traces import ALPHAS, KINDS, Trace, make_trace

PLAYS, TRACKS = 250_000, 10_000
SHARES = (0.01, 0.05, 0.10)
# Columns of the table; the others are printed by trace.
SHOWN = (OURS, RIVAL, "Sieve", "ARC", "LRU", "Belady")
# Three edges of the last size hold the whole catalog between them.
MESH_SHARES = (0.01, 0.05, 0.10, 0.15, 1 / 3)
# Of the edges' NICs, by what all listeners hear together.
UTILISATION = 0.5
MESH_COLUMNS = (
    "trace",
    "each edge's cache",
    "three alone",
    "mesh, routed by the balancer",
    "relayed",
    "mesh, listeners anywhere",
    "relayed",
    "one cache of three times the size",
    f"{RIVAL} of that size",
    "Belady of that size",
    "routed mesh x three LRU alone",
)
Rows = dict[str, dict[float, Misses]]


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench.cache", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the mixed traces only: a fifth of the time")
    parser.add_argument("--plays", type=int, default=PLAYS, metavar="N", help=f"length of a trace; default {PLAYS}")
    parser.add_argument("--tracks", type=int, default=TRACKS, metavar="N", help=f"songs that exist; default {TRACKS}")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draws byte misses as SVG")
    parser.add_argument("--only", choices=("eviction", "mesh"), help="one of the two tables")
    arguments = parser.parse_args()
    kinds = KINDS[-1:] if arguments.quick else KINDS
    sizes = (arguments.plays, arguments.tracks)
    try:
        if arguments.only != "mesh":
            tables = _eviction(_traces(kinds, *sizes))
            if arguments.plot:
                arguments.plot.write_text(draw(tables))
        if arguments.only != "eviction":
            _mesh(_traces(kinds, *sizes))
    except MissingExtraError as error:
        sys.exit(f"bench.cache: {error}")


def _traces(kinds: Sequence[str], plays: int, tracks: int) -> Iterator[Trace]:
    return (make_trace(kind, alpha, plays, tracks) for alpha in ALPHAS for kind in kinds)


def _eviction(traces: Iterator[Trace]) -> dict[str, Rows]:
    print("## Eviction: byte misses / object misses in %, cache as a share of the trace's footprint\n")
    tables, footprints, lost = {}, {}, []
    for trace in traces:
        rows = tables[trace.name] = _run(trace)
        footprints[trace.name] = trace.footprint_bytes
        _print_rows(trace, rows)
        lost += [
            f"{trace.name} at {share:.0%}" for share in SHARES if rows[OURS][share].bytes > rows[RIVAL][share].bytes
        ]
    _print_table(tables, footprints)
    print(f"More byte misses than libCacheSim's {RIVAL}: {', '.join(lost) or 'on no trace'}.\n")
    return tables


def _run(trace: Trace) -> Rows:
    sizes = {share: int(share * trace.footprint_bytes) for share in SHARES}
    with theirs(trace) as run:
        others = {name: {share: run(name, size) for share, size in sizes.items()} for name in OTHERS}
    return {OURS: {share: ours(trace, size) for share, size in sizes.items()}} | others


def _print_rows(trace: Trace, rows: Rows) -> None:
    print(f"{trace.name}: {len(trace.objects):,} requests, footprint {trace.footprint_bytes / 1e9:.1f} GB\n")
    _print_cells("policy", *(f"{share:.0%}" for share in SHARES))
    _print_rule(1 + len(SHARES))
    for name, row in sorted(rows.items(), key=lambda item: sum(misses.bytes for misses in item[1].values())):
        _print_cells(name, *(_missed(row[share]) for share in SHARES))
    print()


def _print_table(tables: dict[str, Rows], footprints: dict[str, int]) -> None:
    _print_cells("trace", "footprint", "cache", *SHOWN)
    _print_rule(3 + len(SHOWN))
    for trace, rows in tables.items():
        for share in SHARES:
            cells = (_missed(rows[name][share]) for name in SHOWN)
            _print_cells(trace, f"{footprints[trace] / 1e9:.1f} GB", f"{share:.0%}", *cells)
    print()


def _missed(misses: Misses) -> str:
    return f"{100 * misses.bytes:.2f} / {100 * misses.requests:.2f}"


def _mesh(traces: Iterator[Trace]) -> None:
    print(
        "## Three edges: origin bytes in % of what listeners asked for, and as a share of three caches that stand alone\n"
    )
    _print_cells(*MESH_COLUMNS)
    _print_rule(len(MESH_COLUMNS))
    for trace in traces:
        everywhere = spread(trace)
        routed = balanced(trace, [key.rendition_id for key in keys_of(trace)[::2]], UTILISATION)
        for share in MESH_SHARES:
            cache_bytes = int(share * trace.footprint_bytes)
            _print_mesh(trace, share, everywhere, routed, cache_bytes)


def _print_mesh(trace: Trace, share: float, everywhere: Sequence[int], routed: Sequence[int], cache_bytes: int) -> None:
    base = alone(trace, everywhere, cache_bytes).origin

    def beside(missed: float) -> str:
        return f"{100 * missed:.1f} ({missed / base:.2f}x)"

    def both(fetched: Fetched) -> tuple[str, str]:
        return beside(fetched.origin), f"{100 * fetched.relayed:.1f}"

    by_balancer = meshed(trace, routed, cache_bytes)
    with theirs(trace) as run:
        bounds = [run(name, len(EDGES) * cache_bytes).bytes for name in (RIVAL, "Belady")]
    _print_cells(
        trace.name,
        f"{share:.0%}",
        f"{100 * base:.1f}",
        *both(by_balancer),
        *both(meshed(trace, everywhere, cache_bytes)),
        beside(united(trace, cache_bytes).origin),
        *map(beside, bounds),
        f"{by_balancer.origin / _alone_as(trace, everywhere, 'LRU', cache_bytes):.2f}x",
    )


def _alone_as(trace: Trace, places: Sequence[int], policy: str, cache_bytes: int) -> float:
    """What caches of another policy miss that know nothing of each other."""
    missed_bytes = 0.0
    for edge in range(len(EDGES)):
        part = trace.where([place == edge for place in places])
        with theirs(part) as run:
            missed_bytes += run(policy, cache_bytes).bytes * part.requested_bytes
    return missed_bytes / trace.requested_bytes


def _print_cells(*cells: str) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def _print_rule(columns: int) -> None:
    print("|---" * columns + "|")


if __name__ == "__main__":
    main()
