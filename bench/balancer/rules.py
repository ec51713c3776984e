"""What one balancer knows and decides: the interface of all rules, and those without affinity. No clock.

A rule hears of the mesh by reports, as old as the scenario makes them, and of an edge's death when a probe would have failed.
Only rules that say so in their name look at the world itself.
"""

import random
from collections import deque
from collections.abc import Sequence
from typing import ClassVar, NamedTuple

from bench.balancer.homes import Rendezvous, Ring
from bench.balancer.world import World

CANDIDATES = 3


class Ask(NamedTuple):
    """A listener wants to start a rendition. `failed`: edges that just failed them. `warm`: edges they are connected to."""

    number: int
    listener: int
    rendition: int
    bitrate_bps: int
    region: int
    now: float
    failed: frozenset[int]
    warm: tuple[int, ...]


class Report(NamedTuple):
    """What an edge said at `made_at`. `seen`: asks that the figures include. `heat`: (rendition, live bps, waiting)."""

    edge: int
    made_at: float
    active: int
    committed_bps: int
    tx_bps: int
    draining: bool
    seen: tuple[int, ...]
    heat: tuple[tuple[int, int, int], ...]
    starts: int
    held_bytes: int


class Rule:
    """Keeps who may be picked; a subclass decides. Alternates are anybody, for only failures need them."""

    name: ClassVar[str]
    homes: ClassVar[type[Rendezvous] | type[Ring]] = Rendezvous
    # Whether a song has edges of its own.
    affine: ClassVar[bool] = False
    wants_heat: ClassVar[bool] = False

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        self.world = world
        self.rng = rng
        self.balancers = balancers
        self.members: list[list[int]] = [list(world.alive(region)) for region in range(world.region_count)]

    def choose(self, ask: Ask) -> Sequence[int]:
        """Edges to try, best first; empty when the listener is to be refused."""
        members = self.members[ask.region]
        if ask.failed:
            members = [edge for edge in members if edge not in ask.failed]
        if not members:
            members = [edge for region in self.members for edge in region if edge not in ask.failed]
        if not members:
            return ()
        return (self.decide(ask, members), *self.rng.choices(members, k=CANDIDATES - 1))

    def decide(self, ask: Ask, members: Sequence[int]) -> int:
        """One of `members`, which is not empty."""
        raise NotImplementedError

    def heard(self, report: Report, now: float) -> None:
        """A report arrived."""

    def told(self, ask: Ask, edge: int, *, ok: bool) -> None:
        """A player says how a start went."""

    def wake(self, _now: float) -> Sequence[tuple[int, int]]:
        """Called ten times a second; returns (edge, rendition) that should be filled ahead."""
        return ()

    def filled(self, edge: int, rendition: int) -> None:
        """What `wake` asked for is held."""

    def appeared(self, edge: int, _now: float) -> None:
        """An edge joined or came back."""
        self.members[self.world.regions[edge]].append(edge)
        self.changed()

    def lost(self, edge: int, now: float) -> None:
        """An edge's report stream broke."""

    def drains(self, edge: int, now: float) -> None:
        """An edge takes nobody from now on."""
        self.gone(edge, now)

    def gone(self, edge: int, _now: float) -> None:
        """A probe of the edge failed."""
        members = self.members[self.world.regions[edge]]
        if edge in members:
            members.remove(edge)
            self.changed()

    def changed(self) -> None:
        """`members` is another."""


class Random(Rule):
    """Anybody."""

    name = "random"

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        return self.rng.choice(members)


class RoundRobin(Rule):
    """One after the other."""

    name = "round robin"

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self._turn = rng.randrange(1000)

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        self._turn += 1
        return members[self._turn % len(members)]


class Reported(Rule):
    """Knows the utilisation that each edge reported last."""

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self.used: dict[int, float] = {}

    def heard(self, report: Report, now: float) -> None:
        del now
        carried_bps = max(report.committed_bps, report.tx_bps)
        self.used[report.edge] = carried_bps / self.world.capacities_bps[report.edge]

    def load(self, edge: int) -> float:
        return self.used.get(edge, 0.0)


class Remembering(Reported):
    """Adds what it gave out itself since: its share of a perfect ledger."""

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self._given: dict[int, deque[tuple[float, float]]] = {}
        self._pending: dict[int, float] = {}

    def choose(self, ask: Ask) -> Sequence[int]:
        candidates = super().choose(ask)
        if candidates:
            edge = candidates[0]
            share = ask.bitrate_bps / self.world.capacities_bps[edge] * self.balancers
            self._given.setdefault(edge, deque()).append((ask.now, share))
            self._pending[edge] = self._pending.get(edge, 0.0) + share
        return candidates

    def heard(self, report: Report, now: float) -> None:
        super().heard(report, now)
        given = self._given.get(report.edge, ())
        while given and given[0][0] <= report.made_at:
            self._pending[report.edge] -= given.popleft()[1]

    def load(self, edge: int) -> float:
        return super().load(edge) + self._pending.get(edge, 0.0)


class LeastStale(Reported):
    """Least connections (by bit rate) of all, as reported."""

    name = "least connections (stale)"

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        return min(members, key=self.load)


class LeastFresh(Rule):
    """Least connections of all, as it is this moment: nobody can balance better."""

    name = "least connections (fresh)"

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        return min(members, key=self.world.utilisation)


class TwoChoices(Reported):
    """The less loaded of two, as reported."""

    name = "two choices (stale)"

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        return min(self.rng.choices(members, k=2), key=self.load)


class TwoChoicesLedger(Remembering):
    """The less loaded of two, as reported and given out since."""

    name = "two choices + ledger"

    def decide(self, _ask: Ask, members: Sequence[int]) -> int:
        return min(self.rng.choices(members, k=2), key=self.load)
