"""A listener's way through a mesh: bounded, in order, each byte once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise.cli.failover import VAIN_ROUNDS_MAX, AskAgain, Attempt, Candidate, Done, Failover, GiveUp


def edge(name: str) -> Candidate:
    return Candidate(name, f"{name}:1", f"http://{name}", f"http://{name}/p", "grant")


def test_the_next_edge_is_asked_for_the_rest_only() -> None:
    failover = Failover(size=100)
    failover.routed([edge("a"), edge("b")])
    assert failover.next(0) == Attempt(edge("a"), 0)
    failover.delivered(40)
    failover.failed("it died")
    assert failover.next(0) == Attempt(edge("b"), 40)
    failover.delivered(60)
    assert failover.next(0) == Done()


def test_a_used_up_list_asks_at_once_and_names_the_failed_edges() -> None:
    failover = Failover(size=100)
    failover.routed([edge("a"), edge("b")])
    for _ in range(2):
        failover.next(0)
        failover.failed("it died")
    assert failover.next(1) == AskAgain(("a", "b"), pause_s=0.0)


def test_pauses_grow_and_end_in_giving_up_with_the_reasons() -> None:
    failover = Failover(size=100)
    pauses = []
    while isinstance(step := failover.next(1), AskAgain):
        pauses.append(step.pause_s)
        failover.refused("no balancer answers")
    assert step == GiveUp(("no balancer answers",))
    assert len(pauses) == VAIN_ROUNDS_MAX
    assert pauses == sorted(pauses)


def test_without_a_balancer_the_last_list_is_asked_once_more_and_not_for_ever() -> None:
    failover = Failover(size=100)
    failover.routed([edge("a"), edge("b")])
    asked = []
    while not isinstance(step := failover.next(1), GiveUp):
        if isinstance(step, Attempt):
            asked.append(step.candidate.edge_id)
            failover.failed("it died")
        else:
            failover.unrouted("no balancer answers")
    assert asked == ["a", "b"] * (1 + VAIN_ROUNDS_MAX)
    assert step.reasons == ("a: it died", "b: it died", "no balancer answers")


def test_progress_earns_patience() -> None:
    failover = Failover(size=1000)
    for _ in range(VAIN_ROUNDS_MAX * 10):
        assert isinstance(failover.next(0), AskAgain)
        failover.routed([edge("a")])
        assert isinstance(failover.next(0), Attempt)
        failover.delivered(1)
        failover.failed("it died again")


@pytest.mark.parametrize("count", [0, -1, 101])
def test_more_bytes_than_the_rendition_has_are_refused(count: int) -> None:
    failover = Failover(size=100)
    failover.routed([edge("a")])
    with pytest.raises(ValueError, match="delivered at 0 of 100"):
        failover.delivered(count)


@given(data=st.data(), size=st.integers(1, 300))
def test_any_mishaps_end_in_done_or_giving_up_with_each_byte_once(data: st.DataObject, size: int) -> None:
    failover = Failover(size)
    taken: list[int] = []
    rounds_without_a_byte = 0
    asked_in_round: set[str] = set()
    while not isinstance(step := failover.next(data.draw(st.floats(0, 1))), Done | GiveUp):
        if isinstance(step, AskAgain):
            rounds_without_a_byte += 1
            assert rounds_without_a_byte <= VAIN_ROUNDS_MAX
            assert 0 <= step.pause_s <= 3
            asked_in_round.clear()
            if data.draw(st.booleans()):
                failover.unrouted("no balancer answers")
                continue
            names = data.draw(st.lists(st.sampled_from("abcd"), unique=True, max_size=3))
            failover.routed([edge(name) for name in names])
            continue
        assert step.offset == len(taken)
        assert step.candidate.edge_id not in asked_in_round
        asked_in_round.add(step.candidate.edge_id)
        count = data.draw(st.integers(0, size - len(taken)))
        if count:
            taken.extend(range(len(taken), len(taken) + count))
            failover.delivered(count)
            rounds_without_a_byte = 0
        if len(taken) < size:
            failover.failed("mishap")
    assert (len(taken) == size) == isinstance(step, Done)
