"""What people type: every beginning of a name as it is typed, whole names, and names with one slip. Pure.

The slips are those of one edit (Damerau 1964): a letter left out, put in, replaced by a neighbour, or two swapped; never in
names of under five letters, where a slip makes another name.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

_LETTERS = "abcdefghijklmnopqrstuvwxyz"
SLIP_CHARS_MIN = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """A name that somebody looks for."""

    name: str
    is_artist: bool


def beginnings(name: str, chars_max: int) -> list[str]:
    """What a box of search sends while `name` is typed."""
    return [name[:length] for length in range(1, min(len(name), chars_max) + 1) if name[length - 1] != " "]


def slip(name: str, rng: random.Random) -> str:
    """`name` with one slip in a letter that is not the first of the name."""
    at = rng.choice([place for place in range(1, len(name)) if name[place].isalpha()] or [len(name) - 1])
    kind = rng.randrange(4)
    if kind == 0 and len(name) > 1:
        return name[:at] + name[at + 1 :]
    if kind == 1:
        return name[:at] + rng.choice(_LETTERS) + name[at:]
    if kind == 2 and at + 1 < len(name) and name[at] != name[at + 1] and name[at + 1] != " ":
        return name[:at] + name[at + 1] + name[at] + name[at + 2 :]
    other = rng.choice([letter for letter in _LETTERS if letter != name[at]])
    return name[:at] + other + name[at + 1 :]


def may_slip(name: str) -> bool:
    return sum(letter.isalpha() for letter in name) >= SLIP_CHARS_MIN and name.isascii()


def slips(wanted: Sequence[Wanted], count: int, rng: random.Random) -> list[tuple[str, Wanted]]:
    """`count` names with a slip each, and who was meant."""
    able = [name for name in wanted if may_slip(name.name)]
    chosen = [rng.choice(able) for _ in range(count)]
    return [(slip(name.name, rng), name) for name in chosen]
