"""`./scripts/bench balancer`: the balancer's own decision and its rivals under the same simulated listeners.

Without `--scenario` and `--policy` it plays what the bars need and prints whether they are met. Seeds 1 to N are for results;
whoever tries out parameters takes others (`--first-seed 101`).
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from bench import report
from bench.balancer.bars import BALANCE, BARS, HITS, OURS
from bench.balancer.hashing import RendezvousBounded140, RendezvousCeiling
from bench.balancer.intervals import differences, interval
from bench.balancer.plots import MissingExtraError, draw
from bench.balancer.runs import RULES, Job, Run, run
from bench.balancer.scenarios import SCENARIOS, STEADY
from bench.options import names
from bench.report import Column

# By seed.
Values = dict[str, list[float]]
EDGES, SEEDS, MINUTES, JOBS = 100, 5, 2.0, 2
# The last event of most scenarios comes after half a minute; three regions and zones want edges.
EDGES_MIN, MINUTES_MIN = 15, 1.0
# Beside the headline scenario, which has all rules.
SIMPLER = (RendezvousBounded140.name, RendezvousCeiling.name)
RIVALS = (OURS, HITS, *SIMPLER, BALANCE)
# Beside what the bars need.
ALSO = ("steady-85", "flash")
COLUMNS = (
    Column("rule", "rule"),
    Column("max/mean", "peak", 2),
    Column("its p99", "peak_p99", 2),
    Column("p99/mean", "p99_mean", 2),
    Column("overloaded edge-s", "overload_s"),
    Column("hits %", "hit_percent", 1),
    Column("relayed %", "relay_percent", 1),
    Column("origin fetches", "origin"),
    Column("start p50 ms", "start_p50_ms"),
    Column("p95", "start_p95_ms"),
    Column("p99", "start_p99_ms"),
    Column("stalled s/h", "stalled_s_h", 1),
    Column("failed", "failed", 1),
    Column("shed %", "shed_percent", 2),
    Column("herd", "herd", 1),
    Column("its p99", "herd_p99", 1),
    Column("moved", "moved"),
    Column("back s", "back_s"),
)
COMPARED = (
    ("max/mean", "peak", 2),
    ("hits, points", "hit_percent", 1),
    ("start p99, ms", "start_p99_ms", 0),
    ("stalled s/h", "stalled_s_h", 1),
)


def main() -> None:
    """Runs what the command line asks for."""
    asked = _parse()
    machine = report.machine()
    runs = _play(_jobs(asked), asked.jobs)
    seeds = f"seeds {asked.first_seed} to {asked.first_seed + asked.seeds - 1}"
    print(f"{machine}\n{seeds}, {asked.edges} edges, {asked.minutes:g} minutes measured\n")
    tables = _tables(runs)
    for scenario, rows in tables.items():
        _print_scenario(scenario, rows)
    _print_bars({(scenario, rule): values for scenario, rows in tables.items() for rule, values in rows.items()})
    found = [{"scenario": r.job.scenario, "rule": r.job.rule, "seed": r.job.seed, **r.figures} for r in runs]
    report.write_json(asked.json, {"command": sys.argv, "machine": machine, "runs": found})
    if asked.plots:
        _draw(asked.plots, tables)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.balancer", description=__doc__)
    parser.add_argument("--scenario", type=names([*SCENARIOS, "all"]), help=f"list of: all, {', '.join(SCENARIOS)}")
    parser.add_argument("--policy", type=names([*RULES]), metavar="RULES", help=f"list of: {'; '.join(RULES)}")
    parser.add_argument("--edges", type=int, default=EDGES, metavar="N", help=f"default {EDGES}")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help=f"default {SEEDS}")
    parser.add_argument("--first-seed", type=int, default=1, metavar="N", help="default 1")
    parser.add_argument(
        "--minutes", type=float, default=MINUTES, metavar="M", help=f"measured, after two; default {MINUTES:g}"
    )
    parser.add_argument("--jobs", type=int, default=JOBS, metavar="N", help=f"processes; default {JOBS}")
    parser.add_argument("--json", type=Path, metavar="FILE", help="writes every run's figures")
    parser.add_argument("--plots", type=Path, metavar="DIR", help="draws each scenario")
    asked = parser.parse_args()
    if asked.minutes < MINUTES_MIN or asked.edges < EDGES_MIN or asked.seeds < 1 or asked.jobs < 1:
        parser.error(f"at least {MINUTES_MIN:g} minute, {EDGES_MIN} edges, one seed and one job")
    return asked


def _jobs(asked: argparse.Namespace) -> list[Job]:
    """Scenario by scenario and seed by seed, so that a process makes each workload once."""
    seeds = range(asked.first_seed, asked.first_seed + asked.seeds)
    return [
        Job(scenario, rule, seed, asked.edges, 60 * asked.minutes)
        for scenario, rules in _plan(asked.scenario, asked.policy).items()
        for seed in seeds
        for rule in rules
    ]


def _plan(scenarios: Sequence[str] | None, rules: Sequence[str] | None) -> dict[str, Sequence[str]]:
    """The rules to play by scenario."""
    if scenarios is None:
        plan: dict[str, Sequence[str]] = {STEADY.name: rules or list(RULES)}
        for name in (*(bar.scenario for bar in BARS), *ALSO):
            plan.setdefault(name, rules or RIVALS)
        return plan
    return dict.fromkeys(SCENARIOS if "all" in scenarios else scenarios, rules or list(RULES))


def _play(jobs: list[Job], processes: int) -> list[Run]:
    runs = []
    with ProcessPoolExecutor(processes) as pool:
        for number, done in enumerate(pool.map(run, jobs), 1):
            job = done.job
            report.say(
                f"{number}/{len(jobs)} {job.scenario}, {job.rule}, seed {job.seed}: {done.events_s:,.0f} events/s"
            )
            runs.append(done)
    return runs


def _tables(runs: list[Run]) -> dict[str, dict[str, Values]]:
    """Scenario -> rule -> figure -> values by seed."""
    tables: dict[str, dict[str, Values]] = {}
    for done in runs:
        values = tables.setdefault(done.job.scenario, {}).setdefault(done.job.rule, {})
        for figure, value in done.figures.items():
            values.setdefault(figure, []).append(value)
    return tables


def _print_scenario(scenario: str, rows: dict[str, Values]) -> None:
    print(f"### {scenario}: {SCENARIOS[scenario].says}\n")
    means = [{"rule": rule, **{k: interval(v).mean for k, v in values.items()}} for rule, values in rows.items()]
    print(report.table(COLUMNS, means), "\n", flush=True)
    if OURS in rows and len(rows) > 1 and len(rows[OURS]["peak"]) > 1:
        columns = [Column(f"{OURS} less", "rule"), *(Column(heading, figure) for heading, figure, _ in COMPARED)]
        print(report.table(columns, list(_differences(rows))), "\n", flush=True)


def _differences(rows: dict[str, Values]) -> Iterator[dict[str, object]]:
    for rule, values in rows.items():
        if rule != OURS:
            cells = {f: interval(differences(rows[OURS][f], values[f])).shown(decimals) for _, f, decimals in COMPARED}
            yield {"rule": rule, **cells}


def _print_bars(figures: dict[tuple[str, str], Values]) -> None:
    rows: list[dict[str, object]] = []
    for bar in BARS:
        judged = bar.judge(figures)
        if judged is not None:
            found, verdict = judged
            limit = f"{'<=' if bar.at_most else '>='} {bar.limit:g}"
            rows.append(
                {"bar": bar.what, "scenario": bar.scenario, "found": found.shown(2), "limit": limit, "verdict": verdict}
            )
    if rows:
        print(report.table([Column(key, key) for key in rows[0]], rows))


def _draw(folder: Path, tables: dict[str, dict[str, Values]]) -> None:
    try:
        for scenario, rows in tables.items():
            for path in draw(folder, scenario, rows, OURS):
                report.say(f"wrote {path}")
    except MissingExtraError as error:
        sys.exit(f"bench.balancer: {error}")


if __name__ == "__main__":
    main()
