"""Who is to have which songs before a moment, in which order, and when that has to begin. Pure.

A rendition's home in each region reads it from the origin, at a limited rate; when it has it, the next edges of the
rendition's order fill from the home. So a preheat costs the origin each byte once per region, however many edges it warms,
and these are the edges that listeners are sent to first.

Every balancer plans the same from the same calendar and mesh, with no talk between them: an edge answers at once for what it
has, and a fill that runs is joined. A balancer that dies is missed by nobody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS
from reprise.placement import rank_by_capacity
from reprise.types.v1.types_pb2 import Rendition

EDGES_PER_REGION = 3
PREFIX_BYTES = PREFIX_CHUNKS * CHUNK_BYTES
# Before a moment all is done by so long, plus once more what it takes: a home may die, and its successor starts again.
MARGIN_S = 60.0
# What edges give each other at least.
PEER_BPS = 100_000_000
# Of one command: few enough that a failure costs little, many enough that a release of an album is a few commands.
BATCH = 32
ANSWER_S_MIN = 30.0

# Region -> edge -> capacity of the edges that live and take listeners.
Members = Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True)
class Wish:
    """Songs that are to be near when listeners come. `name` is for people; no regions are all; a past moment is now."""

    name: str
    renditions: tuple[Rendition, ...]
    at_unix_s: float = 0.0
    regions: tuple[str, ...] = ()
    whole: bool = False
    edges_per_region: int = EDGES_PER_REGION

    @property
    def size_bytes(self) -> int:
        """Of what one edge that gets all of it reads."""
        return size_of(self.renditions, whole=self.whole)


@dataclass(frozen=True, slots=True)
class Errand:
    """What one edge is to bring; from `home_id`, or from an origin when that is itself."""

    edge_id: str
    home_id: str
    renditions: tuple[Rendition, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """First the homes, each reading at most `origin_bps_max`; then the others, of what their homes have."""

    homes: tuple[Errand, ...]
    others: tuple[Errand, ...]
    origin_bps_max: int


def size_of(renditions: Sequence[Rendition], *, whole: bool) -> int:
    return sum(r.size_bytes if whole else min(r.size_bytes, PREFIX_BYTES) for r in renditions)


def plan(wish: Wish, members: Members, origin_bps_max: int) -> Plan:
    """Shares a wish out over the edges; what the homes read from origins is at most `origin_bps_max` together."""
    errands: dict[tuple[str, str], list[Rendition]] = {}
    for region in wish.regions or sorted(members):
        for rendition in wish.renditions:
            order = rank_by_capacity(rendition.rendition_id, members.get(region, {}))[: wish.edges_per_region]
            for edge_id in order:
                errands.setdefault((edge_id, order[0]), []).append(rendition)
    all_of_it = [Errand(edge_id, home_id, tuple(wanted)) for (edge_id, home_id), wanted in errands.items()]
    homes = tuple(errand for errand in all_of_it if errand.edge_id == errand.home_id)
    others = tuple(errand for errand in all_of_it if errand.edge_id != errand.home_id)
    return Plan(homes, others, max(1, origin_bps_max // max(1, len(homes))))


def batches(errand: Errand) -> list[tuple[Rendition, ...]]:
    """An errand in commands of a bearable size."""
    return [errand.renditions[first : first + BATCH] for first in range(0, len(errand.renditions), BATCH)]


def answer_s_max(renditions: Sequence[Rendition], *, whole: bool, bps: int) -> float:
    """How long to wait for an edge that brings these at such a rate: twice what it takes."""
    return ANSWER_S_MIN + 2 * size_of(renditions, whole=whole) * 8 / bps


def begins(wishes: Mapping[str, Wish], members: Members, origin_bps_max: int) -> dict[str, float]:
    """When each wish has to begin, by key, soonest moment first, in Unix seconds.

    They share the origin's rate, so each has to wait for those before it, and begins early enough for that.
    """
    found, seconds = {}, 0.0
    for key in sorted(wishes, key=lambda key: (wishes[key].at_unix_s, key)):
        wish = wishes[key]
        regions = len(set(wish.regions) & set(members) if wish.regions else members)
        seconds += wish.size_bytes * 8 * (regions / origin_bps_max + 1 / PEER_BPS)
        found[key] = wish.at_unix_s - MARGIN_S - 2 * seconds
    return found


def due(begins_unix_s: Mapping[str, float], now_unix_s: float) -> list[str]:
    """Of what `begins` answered, what has to begin now; whatever is before something that must begin, too."""
    keys = list(begins_unix_s)
    last = max((at for at, key in enumerate(keys, 1) if begins_unix_s[key] <= now_unix_s), default=0)
    return keys[:last]
