"""What listeners' devices did and saw while the catalog's parts died, and what of it must not be. Pure.

Every save and read is noted with when it began and when it was answered. `violations` knows the promises of the protos, and
nothing of how the catalog keeps them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

# Between two heartbeats of a real device: what is lost of shorter ones counts as one when it fits in here.
HEARTBEAT_INTERVAL_S = 10.0
Place = tuple[int, int]


@dataclass(slots=True)
class Saved:
    """A save, tried until it was answered, or a heartbeat, tried once."""

    song: str
    device: str
    place: Place
    position_ms: int
    is_action: bool
    began: float
    # It was made offline, and brought later.
    late: bool = False
    # None while nobody has answered.
    answered: float | None = None
    # Answered from the catalog's own disk: when it is committed is not known.
    spooled: bool = False
    revision: int = 0
    refusal: str = ""

    def __str__(self) -> str:
        what = "action" if self.is_action else "heartbeat"
        return f"{what} {self.place} of {self.device}, song {self.song}, begun at {self.began:.3f}"


@dataclass(frozen=True, slots=True)
class Seen:
    """One device's point in an answer."""

    place: Place
    position_ms: int
    revision: int


@dataclass(frozen=True, slots=True)
class Read:
    """An answer. `after` is the save whose token the reader sent."""

    song: str
    began: float
    points: dict[str, Seen]
    pointer: str
    stale: bool = False
    after: Saved | None = None
    # Everything was up, nothing was under way, and what was spooled had been replayed.
    settled: bool = False


@dataclass(slots=True)
class History:
    """A song is of one listener here, so it stands for both."""

    saves: list[Saved] = field(default_factory=list)
    reads: list[Read] = field(default_factory=list)
    # When something was killed.
    kills: list[float] = field(default_factory=list)


def violations(history: History) -> list[str]:
    """Every promise that was broken; empty when all was well."""
    return [*_refused(history), *_invented(history), *_gone_back(history), *_lost(history), *_misled(history)]


def _refused(history: History) -> Iterator[str]:
    """A device that counts on is never told that it is behind itself."""
    for save in history.saves:
        if save.refusal:
            yield f"{save} was refused: {save.refusal}"
        elif save.is_action and save.answered is None:
            yield f"{save} was never answered"


def _invented(history: History) -> Iterator[str]:
    """What is read was saved, as it was."""
    saved = {(save.song, save.device, save.place): save.position_ms for save in history.saves}
    for read in history.reads:
        for device, seen in read.points.items():
            if saved.get((read.song, device, seen.place)) != seen.position_ms:
                yield f"read at {read.began:.3f} of song {read.song} shows {seen} of {device}, which was never saved"


def _gone_back(history: History) -> Iterator[str]:
    """A read with a token shows what the token stands for, unless it says that it may not."""
    for read in history.reads:
        if read.after is None or read.stale:
            continue
        seen = read.points.get(read.after.device)
        if seen is None or seen.place < read.after.place:
            yield f"read at {read.began:.3f} went back behind its token: {read.after}, but saw {seen}"
        elif read.points[read.pointer].revision < read.after.revision:
            yield f"read at {read.began:.3f} shows an older action than its token's revision {read.after.revision}"


def _lost(history: History) -> Iterator[str]:
    """Answered actions are there once all is settled; heartbeats but for the last before a death."""
    for read in history.reads:
        if not read.settled:
            continue
        for save in history.saves:
            seen = read.points.get(save.device)
            if save.song != read.song or not _answered_before(save, read.began):
                continue
            if seen is not None and seen.place >= save.place:
                continue
            if save.is_action:
                yield f"lost: {save}; {read.began:.3f} shows {seen}"
            elif not _may_be_lost(save, read.began, history.kills):
                yield f"more than one heartbeat lost: {save}; {read.began:.3f} shows {seen}"


def _may_be_lost(beat: Saved, until: float, kills: list[float]) -> bool:
    return any(beat.began <= kill <= min(until, beat.began + HEARTBEAT_INTERVAL_S) for kill in kills)


def _misled(history: History) -> Iterator[str]:
    """The pointer is at no device whose last action was over when another's, made online, began."""
    for read in history.reads:
        if not read.settled:
            continue
        actions = [s for s in history.saves if s.song == read.song and s.is_action and _answered_before(s, read.began)]
        pointed = [save for save in actions if save.device == read.pointer]
        if any(save.late or save.spooled for save in pointed):
            continue  # when it was committed is not known
        over = max((save.answered or 0.0 for save in pointed), default=0.0)
        for save in actions:
            if save.device != read.pointer and save.began > over and not (save.late or save.spooled):
                yield f"the pointer is at {read.pointer} at {read.began:.3f}, though later there was {save}"


def _answered_before(save: Saved, moment: float) -> bool:
    return save.answered is not None and save.answered <= moment
