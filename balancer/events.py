"""What happened in the mesh, in the words that operators read, and the last thousand of it. Pure.

Most events are differences between two looks at the edges, so whatever moves an edge from state to state, here or in a module
to come, is told. An edge that leaves and returns between two looks was not away for anybody else either.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from balancer.membership import State

EVENTS_MAX = 1_000


class Kind(StrEnum):
    """The kinds of `MeshEvent`."""

    JOINED = "edge_joined"
    READY = "edge_ready"
    SUSPECT = "edge_suspect"
    DEAD = "edge_dead"
    DRAINING = "edge_draining"
    EJECTED = "edge_ejected"
    BACK = "edge_back"
    COMMAND = "command"
    REPLICAS_GREW = "replicas_grew"
    REPLICAS_SHRANK = "replicas_shrank"
    PREHEAT = "preheat"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened. `edge_id` is empty where it is about no single edge."""

    unix_ms: int
    kind: Kind
    edge_id: str
    detail: str


@dataclass(frozen=True, slots=True)
class Sight:
    """What can be seen of one edge from outside."""

    region: str
    boot_id: str
    state: State
    draining: bool = False
    ejected: bool = False


def changes(before: Sight | None, after: Sight) -> Iterator[tuple[Kind, str]]:
    """What happened to one edge between two looks, as (kind, detail in words). None: it was not there."""
    known = before is not None and before.boot_id == after.boot_id
    if before is None and after.state is State.SUSPECT:
        yield Kind.SUSPECT, "remembered from before this balancer started"
    elif not known:
        yield Kind.JOINED, f"in region {after.region}, boot {after.boot_id}"
    if before is None or before.state is not after.state or not known:
        yield from _entered(before.state if before is not None and known else None, after.state)
    was_draining, was_ejected = (before.draining, before.ejected) if before is not None and known else (False, False)
    if after.draining and not was_draining:
        yield Kind.DRAINING, "takes no new listeners"
    if was_draining and not after.draining:
        yield Kind.BACK, "its drain was called off"
    if after.ejected and not was_ejected:
        yield Kind.EJECTED, "listeners' plays fail there"
    if was_ejected and not after.ejected:
        yield Kind.BACK, "is tried again after its ejection"


def _entered(old: State | None, new: State) -> Iterator[tuple[Kind, str]]:
    if new is State.READY:
        away = old in (State.SUSPECT, State.DEAD)
        yield (Kind.BACK, "reports again") if away else (Kind.READY, "reports its load")
    elif new is State.SUSPECT and old is not None:
        yield Kind.SUSPECT, "its reports ended or its stream broke; it is being probed"
    elif new is State.DEAD:
        yield Kind.DEAD, "does not answer"


class EventLog:
    """The last events, numbered, so that each watcher knows where it stopped reading."""

    def __init__(self, events_max: int = EVENTS_MAX) -> None:
        self._events: deque[Event] = deque(maxlen=events_max)
        # The number that the next event gets.
        self.next = 0

    def add(self, event: Event) -> None:
        self._events.append(event)
        self.next += 1

    def since(self, number: int) -> list[Event]:
        """Events from `number` on, oldest first; of a reader who fell far behind the oldest are gone."""
        count = min(self.next - number, len(self._events))
        return list(self._events)[len(self._events) - count :]
