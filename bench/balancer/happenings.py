"""Brings a scenario's events upon a simulation: edges die, join, drain, slow down or lie. Changes nothing else."""

from bench.balancer.scenarios import Event, Happening, Scenario
from bench.balancer.simulation import NOWHERE, Simulation
from bench.balancer.workload import WARM_UP_S
from bench.balancer.world import ZONES

# A probe of a dead edge has failed after this long.
DETECTION_S = 0.5
# A player that lost its edge asks again within this time.
RESUME_S = (0.02, 0.5)
DRAIN_EVERY_S, DRAIN_S, RESTART_S = 4.0, 15.0, 2.0
GRAY_SHARE = 0.1


class Happenings:
    """The events of one scenario in one simulation."""

    def __init__(self, simulation: Simulation, scenario: Scenario) -> None:
        self._run, self._world = simulation, simulation.world
        self._edges = len(simulation.world.up)
        for event in scenario.events:
            simulation.at(WARM_UP_S + event.at_s, self._befall, event)

    def _befall(self, event: Event) -> None:
        count = max(1, round(event.share * self._edges))
        if event.what is Happening.DRAIN:
            for turn, edge in enumerate(self._run.rng.sample(range(self._edges), count)):
                self._run.at(self._run.now + turn * DRAIN_EVERY_S, self._drain, edge)
        elif event.what is Happening.JOIN:
            for number in range(count):
                self._join(number)
        else:
            self._strike(event.what, self._victims(count))
        if self._run.tally.shaken_at_s is None:
            self._run.tally.shaken_at_s = event.at_s

    def _victims(self, count: int) -> list[int]:
        """Edges of one zone."""
        zone = [edge for edge in range(self._edges) if edge % ZONES == 0]
        return zone[:count]

    def _strike(self, what: Happening, victims: list[int]) -> None:
        for edge in victims:
            if what is Happening.KILL:
                self._kill(edge)
            elif what is Happening.GRAY:
                self._world.usable_bps[edge] *= GRAY_SHARE
            else:
                self._run.sinks.add(edge)
                self._leave(edge)

    def _kill(self, edge: int) -> None:
        self._world.up[edge] = False
        self._run.tally.on_the_dead += self._leave(edge)
        for rule in self._run.rules:
            rule.lost(edge, self._run.now)
        self._run.at(self._run.now + DETECTION_S, self._gone, edge)

    def _gone(self, edge: int) -> None:
        for rule in self._run.rules:
            rule.gone(edge, self._run.now)
        self._world.settle_homes()

    def _leave(self, edge: int) -> int:
        """Everybody on the edge has to go elsewhere; returns how many they are."""
        listeners = [listener for listener, place in enumerate(self._run.places) if place == edge]
        for listener in listeners:
            again_at = self._run.now + self._run.own.uniform(*RESUME_S)
            self._run.at(again_at, self._resume, listener, self._run.asks[listener], edge)
        return len(listeners)

    def _resume(self, listener: int, ask: int, edge: int) -> None:
        """Unless they have begun another song by then, which sends them elsewhere as well."""
        if edge not in self._run.draining:
            self._run.tally.moved += 1
        if self._run.asks[listener] == ask and self._run.places[listener] != NOWHERE:
            rendition = self._run.playing[listener]
            self._run.stop(listener)
            self._run.start(listener, rendition, failed=frozenset({edge}))

    def _join(self, number: int) -> None:
        world = self._world
        edge = world.add(world.capacities_bps[number], number % world.region_count)
        self._appear(edge)

    def _appear(self, edge: int) -> None:
        self._world.settle_homes()
        for rule in self._run.rules:
            rule.appeared(edge, self._run.now)
        self._run.report(edge)

    def _drain(self, edge: int) -> None:
        self._run.draining.add(edge)
        self._run.tell(edge)
        for rule in self._run.rules:
            rule.drains(edge, self._run.now)
        self._run.at(self._run.now + DRAIN_S, self._stop, edge)

    def _stop(self, edge: int) -> None:
        self._world.up[edge] = False
        self._leave(edge)
        for rule in self._run.rules:
            rule.lost(edge, self._run.now)
        self._gone(edge)
        self._run.at(self._run.now + RESTART_S, self._restart, edge)

    def _restart(self, edge: int) -> None:
        self._run.draining.discard(edge)
        self._world.up[edge] = True
        self._appear(edge)
