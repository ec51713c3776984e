"""What operators do to what is published: one value, for the servicer."""

from dataclasses import dataclass

from catalog.aliases import Aliases
from catalog.changes import Changes
from catalog.merging import Merging
from catalog.takedown import Takedown


@dataclass(frozen=True, slots=True)
class Curation:
    """The parts of it, of one catalog."""

    takedown: Takedown
    merging: Merging
    aliases: Aliases
    changes: Changes
