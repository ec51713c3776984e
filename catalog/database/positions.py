"""Places in PostgreSQL's log of changes, as the consistency tokens that listeners carry. Pure.

A position is (timeline, LSN). Every promotion starts a new timeline at a place that only the server knows exactly, so LSNs
of different timelines are not compared: a smaller one may be of a change that the new timeline never had.

A token is what a client sent: it is checked, and it can only make its own read slower or marked stale.
"""

import re
from dataclasses import dataclass

from reprise.errors import InvalidRequest

# PostgreSQL's own notation: the timeline as in names of WAL files, the LSN as 64 bits.
_TOKEN = re.compile(r"([1-9A-F][0-9A-F]{0,7})-(0|[1-9A-F][0-9A-F]{0,15})")
_LSN = re.compile(r"([0-9A-F]{1,8})/([0-9A-F]{1,8})")


@dataclass(frozen=True, slots=True, order=True)
class Position:
    """A place in the log: everything up to it happened. Ordered as servers go through them, timelines first."""

    timeline: int
    lsn: int

    def to_text(self) -> str:
        """The consistency token."""
        return f"{self.timeline:X}-{self.lsn:X}"

    @classmethod
    def from_text(cls, token: str) -> "Position | None":
        """The position in a token, None for the empty one. Raises InvalidRequest."""
        if not token:
            return None
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise InvalidRequest(
                f"consistency_token {token[:40]!r} is not one of ours: send what the last save answered"
            )
        return cls(int(found[1], 16), int(found[2], 16))


def lsn_of(text: str) -> int:
    """The number of an LSN in PostgreSQL's notation, "16/B374D848"."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError(f"not an LSN: {text!r}")
    return int(found[1], 16) << 32 | int(found[2], 16)
