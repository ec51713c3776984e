"""Balancers and edges mean the same home: their own code on both sides, and between them a view as it travels."""

from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from balancer import wire
from balancer.mesh import Mesh
from balancer.minting import Mint
from balancer.picking import Play
from balancer.views import ViewWriter
from edge_node.homes import Homes
from edge_node.reporting import view_of
from edge_node.sources import Own, members
from reprise.balancer.v1 import balancer_service_pb2 as pb
from tests.balancer.stage import staged
from tests.balancer.values import MESH_KEY, OPUS, identity, load
from tests.edge_node.edges import running_edge
from tests.support.wait import wait_until

RENDITIONS = [f"{number:064x}" for number in range(20)]
REGION = "here"

# Edge id -> (capacity, whether it drains).
edges = st.dictionaries(
    st.text("abcdef0123", min_size=1, max_size=6), st.tuples(st.integers(1, 10**12), st.booleans()), max_size=7
)


def mesh_of(here: dict[str, tuple[int, bool]], elsewhere: set[str]) -> Mesh:
    """Unloaded edges, all of them ready."""
    mesh = Mesh(epoch=1, now=0.0, rng=Random(1))
    for edge_id, (capacity, draining) in here.items():
        stream = mesh.hello(identity(edge_id, REGION, nic_capacity_bps=capacity), 0.0)
        assert mesh.report(edge_id, stream, load(draining=draining), 0.0)
    for edge_id in elsewhere:
        mesh.report(edge_id, mesh.hello(identity(edge_id, "elsewhere"), 0.0), load(), 0.0)
    return mesh


def told(mesh: Mesh, edge_id: str, capacity: int) -> Homes:
    """What the edge makes of the view that it gets over the wire."""
    mint = Mint("b1", MESH_KEY, lambda: 1_000_000.0, lambda: "grant")
    sent = wire.outgoing(ViewWriter(edge_id, mint).write(mesh.epoch, mesh.alive(), 0.0)).SerializeToString()
    view = view_of(pb.ReportLoadResponse.FromString(sent).view, pb.Hello(edge_id=edge_id, region=REGION))
    homes = Homes()
    homes.settle(edge_id, members(Own(edge_id, capacity), view.peers))
    return homes


@settings(deadline=None)
@given(edges, st.sets(st.text("xyz", min_size=1, max_size=3), max_size=3))
def test_the_balancers_first_choice_is_the_edge_that_says_it_is_home(
    here: dict[str, tuple[int, bool]], elsewhere: set[str]
) -> None:
    mesh = mesh_of(here, elsewhere)
    working = {edge_id: told(mesh, edge_id, capacity) for edge_id, (capacity, drains) in here.items() if not drains}
    for rendition_id in RENDITIONS if working else ():
        first = mesh.pick(Play(rendition_id, 96_000, ((REGION, 0.0),), "listener"), 0.0)[0].edge_id
        assert [edge_id for edge_id, homes in working.items() if homes.here(rendition_id)] == [first]


async def test_two_real_edges_of_unequal_nics_share_the_songs_as_their_balancer_does(tmp_path: Path) -> None:
    capacities = {"edge-1": 10_000_000_000, "edge-2": 1_000_000_000}
    async with staged(tmp_path) as stage:
        told_by = {"balancers": (stage.address,)}
        async with (
            running_edge(tmp_path / "1", "edge-1", nic_capacity_bps=capacities["edge-1"], **told_by) as one,
            running_edge(tmp_path / "2", "edge-2", nic_capacity_bps=capacities["edge-2"], **told_by) as two,
        ):
            await wait_until(lambda: one.node.view.peers and two.node.view.peers, "both hear of each other")
            for edge, other in ((one, two), (two, one)):
                (peer,) = edge.node.view.peers
                assert (peer.edge_id, peer.nic_capacity_bps) == (other.edge_id, capacities[other.edge_id])
            for edge_id in capacities:
                await stage.wait_state(edge_id, pb.EDGE_STATE_READY)
            first, *_ = await stage.routed_edges(region=REGION)
            assert first == ("edge-1" if one.node.store.homes.here(OPUS.rendition_id) else "edge-2")
            at_home = [edge.node.store.homes.here(f"{n:064x}") for n in range(200) for edge in (one, two)]
            firsts, seconds = at_home[::2], at_home[1::2]
            assert all(first != second for first, second in zip(firsts, seconds, strict=True))
            assert sum(firsts) > 160, "ten of eleven songs are at home on the larger NIC"
