"""What operators are told of an edge's life."""

import pytest

from balancer.events import Event, EventLog, Kind, Sight, changes
from balancer.membership import State

READY = Sight("a", "boot-1", State.READY)


def sight(state: State = State.READY, boot_id: str = "boot-1", **facts: bool) -> Sight:
    return Sight("a", boot_id, state, **facts)


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        (None, sight(State.JOINING), [Kind.JOINED]),
        (None, READY, [Kind.JOINED, Kind.READY]),
        (None, sight(State.SUSPECT), [Kind.SUSPECT]),
        (sight(State.JOINING), READY, [Kind.READY]),
        (READY, sight(State.SUSPECT), [Kind.SUSPECT]),
        (sight(State.SUSPECT), READY, [Kind.BACK]),
        (sight(State.SUSPECT), sight(State.DEAD), [Kind.DEAD]),
        (sight(State.DEAD), READY, [Kind.BACK]),
        (sight(State.DEAD), sight(State.JOINING), []),
        (READY, sight(boot_id="boot-2"), [Kind.JOINED, Kind.READY]),
        (READY, sight(draining=True), [Kind.DRAINING]),
        (sight(draining=True), READY, [Kind.BACK]),
        (sight(draining=True), sight(boot_id="boot-2"), [Kind.JOINED, Kind.READY]),
        (READY, sight(ejected=True), [Kind.EJECTED]),
        (sight(ejected=True), READY, [Kind.BACK]),
        (sight(ejected=True), sight(State.SUSPECT, ejected=True, draining=True), [Kind.SUSPECT, Kind.DRAINING]),
        (READY, READY, []),
    ],
)
def test_a_change_is_told_in_these_kinds(before: Sight | None, after: Sight, kinds: list[Kind]) -> None:
    told = list(changes(before, after))
    assert [kind for kind, _ in told] == kinds
    assert all(detail for _, detail in told)


def event(number: int) -> Event:
    return Event(number, Kind.COMMAND, "", str(number))


def test_each_reader_gets_what_came_since_it_read() -> None:
    log = EventLog()
    log.add(event(0))
    here = log.next
    assert log.since(here) == []
    log.add(event(1))
    log.add(event(2))
    assert log.since(here) == [event(1), event(2)]
    assert log.since(log.next) == []


def test_a_reader_who_fell_behind_gets_the_last_events_only() -> None:
    log = EventLog(events_max=3)
    for number in range(10):
        log.add(event(number))
    assert log.since(0) == [event(7), event(8), event(9)]
    assert log.since(9) == [event(9)]
