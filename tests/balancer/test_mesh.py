"""All that a balancer knows, under any order of events."""

from random import Random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from balancer.edges import SongHeat
from balancer.membership import State
from balancer.mesh import AT_ONCE_MAX, Mesh
from balancer.picking import Pick, Play, Reason
from reprise import placement
from tests.balancer.values import identity, load

SONGS = [f"{number:064x}" for number in range(6)]
HERE = (("a", 10.0), ("b", 40.0))
EDGES = {f"e{number}": "a" if number < 6 else "b" for number in range(9)}


def mesh_of(*edge_ids: str, now: float = 0.0) -> Mesh:
    """Idle edges of region a, all of them ready."""
    mesh = Mesh(epoch=1, now=now, rng=Random(1))
    for edge_id in edge_ids:
        mesh.report(edge_id, mesh.hello(identity(edge_id), now), load(), now)
    return mesh


def pick(mesh: Mesh, song: str = SONGS[0], session: str = "listener", now: float = 0.0) -> list[Pick]:
    return mesh.pick(Play(song, 96_000, HERE, session), now)


class MeshUnderEvents(RuleBasedStateMachine):
    """Edges come, report, drain, fall silent, lose their stream, fail listeners and die; listeners ask all the time."""

    def __init__(self) -> None:
        super().__init__()
        self.mesh = Mesh(epoch=1, now=0.0, rng=Random(1))
        self.now = 0.0
        self.streams: dict[str, int] = {}
        self.grants: dict[str, list[str]] = {edge_id: [] for edge_id in EDGES}
        self.given = 0
        self.boots = 0

    @rule(edge_id=st.sampled_from(sorted(EDGES)), again=st.booleans())
    def hello(self, edge_id: str, *, again: bool) -> None:
        self.boots += not again
        self.streams[edge_id] = self.mesh.hello(identity(edge_id, EDGES[edge_id], f"boot-{self.boots}"), self.now)

    @rule(
        edge_id=st.sampled_from(sorted(EDGES)),
        used=st.sampled_from([0.0, 0.3, 0.6, 0.9, 1.0]),
        draining=st.sampled_from([False, False, False, True]),
        heat=st.lists(st.tuples(st.sampled_from(SONGS), st.integers(0, 10**9), st.integers(0, 2000)), max_size=2),
    )
    def report(self, edge_id: str, used: float, draining: bool, heat: list[tuple[str, int, int]]) -> None:
        figures = {"committed_bps": int(used * 10**9), "draining": draining}
        rows = tuple(SongHeat(*row) for row in heat)
        seen, self.grants[edge_id] = tuple(self.grants[edge_id]), []
        self.mesh.report(
            edge_id, self.streams.get(edge_id, -1), load(**figures, heat=rows, seen_grant_ids=seen), self.now
        )

    @rule(edge_id=st.sampled_from(sorted(EDGES)))
    def lose(self, edge_id: str) -> None:
        self.mesh.lost(edge_id, self.streams.get(edge_id, -1), self.now)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 4.0]), answered=st.booleans())
    def pass_time(self, seconds: float, *, answered: bool) -> None:
        self.now += seconds
        for edge in self.mesh.tick(self.now):
            self.mesh.probed(edge, answered=answered, now=self.now)
        for prefill in self.mesh.due_prefills():
            self.mesh.prefilled(prefill.edge_id, prefill.rendition_id)

    @rule(edge_id=st.sampled_from(sorted(EDGES)))
    def fail_listeners(self, edge_id: str) -> None:
        for number in range(6):
            self.mesh.note_play(edge_id, f"listener-{number}", ok=False, now=self.now)

    @rule(song=st.sampled_from(SONGS), session=st.text("xyz", min_size=1, max_size=2))
    def listen(self, song: str, session: str) -> None:
        picks = pick(self.mesh, song, session, self.now)
        edges = {edge.identity.edge_id: edge for edge in self.mesh.edges()}
        views = {view.identity.edge_id: view for view in self.mesh.views(self.now)}
        panic = {region.region for region in self.mesh.regions() if region.panic}
        for one in picks:
            edge = edges[one.edge_id]
            assert not edge.draining
            assert edge.state is not State.DEAD
            if edge.state is not State.READY or views[one.edge_id].ejected_s:
                assert edge.identity.region in panic
                assert one.reason is Reason.PANIC
        if picks:
            self.given += 1
            grant_id = f"grant-{self.given}"
            self.mesh.assign(picks[0].edge_id, song, grant_id, 96_000, self.now)
            self.grants[picks[0].edge_id].append(grant_id)

    @invariant()
    def the_homes_are_those_of_placement_while_nobody_ramps(self) -> None:
        views = self.mesh.views(self.now)
        assert all(0 < view.ramp <= 1 for view in views)
        alive = {e.identity.edge_id for e in self.mesh.alive() if not e.draining and e.identity.region == "a"}
        if alive and all(view.ramp == 1 for view in views):
            for song in SONGS:
                assert list(self.mesh.homes(song, "a", 9)) == placement.rank(song, alive)

    @invariant()
    def nothing_is_pending_on_the_dead(self) -> None:
        for view in self.mesh.views(self.now):
            assert view.pending.grants >= 0
            if view.state is State.DEAD:
                assert view.pending.grants == 0


