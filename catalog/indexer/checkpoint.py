"""Where an index stands: in which database, and behind which of its changes. Pure.

The place alone would not do: after a restore from a dump, or with another database behind the same settings, the numbers of
transactions mean something else.
"""

import re
from dataclasses import dataclass
from typing import Self

from reprise.errors import OutOfRange

_TEXT = re.compile(r"([0-9]{1,20}-[0-9]{1,10})/([0-9]{1,20})/([0-9]{1,19})")


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """`database` tells databases apart; `place` is one of the outbox."""

    database: str
    place: tuple[int, int]

    @property
    def text(self) -> str:
        return f"{self.database}/{self.place[0]}/{self.place[1]}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """The reverse of `text`. Raises OutOfRange, as for a place that is not kept: the index is to be made anew."""
        match = _TEXT.fullmatch(text)
        if match is None:
            raise OutOfRange(f"the index does not say where it stands ({text!r})")
        return cls(match[1], (int(match[2]), int(match[3])))

    def of(self, database: str) -> Self:
        """This one. Raises OutOfRange when it is of another database."""
        if self.database != database:
            raise OutOfRange(f"the index was made from another database ({self.database}, this is {database})")
        return self
