"""`./scripts/bench storm`: a crowd asks for one cold song at the same moment, and the origin is slow; then something dies.

Every run starts its servers anew, so everything is cold. There are two origins and everybody knows both; with `dies` the one
that is asked first ends in the middle of its first read, with `home-dies` the edge that reads for the others is killed there.
Clients never try again, so what a server does not hide is an error; only those of a killed edge go on at another one, once, as
players do. Several nginx or edges share the clients evenly. Edges learn of each other from a real balancer. Servers, origins
and the crowd share the machine's cores, so differences between servers say more than any figure alone.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path

from bench import report
from bench.crowd import Outcome
from bench.launch import Missing, installed
from bench.load import LoadFailed
from bench.one_storm import DIES, HOME_DIES, LIVES, VARIANTS, Case, Sample, run_case
from bench.options import names, numbers
from bench.report import Column

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
    Column("of the dead edge: clients", "left"),
    Column("silence p50 ms", "silence_p50_ms"),
    Column("p99 ms", "silence_p99_ms"),
    Column("errors", "left_errors"),
)


def row(case: Case, samples: Sequence[Sample], song_bytes: int) -> dict[str, object]:
    """Medians over rounds; errors are summed, those of a dead edge's clients too, which are in the errors of all."""

    def ms(pick: Callable[[Outcome], Sequence[float]], share: float, after_first: bool = False) -> float | None:
        """Of those rounds in which anybody got that far."""
        seen = [(pick(sample.outcome), sample.outcome.first_s) for sample in samples]
        found = [report.quantile(got, share) - (min(first) if after_first else 0) for got, first in seen if got]
        return report.median(found) * 1000 if found else None

    home_dies = case.origin == HOME_DIES
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
        "left": samples[0].left if home_dies else None,
        "silence_p50_ms": ms(_silence, 0.5),
        "silence_p99_ms": ms(_silence, 0.99),
        "left_errors": sum(sample.outcome.resumed_errors for sample in samples) if home_dies else None,
    }


def _first(outcome: Outcome) -> list[float]:
    return outcome.first_s


def _done(outcome: Outcome) -> list[float]:
    return outcome.done_s


def _silence(outcome: Outcome) -> list[float]:
    return outcome.silence_s


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench storm", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=numbers, default=[100, 1000], metavar="100,1000")
    every = list(VARIANTS)
    parser.add_argument("--servers", type=names(every), default=every, metavar=",".join(every))
    ends = (LIVES, DIES, HOME_DIES)
    parser.add_argument("--origin", type=names(ends), default=list(ends), metavar=",".join(ends))
    parser.add_argument("--song-bytes", type=int, default=5_000_000)
    parser.add_argument("--json", type=Path, help="write the rows and what they were made of to this file too")
    return parser.parse_args()


def _cases(options: argparse.Namespace) -> list[Case]:
    wanted = list(options.servers)
    if "varnish" in wanted and not installed("varnishd"):
        report.say("varnish is not installed and is left out: sudo apt install varnish")
        wanted.remove("varnish")
    asked = [Case(*one) for one in product(wanted, options.clients, options.origin)]
    return sorted(filter(lambda case: case.makes_sense, asked), key=lambda case: options.origin.index(case.origin))


def main() -> int:
    options, machine = _options(), report.machine()
    samples: dict[Case, list[Sample]] = defaultdict(list)
    turns = [*_cases(options)] * options.rounds
    try:
        for number, case in enumerate(turns, 1):
            report.say(f"{number} of {len(turns)}: {case.server}, {case.clients} clients, origin {case.origin}")
            samples[case].append(run_case(case, options.song_bytes))
    except (Missing, LoadFailed) as error:
        print(f"bench storm: {error}", file=sys.stderr)
        return 1
    rows = [row(case, found, options.song_bytes) for case, found in samples.items()]
    print(f"{machine}\n{options.rounds} rounds; medians, errors of all rounds\n")
    print(report.table(COLUMNS, rows))
    made_of = [{**asdict(case), "rounds": list(map(asdict, found))} for case, found in samples.items()]
    report.write_json(options.json, {"machine": machine, "command": sys.argv[1:], "rows": rows, "samples": made_of})
    return 0


if __name__ == "__main__":
    sys.exit(main())
