"""Which server takes a write, and which a read: choices over what the last look at each server told. Pure.

Only the newest timeline counts: a primary that comes back on an older one was replaced while it was away, and is fenced, so
that it is neither written to nor read. A standby counts while its lag is known and small.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from math import frexp

from catalog.database.positions import NOWHERE, Position


class Role(Enum):
    """What a server was when it was last looked at."""

    UNKNOWN = "unknown"
    PRIMARY = "primary"
    STANDBY = "standby"


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of one server. What a server that does not answer was, is remembered."""

    region: str
    role: Role = Role.UNKNOWN
    # Replayed by a standby, written by a primary. The timeline of a standby may be newer than this, never older.
    position: Position = NOWHERE
    lag_s: float = 0.0
    round_trip_s: float = 0.0
    # Why the last look was not answered; empty when it was.
    missing: str = ""


def newest_timeline(standings: Iterable[Standing]) -> int:
    return max(standing.position.timeline for standing in standings)


def is_fenced(standing: Standing, newest: int) -> bool:
    """Whether it is a primary of the past."""
    return standing.role is Role.PRIMARY and standing.position.timeline < newest


def writer(standings: Sequence[Standing], current: int | None) -> int | None:
    """The server to write to; None when there is only a standby. One that does not answer just now may be chosen.

    Two primaries of one timeline are a mistake of whoever promoted: the `current` one stays.
    """
    newest = newest_timeline(standings)
    fits = [i for i, one in enumerate(standings) if one.role is Role.PRIMARY and not is_fenced(one, newest)]
    fits = fits or [i for i, one in enumerate(standings) if one.role is Role.UNKNOWN and not one.missing]
    return min(fits, key=lambda i: (bool(standings[i].missing), i != current, i), default=None)


def has_seen(standing: Standing, at_least: Position | None) -> bool:
    """Whether a server can show everything up to `at_least`.

    A position of an older timeline tells a standby nothing: the newer one may have begun before it. The primary shows what
    was left of it.
    """
    if at_least is None:
        return True
    if standing.role is Role.STANDBY:
        return standing.position.timeline == at_least.timeline and standing.position.lsn >= at_least.lsn
    return standing.role is Role.UNKNOWN or standing.position.timeline >= at_least.timeline


def may_see_soon(standing: Standing, at_least: Position) -> bool:
    """Whether it has not seen `at_least` and waiting can help: it follows that timeline."""
    is_on_the_way = standing.role is Role.STANDBY and standing.position.timeline == at_least.timeline
    return is_on_the_way and standing.position.lsn < at_least.lsn


def nearest_first(standings: Sequence[Standing], region: str, lag_s_max: float) -> list[int]:
    """The servers to read from: those of `region`, then by round trip. Among equals standbys, to spare the primary."""
    newest = newest_timeline(standings)

    def nearness(index: int) -> tuple[bool, int, bool, int]:
        one = standings[index]
        # Steps of a doubling, so that jitter does not move reads from one to another.
        return one.region != region, frexp(one.round_trip_s * 1000)[1], one.role is not Role.STANDBY, index

    return sorted((i for i, one in enumerate(standings) if _serves(one, newest, lag_s_max)), key=nearness)


def _serves(standing: Standing, newest: int, lag_s_max: float) -> bool:
    return not standing.missing and not is_fenced(standing, newest) and standing.lag_s <= lag_s_max


def last_resorts(standings: Sequence[Standing]) -> list[int]:
    """Every server that may be read at all: those that answer first, the freshest of them first."""
    newest = newest_timeline(standings)
    fits = [i for i, one in enumerate(standings) if not is_fenced(one, newest)]
    return sorted(fits, key=lambda i: (not standings[i].missing, standings[i].position, -i), reverse=True)
