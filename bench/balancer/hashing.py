"""Rules that go by a hash of the rendition: without a bound, and with one (Mirrokni et al. 2018). No clock."""

import math
import random
from collections.abc import Sequence
from typing import ClassVar

from bench.balancer.homes import Homes, Ring
from bench.balancer.rules import Ask, Remembering, Rule
from bench.balancer.world import World


class Hashed(Rule):
    """The home, whatever it carries."""

    affine = True

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self.orders: list[Homes] = []
        self.changed()

    def changed(self) -> None:
        capacities = self.world.capacities_bps
        self.orders = [type(self).homes({edge: capacities[edge] for edge in members}) for members in self.members]

    def order(self, ask: Ask, members: Sequence[int]) -> Sequence[int]:
        """The edges of the listener's region in the rendition's order, without those that failed the listener."""
        if not self.members[ask.region]:
            return members
        order = self.orders[ask.region].order(self.world.catalog.ids[ask.rendition])
        return [edge for edge in order if edge not in ask.failed] or members if ask.failed else order

    def decide(self, ask: Ask, members: Sequence[int]) -> int:
        return self.order(ask, members)[0]


class RendezvousHash(Hashed):
    """Rendezvous hashing: nobody can hit more often with one home for each song."""

    name = "rendezvous"


class RingHash(Hashed):
    """A ring of 160 points for each edge."""

    name = "ring hash"
    homes = Ring


class Bounded(Hashed, Remembering):
    """The first in the order that carries no more than `slack` times the region's mean; the least loaded when none is."""

    slack: ClassVar[float]
    ceiling: ClassVar[float] = math.inf

    def __init__(self, world: World, rng: random.Random, balancers: int) -> None:
        super().__init__(world, rng, balancers)
        self._bounds = [0.0] * world.region_count

    def wake(self, _now: float) -> Sequence[tuple[int, int]]:
        for region, members in enumerate(self.members):
            mean = sum(map(self.load, members)) / max(len(members), 1)
            self._bounds[region] = min(self.slack * mean, self.ceiling)
        return ()

    def decide(self, ask: Ask, members: Sequence[int]) -> int:
        order, bound = self.order(ask, members), self._bounds[ask.region]
        for edge in order:
            if self.load(edge) <= bound:
                return edge
        return min(order, key=self.load)


class RingBounded125(Bounded):
    """Consistent hashing with bounded loads, as Google published it."""

    name = "ring + bound 1.25"
    homes = Ring
    slack = 1.25


class RingBounded140(Bounded):
    """The same with the bound that Bedrock settled on."""

    name = "ring + bound 1.4"
    homes = Ring
    slack = 1.4


class RendezvousBounded140(Bounded):
    """The simpler rule that production must beat."""

    name = "rendezvous + bound 1.4"
    slack = 1.4


class RendezvousCeiling(Bounded):
    """The strongest simple rule: production's bound and ceiling, without its replica sets, choices and ramps."""

    name = "rendezvous + bound 1.25 + ceiling"
    slack = 1.25
    ceiling = 0.92
