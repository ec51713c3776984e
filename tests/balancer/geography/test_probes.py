"""Where listeners measure: at edges that answer, each listener always at the same."""

import random

from balancer.geography.nearness import Evidence, Nearness
from balancer.geography.probes import REGIONS_MAX, Probes
from balancer.mesh import Mesh
from tests.balancer.values import identity, load


def mesh_of(**regions: str) -> tuple[Mesh, Probes]:
    mesh = Mesh(epoch=1, now=0.0, rng=random.Random(1))
    probes = Probes(mesh)
    for edge_id, region in regions.items():
        mesh.report(edge_id, mesh.hello(identity(edge_id, region, http_url=f"http://{edge_id}"), 0.0), load(), 0.0)
    return mesh, probes


def urls(probes: Probes, regions: str, session_id: str = "s") -> list[str]:
    nearness = Nearness(tuple((region, 5.0) for region in regions), Evidence.DEFAULT)
    return [probe.url for probe in probes.near(nearness, session_id)]


def test_each_near_region_has_one_edge_to_measure_at() -> None:
    _, probes = mesh_of(e1="a", e2="b", e3="c", e4="d", e5="e", e6="f")
    assert urls(probes, "cab") == ["http://e3/healthz", "http://e1/healthz", "http://e2/healthz"]
    assert len(urls(probes, "abcdef")) == REGIONS_MAX


def test_a_regions_edges_share_the_measuring() -> None:
    _, probes = mesh_of(e1="a", e2="a", e3="b")
    asked = [urls(probes, "a", f"s{number}")[0] for number in range(100)]
    assert 20 < asked.count("http://e1/healthz") < 80
    assert urls(probes, "a", "s7") == urls(probes, "a", "s7")


def test_an_edge_that_drains_or_is_lost_is_not_measured_at() -> None:
    mesh, probes = mesh_of(e1="a", e2="a", e3="b", e4="b")
    mesh.report("e1", mesh.hello(identity("e1", "a", http_url="http://e1"), 1.0), load(draining=True), 1.0)
    mesh.lost("e3", mesh.hello(identity("e3", "b", http_url="http://e3"), 1.0), 1.0)
    for number in range(20):
        assert urls(probes, "ab", f"s{number}") == ["http://e2/healthz", "http://e4/healthz"]
