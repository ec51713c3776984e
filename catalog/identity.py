"""Which row a name means, with or without a MusicBrainz id: one rule for artists, release groups and releases. Pure.

* With an id: the row of that id, whatever it is called. Else the row of that name that has no id yet takes it over. Else a
  new one.
* Without: the row of that name that has no id; else the only one of that name; else (none, or several that cannot be told
  apart) a new one, which later ones of that name without an id will be too.

So two artists of one name stay two as soon as their ids differ, and files without ids, the usual case, never split an artist.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

Id = uuid.UUID


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row of that name."""

    id: Id
    mbid: Id | None


@dataclass(frozen=True, slots=True)
class Known:
    """It is this row."""

    id: Id


@dataclass(frozen=True, slots=True)
class Adopt:
    """It is this row, which takes the MusicBrainz id over."""

    id: Id


@dataclass(frozen=True, slots=True)
class New:
    """There is no row of it yet."""


Identity = Known | Adopt | New


def decide(mbid: Id | None, of_mbid: Id | None, of_name: Sequence[Candidate]) -> Identity:
    """What `mbid` and a name mean, given the row of that `mbid` and the rows of that name."""
    if mbid is not None and of_mbid is not None:
        return Known(of_mbid)
    without = [candidate.id for candidate in of_name if candidate.mbid is None]
    if without:
        return Known(without[0]) if mbid is None else Adopt(without[0])
    if mbid is None and len(of_name) == 1:
        return Known(of_name[0].id)
    return New()
