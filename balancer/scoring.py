"""How loaded an edge is, and the order in which a listener should try edges. Pure.

Load is a constraint, order is the objective; never a weighted sum of both (Prequal, NSDI 2024). Within a region a rendition
walks its own rendezvous order and skips edges above the bound (consistent hashing with bounded loads, Mirrokni et al. 2018), so
a crowded edge sheds to as many neighbours as it has renditions.

Invariants: an edge that is draining or dead has no standing and is never picked. What was *measured* or *promised by us*
(traffic, lag, pending grants) orders edges; only what the edge itself *committed* (streams, bitrates) makes it full: one
download may fill any NIC for a moment, and anyone may ask for routes without playing, and neither may close the mesh.
"""

from collections.abc import Iterable, Iterator, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum

from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.ledger import Pending
from balancer.standings import Standing, Standings

# A loop this late has no time left for a further stream; 0.9 keeps one bad sample below a full edge.
LOOP_LAG_MAX_MS = 50
LOOP_LAG_SHARE = 0.9

CANDIDATES_MAX = 3


class Reason(StrEnum):
    """Why an edge stands where it does."""

    REPLICA = "replica"  # first in the rendition's order, in the listener's region
    OVERFLOW = "overflow"  # further down that order
    SPILL = "spill"  # in another region
    PANIC = "panic"  # nothing vouched for is left: better a doubtful edge than none


@dataclass(frozen=True, slots=True)
class Pick:
    """One candidate."""

    edge_id: str
    reason: Reason


def utilisation(identity: EdgeIdentity, load: EdgeLoad, pending: Pending) -> float:
    """The tightest of the edge's resources as a share of its capacity: 0 is idle, 1 and above is over."""
    return max(
        (load.active_streams + pending.grants) / identity.stream_limit,
        (max(load.committed_bps, load.nic_tx_bps) + pending.bps) / identity.nic_capacity_bps,
        load.loop_lag_ms / LOOP_LAG_MAX_MS * LOOP_LAG_SHARE,
    )


def is_full(identity: EdgeIdentity, load: EdgeLoad) -> bool:
    """Whether what runs on the edge already takes all of it."""
    return load.active_streams >= identity.stream_limit or load.committed_bps >= identity.nic_capacity_bps


def rank(
    orders: Iterable[tuple[str, Sequence[str]]], standings: Standings, failed: Set[str], count: int = CANDIDATES_MAX
) -> list[Pick]:
    """At most `count` candidates, best first; empty when no edge can take a listener.

    `orders` gives (region, its edge ids in rendezvous order), the listener's region first; it is read no further than
    needed. Edges in `failed` just failed this listener: they come after all others, but before nothing at all.
    """
    fresh: list[Pick] = []
    again: list[Pick] = []
    for pick in _by_preference(orders, standings):
        (again if pick.edge_id in failed else fresh).append(pick)
        if len(fresh) == count:
            break
    return (fresh + again)[:count]


def _by_preference(orders: Iterable[tuple[str, Sequence[str]]], standings: Standings) -> Iterator[Pick]:
    """Edges under their region's bound; then those above it, nearest and least loaded first; in panic, the doubtful."""
    crowded: list[tuple[bool, float, Pick]] = []
    doubtful: list[Pick] = []
    for distance, (region, edge_ids) in enumerate(orders):
        bound = standings.bound(region)
        for place, edge_id in enumerate(edge_ids):
            standing = standings.of(edge_id)
            if standing is None or standing.full:
                continue
            pick = Pick(edge_id, _reason(standing, distance, place))
            if not standing.vouched:
                doubtful.append(pick)
            elif standing.utilisation <= bound:
                yield pick
            else:
                crowded.append((distance > 0, standing.utilisation, pick))
    yield from (pick for _, _, pick in sorted(crowded, key=lambda row: row[:2]))
    if standings.vouched_count == 0:
        yield from doubtful


def _reason(standing: Standing, distance: int, place: int) -> Reason:
    if not standing.vouched:
        return Reason.PANIC
    if distance > 0:
        return Reason.SPILL
    return Reason.REPLICA if place == 0 else Reason.OVERFLOW
