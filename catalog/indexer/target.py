"""Where an index goes to: what the two engines have in common for the indexer."""

from dataclasses import dataclass
from typing import Protocol

from catalog.indexer.generation import Generation


@dataclass(frozen=True, slots=True)
class Size:
    """What searchers see, as of the last publication, and which one that was; 0 where commits are publications."""

    documents: int = 0
    size_bytes: int = 0
    publication: int = 0


class Target(Protocol):
    """One place for the index. One term of one indexer at a time writes to it: who takes over shuts the one before out."""

    @property
    def backend(self) -> str: ...

    @property
    def size(self) -> Size: ...

    async def take_over(self) -> Generation | None:
        """Shuts out whoever wrote before; the index that is in use, to go on with, or None when there is none that fits.

        Raises Unavailable or DataCorrupt.
        """

    async def begin(self) -> Generation:
        """A new, empty index beside the one in use."""

    async def publish(self, generation: Generation) -> None:
        """Shows searchers what was committed last; an earlier generation goes out of use by it.

        Raises Conflict when somebody else took over, Unavailable.
        """

    async def tidy(self) -> None:
        """Deletes some of what nothing uses any more. Raises Unavailable."""
