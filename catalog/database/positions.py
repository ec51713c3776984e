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
_PAGE_BYTES = 8192
# Of a page of the log, and of the first of a file.
_HEADER_BYTES, _LONG_HEADER_BYTES = 24, 40


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


NOWHERE = Position(0, 0)


def lsn_of(text: str) -> int:
    """The number of an LSN in PostgreSQL's notation, "16/B374D848"."""
    found = _LSN.fullmatch(text)
    if found is None:
        raise ValueError(f"not an LSN: {text!r}")
    return int(found[1], 16) << 32 | int(found[2], 16)


def end_of_record(insert_lsn: int, segment_bytes: int) -> int:
    """Where the last record ends, from where the next would begin.

    At the start of a page the server tells the place behind the page's header. A standby that has replayed everything is in
    front of it, and would never be seen to have arrived.
    """
    header_bytes = _LONG_HEADER_BYTES if insert_lsn % segment_bytes < _PAGE_BYTES else _HEADER_BYTES
    return insert_lsn - header_bytes if insert_lsn % _PAGE_BYTES == header_bytes else insert_lsn
