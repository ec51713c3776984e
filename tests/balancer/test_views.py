"""What edges are told of each other, and when it is told again."""

import math

from balancer.membership import Edge, State
from balancer.minting import Mint
from balancer.views import RELAY_RENEW_S, ViewWriter
from reprise import grants
from tests.balancer.values import MESH_KEY, identity


class Writing:
    """A writer for e1 whose mint counts what it signed."""

    def __init__(self) -> None:
        self.signed = 0
        self.mint = Mint("b1", MESH_KEY, lambda: 1_000_000.0, self.count)
        self.writer = ViewWriter("e1", self.mint)

    def count(self) -> str:
        self.signed += 1
        return f"grant-{self.signed}"

    def write(self, *edge_ids: str, now: float = 0.0) -> dict[str, str]:
        edges = [Edge(identity(edge_id), State.READY, heard_at=0.0, since=0.0) for edge_id in edge_ids]
        return {peer.edge_id: peer.relay_grant for peer in self.writer.write(7, edges, now).peers}


def test_a_grant_names_who_serves_and_who_asks() -> None:
    writing = Writing()
    told = writing.write("e1", "e2")
    assert told["e1"] == ""
    claims = grants.verify(told["e2"], writing.mint.key_of, 1_000_000, audience="e2", scope="relay")
    assert (claims.subject, claims.expires_unix_s) == ("e1", 1_003_600)


def test_a_changed_view_signs_only_for_new_peers() -> None:
    writing = Writing()
    first = writing.write("e1", "e2", "e3")
    second = writing.write("e1", "e2", "e4", now=10)
    assert second["e2"] == first["e2"]
    assert writing.signed == 3


def test_grants_are_renewed_at_half_their_life() -> None:
    writing = Writing()
    assert writing.writer.renew_at == math.inf
    first = writing.write("e1", "e2")
    assert writing.writer.renew_at == RELAY_RENEW_S
    second = writing.write("e1", "e2", now=RELAY_RENEW_S)
    assert second["e2"] != first["e2"]
    assert writing.writer.renew_at == 2 * RELAY_RENEW_S


def test_grants_for_edges_that_left_are_forgotten() -> None:
    writing = Writing()
    writing.write("e1", "e2")
    writing.write("e1")
    assert writing.writer.renew_at == math.inf
