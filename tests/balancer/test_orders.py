"""The remembered rendezvous order."""

from hypothesis import given
from hypothesis import strategies as st

from balancer.orders import Orders
from reprise import placement

MEMBERS = {"a": {"e1": 1, "e2": 1, "e3": 1}, "b": {"e4": 1, "e5": 1}, "c": {"e6": 1}}
RENDITIONS = st.integers(0, 10**6).map(lambda n: f"{n:064x}")


def orders_of(members: dict[str, dict[str, int]]) -> Orders:
    orders = Orders()
    orders.reset(members)
    return orders


@given(RENDITIONS)
def test_the_order_is_that_of_placement_and_the_asked_region_comes_first(rendition_id: str) -> None:
    order = list(orders_of(MEMBERS).of(rendition_id, "b"))
    assert order[0][0] == "b"
    assert {region for region, _ in order} == set(MEMBERS)
    for region, edge_ids in order:
        assert list(edge_ids) == placement.rank(rendition_id, MEMBERS[region])


@given(RENDITIONS)
def test_a_death_moves_only_what_the_dead_edge_held(rendition_id: str) -> None:
    orders = orders_of(MEMBERS)
    before = dict(orders.of(rendition_id, "a"))
    orders.reset({**MEMBERS, "a": {"e1": 1, "e3": 1}})
    after = dict(orders.of(rendition_id, "a"))
    assert list(after["a"]) == [edge_id for edge_id in before["a"] if edge_id != "e2"]
    assert (after["b"], after["c"]) == (before["b"], before["c"])


def test_a_region_without_edges_starts_with_nobody_and_goes_on_to_all_others() -> None:
    order = list(orders_of(MEMBERS).of("ab" * 32, "nowhere"))
    assert order[0] == ("nowhere", ())
    assert {region for region, _ in order[1:]} == set(MEMBERS)


def test_regions_that_listeners_make_up_fill_no_memory() -> None:
    orders = orders_of(MEMBERS)
    for number in range(100):
        list(orders.of("ab" * 32, f"made-up-{number}"))
    assert len(orders._known) <= len(MEMBERS) + 1
