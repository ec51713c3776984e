"""Which save counts, and which device the pointer is at. Pure.

Points of one device are ordered by (epoch, sequence): the device counts its sessions and its saves. Neither a clock nor
the larger position decides: clocks of devices are wrong, and going back in a song is legal.

The pointer is at the device of the last user action, and `revision` counts the actions that moved it. An action that comes late
(its device was offline, or the catalog had to keep it on its disk) does not move the pointer past another device's action that
it did not know of. So whatever the order in which late saves arrive, and however often, a device's point never gets older, the
revision never goes down, and the same save again changes nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum


@dataclass(frozen=True, slots=True)
class Point:
    """A place in a song on one device.

    `saved_unix_ms` is when the catalog took it, for display only. `revision` is the pointer's at this device's last action.
    """

    song_id: str
    device_id: str
    position_ms: int
    finished: bool
    epoch: int
    sequence: int
    saved_unix_ms: int = 0
    revision: int = 0
    device_name: str = ""

    @property
    def place(self) -> tuple[int, int]:
        """Where it stands among the points of its device."""
        return self.epoch, self.sequence


class Kind(Enum):
    """What made a device save."""

    ACTION = "action"
    HEARTBEAT = "heartbeat"


@dataclass(frozen=True, slots=True)
class Save:
    """What a device brings. `base_revision` is the revision that it knew when the listener acted."""

    point: Point
    kind: Kind = Kind.ACTION
    base_revision: int = 0
    late: bool = False


@dataclass(frozen=True, slots=True)
class Pointer:
    """The device of the last user action, and how many there were. Of revision 0 when there were only heartbeats."""

    device_id: str
    revision: int


class Outcome(Enum):
    """What becomes of a save."""

    ACCEPTED = "accepted"
    # Kept as the device's own; the pointer stays where another device's newer action put it.
    APART = "apart"
    # The same save again, after an answer was lost: nothing changes.
    RESENT = "resent"
    STALE = "stale"


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome of a save, the pointer after it, and the revision that the device's point gets."""

    outcome: Outcome
    pointer: Pointer | None
    revision: int


def decide(pointer: Pointer | None, kept: Point | None, save: Save) -> Decision:
    """What `save` does where the pointer is at `pointer` and its device has `kept`."""
    known = 0 if kept is None else kept.revision
    if kept is not None and save.point.place <= kept.place:
        return Decision(Outcome.RESENT if save.point.place == kept.place else Outcome.STALE, pointer, known)
    device_id = save.point.device_id
    if save.kind is Kind.HEARTBEAT:
        return Decision(Outcome.ACCEPTED, pointer or Pointer(device_id, 0), known)
    if pointer is None:
        return Decision(Outcome.ACCEPTED, Pointer(device_id, 1), 1)
    if save.late and pointer.device_id != device_id and pointer.revision > save.base_revision:
        return Decision(Outcome.APART, pointer, save.base_revision)
    return Decision(Outcome.ACCEPTED, Pointer(device_id, pointer.revision + 1), pointer.revision + 1)


@dataclass(frozen=True, slots=True)
class State:
    """All that is kept of one listener's song: points by device, and the pointer, which is at one of them."""

    pointer: Pointer | None = None
    points: Mapping[str, Point] = field(default_factory=dict)

    def after(self, save: Save) -> "tuple[State, Outcome]":
        """The state with `save` in it, and what became of that."""
        device_id = save.point.device_id
        decision = decide(self.pointer, self.points.get(device_id), save)
        if decision.outcome in (Outcome.RESENT, Outcome.STALE):
            return self, decision.outcome
        kept = replace(save.point, revision=decision.revision)
        return State(decision.pointer, {**self.points, device_id: kept}), decision.outcome

    def with_all(self, saves: Iterable[Save]) -> "State":
        """The state after `saves` that could not be committed at once, in the order in which they came."""
        state, known = self, 0
        for save in saves:
            state, outcome = state.after(knowing(save, known))
            # Where a newer one of the device is kept, its revision is of an action that those behind did not know.
            if outcome is not Outcome.STALE:
                known = max(known, state.points[save.point.device_id].revision)
        return state

    def in_order(self) -> list[Point]:
        """The point of the pointer's device, then those of the others, the last to act first."""
        pointed = "" if self.pointer is None else self.pointer.device_id

        def rank(point: Point) -> tuple[bool, int, int]:
            return point.device_id == pointed, point.revision, point.saved_unix_ms

        return sorted(self.points.values(), key=rank, reverse=True)


def knowing(save: Save, revision: int) -> Save:
    """The save as it counts when it could not be committed at once: it knew of `revision`, and others may have acted since."""
    return replace(save, late=True, base_revision=max(save.base_revision, revision))
