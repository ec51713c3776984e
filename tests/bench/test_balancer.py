"""The simulated mesh: it counts everything once, the same seed gives the same run, and rules differ where they must."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest

from bench.balancer.bars import Bar
from bench.balancer.cache import Cache
from bench.balancer.catalog import BITRATES
from bench.balancer.hashing import RendezvousHash
from bench.balancer.homes import Rendezvous, Ring
from bench.balancer.intervals import interval
from bench.balancer.production import Reprise
from bench.balancer.rules import Random, Rule
from bench.balancer.runs import prepare
from bench.balancer.scenarios import SCENARIOS, Event, Happening
from bench.balancer.simulation import NOWHERE, Simulation
from bench.balancer.tally import Tally
from bench.balancer.world import Source

ROOT = Path(__file__).parents[2]
EDGES, MEASURED_S, SEED = 16, 40.0, 101
NAMES = ("steady-70", "flash", "death")
RULES = (Reprise, RendezvousHash, Random)


@cache
def ran(name: str, kind: type[Rule]) -> Simulation:
    """A run of a small mesh; the death comes early enough to be measured."""
    events = (Event(5, Happening.KILL),) if name == "death" else ()
    simulation = prepare(replace(SCENARIOS[name], songs=1_000, events=events), kind, EDGES, MEASURED_S, SEED)
    simulation.run()
    return simulation


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("name", NAMES)
def test_what_edges_carry_is_what_listeners_hear(name: str, kind: type[Rule]) -> None:
    run = ran(name, kind)
    heard = [(place, BITRATES[r % len(BITRATES)]) for place, r in zip(run.places, run.playing, strict=True)]
    carried_bps: Counter[int] = Counter()
    for place, bitrate_bps in heard:
        carried_bps[place] += bitrate_bps
    edges = range(len(run.world.up))
    assert [run.world.committed_bps[edge] for edge in edges] == [carried_bps[edge] for edge in edges]
    assert sum(run.world.active) == sum(place != NOWHERE for place in run.places)


@pytest.mark.parametrize("kind", RULES)
@pytest.mark.parametrize("name", NAMES)
def test_every_play_starts_or_is_counted_as_refused(name: str, kind: type[Rule]) -> None:
    tally = ran(name, kind).tally
    assert tally.plays > 500
    assert tally.plays == len(tally.latencies_ms) + tally.shed + tally.failed
    assert len(tally.latencies_ms) == tally.sources.total()


def test_the_same_seed_gives_the_same_run_and_another_one_does_not() -> None:
    scenario = replace(SCENARIOS["steady-70"], songs=200)
    first, again, other = (prepare(scenario, Reprise, 5, 10.0, seed).run().figures() for seed in (7, 7, 8))
    assert first == again != other


def test_every_rule_has_the_same_listeners() -> None:
    runs = [ran("steady-70", kind) for kind in RULES]
    assert len({tuple(run.workload.turns) for run in runs}) == 1
    assert len({run.tally.plays for run in runs}) == 1


@pytest.mark.parametrize("kind", RULES)
def test_a_death_moves_who_was_there_and_nobody_else(kind: type[Rule]) -> None:
    run = ran("death", kind)
    dead = [edge for edge, up in enumerate(run.world.up) if not up]
    assert len(dead) == 1
    assert run.tally.moved == run.tally.on_the_dead > 10
    assert run.world.active[dead[0]] == 0
    assert run.tally.failed == 0


def test_hashing_hits_more_often_and_chance_carries_more_evenly() -> None:
    hits = {kind: ran("steady-70", kind).tally.figures()["hit_percent"] for kind in RULES}
    peaks = {kind: ran("steady-70", kind).tally.figures()["peak"] for kind in RULES}
    assert hits[Random] + 20 < hits[Reprise] <= hits[RendezvousHash]
    assert peaks[Random] < peaks[RendezvousHash]


@pytest.mark.parametrize("kind", RULES)
def test_a_release_is_read_from_the_origin_once(kind: type[Rule]) -> None:
    """Four renditions of a song that no edge had: one read each, however many come for it within seconds."""
    run = ran("flash", kind)
    first = run.catalog.songs * len(BITRATES)
    assert sum(rendition >= first for rendition in run.playing) > 50
    assert [run.world.origin_fetches[first + number] for number in range(len(BITRATES))] == [1] * len(BITRATES)


def test_a_cache_keeps_what_is_asked_for_again_and_never_more_than_it_may() -> None:
    held = Cache(100)
    held.add(1, 40)
    assert held.touch(1)
    for rendition in range(2, 30):
        held.add(rendition, 30)
        assert held.bytes_held <= 100
    assert 1 in held
    assert 2 not in held
    held.add(99, 101)
    assert 99 not in held


@pytest.mark.parametrize("homes", [Rendezvous, Ring])
def test_a_death_moves_only_the_songs_of_the_dead(homes: type[Rendezvous] | type[Ring]) -> None:
    capacities = dict.fromkeys(range(10), 100)
    before, after = homes(capacities), homes({edge: 100 for edge in capacities if edge != 3})
    for rendition in range(200):
        order = before.order(f"{rendition:x}")
        assert len(set(order)) == len(order) == 10
        left = [edge for edge in order if edge != 3]
        assert after.order(f"{rendition:x}") == left


def test_a_bar_is_open_when_its_interval_holds_the_limit() -> None:
    bar = Bar("peak", "steady-70", ("reprise",), lambda figures, scenario: figures[scenario, "reprise"]["peak"], 1.25)
    verdicts = [
        bar.judge({("steady-70", "reprise"): {"peak": peaks}}) for peaks in ([1.1, 1.2], [1.2, 1.3], [1.3, 1.4])
    ]
    assert [verdict[1] for verdict in verdicts if verdict] == ["met", "open", "missed"]
    assert bar.judge({}) is None


def test_an_interval_holds_its_mean_and_is_narrow_for_equal_values() -> None:
    found = interval([1.0, 2.0, 3.0])
    assert 1.0 <= found.low < found.mean == 2.0 < found.high <= 3.0
    assert interval([5.0, 5.0]).low == interval([5.0, 5.0]).high == 5.0


def test_the_time_until_all_is_well_again_is_counted_from_the_shock() -> None:
    tally = Tally(peak_over_mean=[1.0] * 10 + [2.0] * 5 + [1.02] * 20, shaken_at_s=10.0)
    assert tally.figures()["back_s"] == 5.0
    tally.peak_over_mean[20:] = [2.0] * 15
    assert tally.figures()["back_s"] == -1.0


def test_the_command_prints_rules_differences_and_bars() -> None:
    options = ("--scenario=steady-70", "--policy=reprise,rendezvous", "--edges=15", "--seeds=2", "--minutes=1")
    argv = (sys.executable, "-m", "bench.balancer", *options)
    ended = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in ended.stdout.splitlines() if line[:1] == "|"
    ]
    assert [row[0] for row in rows if row[0] in ("reprise", "rendezvous")] == ["reprise", "rendezvous", "rendezvous"]
    assert {row[-1] for row in rows if row[1] == "steady-70"} <= {"met", "missed", "open"}
    assert "seeds 1 to 2, 15 edges" in ended.stdout


def test_a_sinkhole_fails_plays_and_sends_them_elsewhere() -> None:
    scenario = replace(SCENARIOS["sink"], songs=200, events=(Event(1, Happening.SINK),))
    run = prepare(scenario, Random, 5, 20.0, SEED)
    tally = run.run()
    (sink,) = run.sinks
    assert run.world.active[sink] == 0
    assert 0 < tally.failed < tally.plays / 20
    assert tally.sources[Source.HELD] > 0
