"""Who is asked, in which order, and that nobody ever asks in a circle."""

from hypothesis import given
from hypothesis import strategies as st

from edge_node.sources import OriginSource, Own, Peer, PeerSource, order
from reprise.placement import rank

EDGES = [f"edge-{n}" for n in range(5)]
ORIGINS = ("10.0.0.1:1", "10.0.0.2:1")
renditions = st.text("0123456789abcdef", min_size=64, max_size=64)


def peers_of(edge_id: str, draining: frozenset[str] = frozenset()) -> list[Peer]:
    return [Peer(e, f"{e}:1", f"grant-{e}", e in draining, 1) for e in EDGES if e != edge_id]


@given(renditions)
def test_every_edge_of_a_region_asks_the_same_home_and_the_home_asks_an_origin(rendition: str) -> None:
    home = rank(rendition, EDGES)[0]
    for edge in EDGES:
        first = order(rendition, Own(edge, 1), peers_of(edge), ORIGINS, 0)[0]
        if edge == home:
            assert isinstance(first, OriginSource)
        else:
            assert first == PeerSource(home, f"{home}:1", f"grant-{home}")


@given(renditions)
def test_no_two_edges_ask_each_other(rendition: str) -> None:
    asks = {
        edge: {
            s.edge_id for s in order(rendition, Own(edge, 1), peers_of(edge), ORIGINS, 0) if isinstance(s, PeerSource)
        }
        for edge in EDGES
    }
    assert not any(edge in asks[other] for edge in EDGES for other in asks[edge])


@given(renditions, st.sampled_from(EDGES))
def test_a_relayed_request_goes_to_origins_only(rendition: str, edge: str) -> None:
    sources = order(rendition, Own(edge, 1), peers_of(edge), ORIGINS, 1)
    assert sources
    assert all(isinstance(s, OriginSource) for s in sources)


@given(renditions, st.sampled_from(EDGES))
def test_a_draining_home_is_replaced_by_the_next_for_everyone(rendition: str, edge: str) -> None:
    home, second = rank(rendition, EDGES)[:2]
    if edge in (home, second):
        return
    first = order(rendition, Own(edge, 1), peers_of(edge, frozenset({home})), ORIGINS, 0)[0]
    assert isinstance(first, PeerSource)
    assert first.edge_id == second


def test_all_edges_ask_the_same_origin_first() -> None:
    firsts = {
        next(
            s.address for s in order("ab" * 32, Own(edge, 1), peers_of(edge), ORIGINS, 1) if isinstance(s, OriginSource)
        )
        for edge in EDGES
    }
    assert len(firsts) == 1
