"""The simulation of a region: what it compares is comparable, and the production policies do in it what they promise."""

from functools import cache

import pytest

from bench.cache.contenders import keys_of
from bench.cache.mesh import alone, meshed, united
from bench.cache.routing import EDGES, balanced, spread
from bench.cache.traces import Trace, make_trace
from reprise.placement import rank


@cache
def trace() -> Trace:
    """Long enough that a tenth of the songs is asked for again and again."""
    return make_trace("churn", 1.03, plays=10_000, tracks=600)


@cache
def rendition_ids() -> list[str]:
    return [key.rendition_id for key in keys_of(trace())[::2]]


@cache
def routed() -> list[int]:
    return balanced(trace(), rendition_ids(), utilisation=0.5)


@pytest.mark.parametrize("share", [0.1, 1 / 3])
def test_a_mesh_fetches_little_more_than_one_cache_with_the_bytes_of_all(share: float) -> None:
    cache_bytes = int(share * trace().footprint_bytes)
    least = united(trace(), cache_bytes).origin
    for places in (spread(trace()), routed()):
        assert meshed(trace(), places, cache_bytes).origin < 1.1 * least
    assert least < 0.75 * alone(trace(), spread(trace()), cache_bytes).origin


def test_the_balancer_leaves_little_to_relay() -> None:
    homes = [EDGES.index(rank(rendition_id, EDGES)[0]) for rendition_id in rendition_ids()]
    at_home = sum(homes[item // 2] == place for item, place in zip(trace().objects, routed(), strict=True))
    assert at_home > 0.9 * len(trace().objects)
    assert set(routed()) == {0, 1, 2}
    cache_bytes = trace().footprint_bytes // 10
    relayed, everywhere = (meshed(trace(), places, cache_bytes).relayed for places in (routed(), spread(trace())))
    assert relayed < 0.1 * everywhere


def test_a_song_stays_on_the_edge_where_it_began() -> None:
    begun: dict[int, int] = {}
    for item, listener, place in zip(trace().objects, trace().listeners, routed(), strict=True):
        if item % 2 == 0:
            begun[listener] = place
        assert begun[listener] == place


def test_a_mesh_that_holds_everything_reads_everything_once() -> None:
    footprint = trace().footprint_bytes
    # Homes are not equally large, so each edge has room for all.
    fetched = meshed(trace(), spread(trace()), footprint)
    assert fetched.origin == pytest.approx(footprint / trace().requested_bytes)
