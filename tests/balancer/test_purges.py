"""What edges that were away still have to drop."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from balancer.purges import KEPT_S, RENDITIONS_MAX, PurgeLog, PurgeOrder, check_order
from reprise.errors import InvalidRequest

NOON = 1_000_000.0
EDGES = ("e1", "e2", "e3")


def order(number: int = 1, unix_s: float = NOON, renditions: int = 1, edges: tuple[str, ...] = ()) -> PurgeOrder:
    return PurgeOrder(f"p{number}", unix_s, tuple(f"{number:032x}{n:032x}" for n in range(renditions)), edges)


class Log(PurgeLog):
    """Counts what it forgets."""

    def __init__(self, purges_max: int = 1000) -> None:
        self.forgotten = 0
        super().__init__(self._forgot, purges_max)

    def _forgot(self) -> None:
        self.forgotten += 1


def owed(log: PurgeLog, edge_id: str, unix_s: float = NOON) -> list[str]:
    return [one.purge_id for one in log.owed(edge_id, unix_s)]


def test_a_purge_is_owed_until_it_is_confirmed() -> None:
    log = Log()
    assert log.add(order(1), NOON)
    assert log.add(order(2), NOON)
    assert owed(log, "e1") == ["p1", "p2"]
    log.done("p1", "e1")
    assert owed(log, "e1") == ["p2"]
    assert owed(log, "e2") == ["p1", "p2"]


def test_a_purge_for_some_edges_is_owed_by_those() -> None:
    log = Log()
    log.add(order(1, edges=("e1",)), NOON)
    assert (owed(log, "e1"), owed(log, "e2")) == (["p1"], [])


def test_a_purge_that_is_told_twice_is_one() -> None:
    log = Log()
    log.add(order(1), NOON)
    log.done("p1", "e1")
    revision = log.revision
    assert not log.add(order(1), NOON)
    assert (owed(log, "e1"), log.revision) == ([], revision)


def test_a_day_later_it_is_forgotten_whatever_the_clock_of_its_orderer_said() -> None:
    log = Log()
    log.add(order(1, unix_s=NOON + 10 * KEPT_S), NOON)
    assert owed(log, "e1", NOON + KEPT_S - 1) == ["p1"]
    assert owed(log, "e1", NOON + KEPT_S) == []
    log.expire(NOON + KEPT_S)
    assert len(log) == 0
    assert not log.add(order(1, unix_s=NOON), NOON + KEPT_S)


def test_over_the_bound_the_oldest_goes_and_is_counted() -> None:
    log = Log(purges_max=2)
    for number, unix_s in ((1, NOON), (2, NOON - 50), (3, NOON)):
        log.add(order(number, unix_s), NOON)
    assert (owed(log, "e1"), log.forgotten) == (["p1", "p3"], 1)


def test_one_command_carries_so_much_and_the_next_the_rest() -> None:
    log = Log()
    for number in (1, 2, 3):
        log.add(order(number, renditions=RENDITIONS_MAX // 2), NOON)
    assert owed(log, "e1") == ["p1", "p2"]
    log.done("p1", "e1")
    log.done("p2", "e1")
    assert owed(log, "e1") == ["p3"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (PurgeOrder("", NOON, ("a" * 64,)), "purge_id"),
        (PurgeOrder("p", float("nan"), ("a" * 64,)), "has a time, not nan"),
        (PurgeOrder("p", NOON, ()), "1 to 1000 renditions, not 0"),
        (PurgeOrder("p", NOON, ("x",)), "rendition_id"),
        (PurgeOrder("p", NOON, ("a" * 64,), ("no spaces",)), "edge_id"),
    ],
)
def test_an_order_that_makes_no_sense_is_named(wrong: PurgeOrder, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        check_order(wrong)
    assert check_order(order(1, edges=EDGES)) == order(1, edges=EDGES)


_words = st.lists(st.tuples(st.sampled_from(("order", "done")), st.integers(0, 5), st.sampled_from(EDGES)), max_size=40)


@given(_words)
def test_an_edge_owes_exactly_what_was_ordered_and_not_confirmed(words: list[tuple[str, int, str]]) -> None:
    log, ordered, confirmed = Log(), set(), set()
    for word, number, edge_id in words:
        if word == "order":
            log.add(order(number), NOON)
            ordered.add(number)
        elif number in ordered:
            log.done(f"p{number}", edge_id)
            confirmed.add((number, edge_id))
    for edge_id in EDGES:
        assert set(owed(log, edge_id)) == {f"p{n}" for n in ordered if (n, edge_id) not in confirmed}
