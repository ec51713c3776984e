"""The listeners of `arrivals` in the simulator."""

from collections import Counter

from bench.balancer.happenings import Happenings
from bench.balancer.production import Reprise
from bench.balancer.rules import Report, Rule
from bench.balancer.scenarios import Event, Happening, Scenario
from bench.balancer.simulation import NOWHERE, Simulation
from bench.balancer.workload import WARM_UP_S, Workload
from bench.balancer.world import Source
from bench.balancer_real.arrivals import BITRATE_BPS, KILL_S, VICTIM, Outcome

SAMPLE_S = 1.0
SESSION_S = 20.0
JUST_BEFORE_S = 0.001


class _Lingering(Simulation):
    """Edges as they are: who has left is counted for SESSION_S more, because a player that reads by ranges may be back."""

    def __init__(self, scenario: Scenario, workload: Workload, kind: type[Rule], seed: int) -> None:
        super().__init__(scenario, workload, kind, seed)
        self._left_bps: Counter[int] = Counter()

    def stop(self, listener: int) -> None:
        edge = self.places[listener]
        super().stop(listener)
        if edge != NOWHERE:
            self._left_bps[edge] += BITRATE_BPS
            self.at(self.now + SESSION_S, self._forget, edge)

    def _forget(self, edge: int) -> None:
        self._left_bps[edge] -= BITRATE_BPS

    def _said(self, edge: int) -> Report:
        said = super()._said(edge)
        left_bps = self._left_bps[edge]
        return said._replace(active=said.active + left_bps // BITRATE_BPS, committed_bps=said.committed_bps + left_bps)


class _OneDeath(Happenings):
    """The edge that dies is the one that is killed on the real mesh."""

    def _victims(self, _count: int) -> list[int]:
        return [VICTIM]


def simulate(workload: Workload, seed: int) -> Outcome:
    """One run; `seed` is of the balancer's own choices."""
    kill = Event(KILL_S - WARM_UP_S, Happening.KILL)
    # Every cache holds every song, so that hits tell of routing alone.
    scenario = Scenario("real", "as the real mesh", cache_share=1.0, events=(kill,))
    simulation = _Lingering(scenario, workload, Reprise, seed)
    outcome = Outcome()
    _without_the_first(simulation)
    _OneDeath(simulation, scenario)

    def sample() -> None:
        outcome.carried(simulation.world.active[1:])
        if simulation.now + SAMPLE_S < KILL_S:
            simulation.at(simulation.now + SAMPLE_S, sample)

    def before_the_kill() -> None:
        sources = simulation.tally.sources
        outcome.starts = sources.total()
        outcome.hits = outcome.starts - sources[Source.RELAY] - sources[Source.ORIGIN]
        outcome.listeners = sum(place != NOWHERE for place in simulation.places)

    simulation.at(WARM_UP_S + SAMPLE_S / 2, sample)
    simulation.at(KILL_S - JUST_BEFORE_S, before_the_kill)
    tally = simulation.run()
    outcome.on_the_dead, outcome.moved, outcome.failed = tally.on_the_dead, tally.moved, tally.failed + tally.shed
    return outcome


def _without_the_first(simulation: Simulation) -> None:
    """Real edges count from 1, and names decide who is home to what."""
    simulation.world.up[0] = False
    simulation.world.settle_homes()
    simulation.world.hold(0.0)
    for rule in simulation.rules:
        rule.lost(0, 0.0)
        rule.gone(0, 0.0)
