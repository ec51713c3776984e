"""Prints both comparisons: `python -m bench.cache`. `--quick` takes the mixed traces only, `--plot FILE` draws the first."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.cache.contenders import OTHERS, OURS, RIVAL, Misses, MissingExtraError, ours, theirs
from bench.cache.mesh import origin_bytes
from bench.cache.plot import draw
from bench.cache.traces import ALPHAS, KINDS, Trace, make_trace

PLAYS, TRACKS = 250_000, 10_000
SHARES = (0.01, 0.05, 0.10)
# Three edges of the last size hold the whole catalog between them.
MESH_SHARES = (0.01, 0.05, 0.10, 1 / 3)
Rows = dict[str, dict[float, Misses]]


def main() -> None:
    """Runs what the command line asks for."""
    parser = argparse.ArgumentParser(prog="bench.cache", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="the mixed traces only: a minute instead of five")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draws byte misses as SVG")
    parser.add_argument("--only", choices=("eviction", "mesh"), help="one of the two tables")
    arguments = parser.parse_args()
    kinds = KINDS[-1:] if arguments.quick else KINDS
    try:
        if arguments.only != "mesh":
            tables = _eviction(kinds)
            if arguments.plot:
                arguments.plot.write_text(draw(tables))
        if arguments.only != "eviction":
            _mesh(kinds)
    except MissingExtraError as error:
        sys.exit(f"bench.cache: {error}")


def _eviction(kinds: Sequence[str]) -> dict[str, Rows]:
    print("## Eviction: byte misses / request misses in %, cache as a share of the trace's footprint\n")
    tables = {}
    lost = []
    for trace in _traces(kinds):
        rows = tables[trace.name] = _run(trace)
        _print_rows(trace, rows)
        lost += [
            f"{trace.name} at {share:.0%}" for share in SHARES if rows[OURS][share].bytes > rows[RIVAL][share].bytes
        ]
    print(f"More byte misses than libCacheSim's {RIVAL}: {', '.join(lost) or 'on no trace'}.\n")
    return tables


def _traces(kinds: Sequence[str]) -> Iterator[Trace]:
    return (make_trace(kind, alpha, PLAYS, TRACKS) for alpha in ALPHAS for kind in kinds)


def _run(trace: Trace) -> Rows:
    sizes = {share: int(share * trace.footprint_bytes) for share in SHARES}
    with theirs(trace) as run:
        others = {name: {share: run(name, size) for share, size in sizes.items()} for name in OTHERS}
    return {OURS: {share: ours(trace, size) for share, size in sizes.items()}} | others


def _print_rows(trace: Trace, rows: Rows) -> None:
    print(f"{trace.name}: {len(trace.objects):,} requests, footprint {trace.footprint_bytes / 1e9:.1f} GB\n")
    print("| policy |" + "".join(f" {share:.0%} |" for share in SHARES))
    print("|---|" + "---|" * len(SHARES))
    for name, row in sorted(rows.items(), key=lambda item: sum(misses.bytes for misses in item[1].values())):
        cells = (f" {100 * row[share].bytes:.2f} / {100 * row[share].requests:.2f} |" for share in SHARES)
        print(f"| {name} |{''.join(cells)}", flush=True)
    print()


def _mesh(kinds: Sequence[str]) -> None:
    print("## Three edges: origin bytes in % of what listeners asked for, and the mesh against independent caches\n")
    print("| trace | each edge's cache | independent | mesh, listeners anywhere | mesh, listeners at the song's home |")
    print("|---|---|---|---|---|")
    for trace in _traces(kinds):
        for share in MESH_SHARES:
            result = origin_bytes(trace, int(share * trace.footprint_bytes))
            cells = [f"{100 * part:.1f} ({part / result.independent:.2f}x)" for part in (result.relayed, result.routed)]
            row = f"| {trace.name} | {share:.0%} | {100 * result.independent:.1f} | {' | '.join(cells)} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
