"""One run by names, as a process of its own can make it, and its figures."""

import time
from dataclasses import dataclass

from bench.balancer.happenings import Happenings
from bench.balancer.hashing import (
    RendezvousBounded140,
    RendezvousCeiling,
    RendezvousHash,
    RingBounded125,
    RingBounded140,
    RingHash,
)
from bench.balancer.production import Reprise
from bench.balancer.rules import LeastFresh, LeastStale, Random, RoundRobin, Rule, TwoChoices, TwoChoicesLedger
from bench.balancer.sampled import OrcaWeighted, Prequal
from bench.balancer.scenarios import SCENARIOS, Scenario
from bench.balancer.simulation import Simulation
from bench.balancer.workload import make_workload

RULES: dict[str, type[Rule]] = {
    kind.name: kind
    for kind in (
        Reprise,
        RendezvousBounded140,
        RendezvousCeiling,
        RendezvousHash,
        RingHash,
        RingBounded125,
        RingBounded140,
        Random,
        RoundRobin,
        LeastStale,
        LeastFresh,
        TwoChoices,
        TwoChoicesLedger,
        Prequal,
        OrcaWeighted,
    )
}


@dataclass(frozen=True, slots=True)
class Job:
    """What makes a run."""

    scenario: str
    rule: str
    seed: int
    edges: int
    measured_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What came of it. `figures` depend on nothing but the job."""

    job: Job
    figures: dict[str, float]
    events_s: float


def run(job: Job) -> Run:
    """Plays one scenario by one rule."""
    simulation = prepare(SCENARIOS[job.scenario], RULES[job.rule], job.edges, job.measured_s, job.seed)
    began = time.perf_counter()
    tally = simulation.run()
    return Run(job, tally.figures(), simulation.event_count / (time.perf_counter() - began))


def prepare(scenario: Scenario, kind: type[Rule], edges: int, measured_s: float, seed: int) -> Simulation:
    """A simulation that is ready to run."""
    simulation = Simulation(scenario, make_workload(scenario, edges, measured_s, seed), kind, seed)
    Happenings(simulation, scenario)
    return simulation