TestMeshUnderEvents = MeshUnderEvents.TestCase
TestMeshUnderEvents.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)


def test_a_death_moves_only_the_songs_of_the_dead_edge() -> None:
    mesh = mesh_of("e1", "e2", "e3", "e4", "e5")
    songs = [f"{number:064x}" for number in range(200)]
    before = {song: pick(mesh, song)[0].edge_id for song in songs}
    victim = mesh.edge("e3")
    mesh.lost("e3", victim.stream, 0.1)
    while victim.state is not State.DEAD:
        for edge in mesh.tick(0.1):
            mesh.probed(edge, answered=False, now=0.1)
    moved = {song for song in songs if pick(mesh, song, now=0.2)[0].edge_id != before[song]}
    assert moved == {song for song in songs if before[song] == "e3"}


def test_a_crowd_that_comes_between_two_reports_spreads() -> None:
    """A release storm: nobody has told of it yet, and no edge gets more than a few times its share."""
    edge_ids = [f"e{number}" for number in range(20)]
    mesh, got = mesh_of(*edge_ids), dict.fromkeys(edge_ids, 0)
    for number in range(2000):
        now = number / 2000
        edge_id = pick(mesh, session=f"listener-{number}", now=now)[0].edge_id
        mesh.assign(edge_id, SONGS[0], f"grant-{number}", 320_000, now)
        got[edge_id] += 1
    assert max(got.values()) <= 3 * 2000 / 20
    assert sum(count > 0 for count in got.values()) >= 8


def test_songs_move_to_an_edge_that_joins_a_few_at_a_time() -> None:
    mesh = mesh_of("e1", "e2", "e3", now=0.0)
    songs = [f"{number:064x}" for number in range(300)]
    stream, shares = mesh.hello(identity("new"), 100.0), []
    for second in range(100, 165):
        for edge_id in ("e1", "e2", "e3", "new"):
            mesh.report(edge_id, mesh.edge(edge_id).stream, load(), second)
        mesh.tick(second)
        shares.append(sum(mesh.homes(song, "a", 1)[0] == "new" for song in songs) / len(songs))
    assert stream == mesh.edge("new").stream
    assert 0 < shares[0] < 0.08
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(0.25, abs=0.08)


def test_pending_grants_end_when_the_edge_restarts_and_with_time() -> None:
    mesh = mesh_of("e1", "e2")
    mesh.assign("e1", SONGS[0], "one", 96_000, 0.0)
    mesh.assign("e2", SONGS[0], "two", 96_000, 0.0)
    mesh.hello(identity("e1", boot_id="another"), 1.0)
    assert {view.identity.edge_id: view.pending.grants for view in mesh.views(1.0)} == {"e1": 0, "e2": 1}
    pick(mesh, now=6.0)
    assert {view.pending.grants for view in mesh.views(6.0)} == {0}


def test_an_edge_that_fails_its_listeners_gets_no_more_of_them_for_a_while() -> None:
    mesh = mesh_of("e1", "e2", "e3", "e4", "e5")
    home = pick(mesh)[0].edge_id
    for number in range(10):
        mesh.note_play(home, f"listener-{number}", ok=False, now=1.0)
    mesh.tick(1.5)
    assert home not in {one.edge_id for one in pick(mesh, now=1.5)}
    assert mesh.homes(SONGS[0], "a", 1) == (home,), "its songs stay at home there"


def test_a_large_mesh_gathers_joins_until_the_next_tick() -> None:
    everybody = [f"e{number}" for number in range(2 * AT_ONCE_MAX)]
    mesh = mesh_of(*everybody)
    assert len(mesh.homes(SONGS[0], "a", len(everybody))) < len(everybody)
    mesh.tick(0.01)
    assert sorted(mesh.homes(SONGS[0], "a", len(everybody))) == sorted(everybody)
