"""Which of two saves of one device counts. Pure.

Points of one device are ordered by (epoch, sequence): the device counts its sessions and its saves. Neither a clock nor
the larger position decides: clocks of devices are wrong, and going back in a song is legal.
"""

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a song on one device. `saved_unix_ms` is when the catalog committed it, for display only."""

    song_id: str
    device_id: str
    position_ms: int
    finished: bool
    epoch: int
    sequence: int
    saved_unix_ms: int = 0


class Outcome(Enum):
    """What becomes of a save."""

    ACCEPTED = "accepted"
    # The same save again, after an answer was lost: nothing changes.
    RESENT = "resent"
    STALE = "stale"


def decide(kept: Point | None, offered: Point) -> Outcome:
    """The outcome of saving `offered` over what the device has `kept`."""
    if kept is None:
        return Outcome.ACCEPTED
    kept_at, offered_at = (kept.epoch, kept.sequence), (offered.epoch, offered.sequence)
    if offered_at == kept_at:
        return Outcome.RESENT
    return Outcome.ACCEPTED if offered_at > kept_at else Outcome.STALE
