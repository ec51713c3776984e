"""When a balancer takes listeners."""

from random import Random

from balancer.mesh import Mesh
from balancer.readiness import WAIT_S_MAX, Readiness
from tests.balancer.values import identity, load


class Start:
    """A balancer that just started; `read` tells whether its directory was."""

    def __init__(self, *, read: bool) -> None:
        self.now = 50.0
        self.mesh = Mesh(epoch=1, now=self.now, rng=Random(1))
        self.readiness = Readiness(self.mesh, lambda: read, lambda: self.now)

    def join(self, edge_id: str) -> None:
        self.mesh.report(edge_id, self.mesh.hello(identity(edge_id), self.now), load(), self.now)


def test_it_is_ready_once_all_remembered_edges_report() -> None:
    start = Start(read=True)
    for edge_id in ("e1", "e2"):
        start.mesh.restore(identity(edge_id), start.now)
    start.join("e1")
    assert start.readiness.missing() == "edges that were here before have not reported yet"
    start.join("e2")
    assert start.readiness.missing() == ""


def test_without_memory_it_waits_two_seconds_whoever_reports() -> None:
    start = Start(read=False)
    start.join("e1")
    assert start.readiness.missing() != ""
    start.now += WAIT_S_MAX
    assert start.readiness.missing() == ""


def test_with_no_edge_at_all_it_is_ready_after_two_seconds() -> None:
    start = Start(read=True)
    assert start.readiness.missing() != ""
    start.now += WAIT_S_MAX
    assert start.readiness.missing() == ""


def test_ready_stays_ready() -> None:
    start = Start(read=True)
    start.mesh.restore(identity("e1"), start.now)
    start.join("e1")
    assert start.readiness.missing() == ""
    start.mesh.restore(identity("e2"), start.now)
    assert start.readiness.missing() == ""
