"""Every song has one home in a region, all edges agree on it, and a change of the mesh moves no more than it must."""

from hypothesis import given
from hypothesis import strategies as st

from edge_node.homes import Homes
from edge_node.sources import OriginSource, Own, Peer, members, order

EDGES = [f"edge-{number}" for number in range(5)]
renditions = st.text("0123456789abcdef", min_size=64, max_size=64)
capacities = st.integers(1, 10**11)
meshes = st.dictionaries(st.sampled_from(EDGES), capacities, min_size=1)
Mesh = dict[str, int]


def homes_of(mesh: Mesh, edge_id: str) -> Homes:
    homes = Homes()
    homes.settle(edge_id, mesh)
    return homes


def home_of(mesh: Mesh, rendition_id: str) -> str:
    (home,) = (edge_id for edge_id in mesh if homes_of(mesh, edge_id).here(rendition_id))
    return home


@given(renditions, meshes)
def test_exactly_one_edge_is_home(rendition_id: str, mesh: Mesh) -> None:
    assert home_of(mesh, rendition_id) in mesh


@given(renditions, st.dictionaries(st.sampled_from(EDGES), st.integers(0, 3), min_size=1), st.data())
def test_the_home_is_whoever_asks_an_origin_first(rendition_id: str, mesh: Mesh, data: st.DataObject) -> None:
    edge_id = data.draw(st.sampled_from(sorted(mesh)))
    draining = data.draw(st.sets(st.sampled_from(EDGES)))
    own = Own(edge_id, mesh[edge_id])
    peers = [Peer(e, f"{e}:1", "grant", e in draining, mesh[e]) for e in mesh if e != edge_id]
    here = homes_of(members(own, peers), edge_id).here(rendition_id)
    assert here == isinstance(order(rendition_id, own, peers, ("10.0.0.1:1",), hops=0)[0], OriginSource)


@given(renditions, meshes, st.sampled_from(EDGES), capacities)
def test_an_edge_that_leaves_or_comes_moves_only_its_own_songs(
    rendition_id: str, mesh: Mesh, edge_id: str, capacity: int
) -> None:
    among = mesh | {edge_id: capacity}
    without = {other: bps for other, bps in mesh.items() if other != edge_id}
    if without and home_of(among, rendition_id) != edge_id:
        assert home_of(without, rendition_id) == home_of(among, rendition_id)


@given(renditions, st.lists(meshes, min_size=1, max_size=6))
def test_only_the_last_membership_counts(rendition_id: str, meshes_in_turn: list[Mesh]) -> None:
    homes = Homes()
    for mesh in meshes_in_turn:
        homes.settle("edge-0", mesh | {"edge-0": 5})
        homes.here(rendition_id)
    assert homes.here(rendition_id) == homes_of(meshes_in_turn[-1] | {"edge-0": 5}, "edge-0").here(rendition_id)


def test_a_larger_nic_is_home_to_more_as_soon_as_it_is_known() -> None:
    songs = [f"{number:064x}" for number in range(1_000)]
    homes = homes_of({"edge-0": 1, "edge-1": 1}, "edge-0")
    assert 400 < sum(map(homes.here, songs)) < 600
    homes.settle("edge-0", {"edge-0": 9, "edge-1": 1})
    assert 850 < sum(map(homes.here, songs)) < 950


def test_an_edge_that_knows_no_other_is_home_to_everything() -> None:
    homes = Homes()
    assert homes.here("ab" * 32)
    homes.settle("edge-1", {"edge-1": 1})
    assert homes.here("ab" * 32)
