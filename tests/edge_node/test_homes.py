"""Every song has one home in a region, all edges agree on it, and a change of the mesh moves no more than it must."""

from hypothesis import given
from hypothesis import strategies as st

from edge_node.homes import Homes
from edge_node.sources import OriginSource, Peer, live_ids, order

EDGES = [f"edge-{number}" for number in range(5)]
renditions = st.text("0123456789abcdef", min_size=64, max_size=64)
meshes = st.sets(st.sampled_from(EDGES), min_size=1)


def homes_of(mesh: set[str], edge_id: str) -> Homes:
    homes = Homes()
    homes.settle(edge_id, mesh - {edge_id})
    return homes


def home_of(mesh: set[str], rendition_id: str) -> str:
    (home,) = (edge_id for edge_id in mesh if homes_of(mesh, edge_id).here(rendition_id))
    return home


@given(renditions, meshes)
def test_exactly_one_edge_is_home(rendition_id: str, mesh: set[str]) -> None:
    assert home_of(mesh, rendition_id) in mesh


@given(renditions, st.sampled_from(EDGES), st.sets(st.sampled_from(EDGES)))
def test_the_home_is_whoever_asks_an_origin_first(rendition_id: str, edge_id: str, draining: set[str]) -> None:
    peers = [Peer(other, f"{other}:1", "grant", other in draining) for other in EDGES if other != edge_id]
    homes = Homes()
    homes.settle(edge_id, live_ids(peers))
    first = order(rendition_id, edge_id, peers, ("10.0.0.1:1",), hops=0)[0]
    assert homes.here(rendition_id) == isinstance(first, OriginSource)


@given(renditions, meshes, st.sampled_from(EDGES))
def test_an_edge_that_leaves_or_comes_moves_only_its_own_songs(rendition_id: str, mesh: set[str], edge_id: str) -> None:
    without, among = mesh - {edge_id}, mesh | {edge_id}
    if without and home_of(among, rendition_id) != edge_id:
        assert home_of(without, rendition_id) == home_of(among, rendition_id)


@given(renditions, st.lists(meshes, min_size=1, max_size=6))
def test_only_the_last_membership_counts(rendition_id: str, meshes_in_turn: list[set[str]]) -> None:
    homes = Homes()
    for mesh in meshes_in_turn:
        homes.settle("edge-0", mesh - {"edge-0"})
        homes.here(rendition_id)
    assert homes.here(rendition_id) == homes_of(meshes_in_turn[-1] | {"edge-0"}, "edge-0").here(rendition_id)


def test_an_edge_that_knows_no_other_is_home_to_everything() -> None:
    homes = Homes()
    assert homes.here("ab" * 32)
    homes.settle("edge-1", [])
    assert homes.here("ab" * 32)
