"""Which edges are trusted, over any conversation that edges, probes and time can hold."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from balancer.membership import DEAD_KEPT_S, DOUBT_S_MAX, EDGES_MAX, PROBE_AGAIN_S, Membership, State
from reprise.errors import NotFound, QuotaExceeded
from tests.balancer.values import identity, load

TICK_S = 0.1
# Of an edge that has not been heard often yet: the first silence that makes it suspect, and one that certainly does.
SILENCE_S = 3.2
CERTAIN_S = 4.0
# Of any edge, whatever rhythm it had.
LONGEST_S = 5.5


class Script:
    """A conversation, told step by step; time passes as the service's clock makes it pass."""

    def __init__(self, *edge_ids: str) -> None:
        self.now = 0.0
        self.members = Membership(epoch=1, now=self.now)
        self.streams = {edge_id: self.join(edge_id) for edge_id in edge_ids}

    def join(self, edge_id: str, boot_id: str = "boot") -> int:
        stream = self.members.hello(identity(edge_id, boot_id=boot_id), self.now)
        assert self.members.report(edge_id, stream, load(), self.now)
        return stream

    def report(self, edge_id: str, **figures: object) -> bool:
        return self.members.report(edge_id, self.streams[edge_id], load(**figures), self.now)

    def lose(self, edge_id: str) -> None:
        self.members.lost(edge_id, self.streams[edge_id], self.now)

    def wait(self, seconds: float, lag_s: float = 0.0) -> list[str]:
        """The edges that were to be probed meanwhile."""
        due = []
        for _ in range(round(seconds / TICK_S)):
            self.now += TICK_S
            due += [edge.identity.edge_id for edge in self.members.tick(self.now, lag_s)]
        return due

    def probed(self, edge_id: str, *, answered: bool, boot_id: str = "boot") -> None:
        self.members.probed(edge_id, boot_id, answered=answered, now=self.now)

    def state(self, edge_id: str) -> State:
        return self.members.edge(edge_id).state


def test_an_edge_is_ready_from_its_first_report() -> None:
    members = Membership(epoch=1, now=0.0)
    stream = members.hello(identity(), 0.0)
    assert members.edge("e1").state is State.JOINING
    assert members.report("e1", stream, load(), 0.1)
    assert members.edge("e1").state is State.READY


def test_a_broken_stream_is_suspicious_at_once_and_one_failed_probe_decides() -> None:
    script = Script("e1", "e2")
    epoch = script.members.epoch
    script.lose("e1")
    assert script.state("e1") is State.SUSPECT
    assert script.members.epoch == epoch  # peers may still reach it
    assert script.wait(TICK_S) == ["e1"]
    script.probed("e1", answered=False)
    assert script.state("e1") is State.DEAD
    assert script.members.epoch == epoch + 1
    assert [edge.identity.edge_id for edge in script.members.alive()] == ["e2"]


def test_an_edge_that_answers_probes_but_reports_nothing_stays_suspect_and_is_asked_again() -> None:
    script = Script("e1")
    script.lose("e1")
    script.wait(TICK_S)
    script.probed("e1", answered=True)
    assert script.state("e1") is State.SUSPECT
    assert script.wait(PROBE_AGAIN_S - 2 * TICK_S) == []
    assert script.wait(3 * TICK_S) == ["e1"]


def test_silence_is_suspicious_after_three_seconds() -> None:
    script = Script("e1")
    assert script.wait(SILENCE_S - TICK_S) == []
    assert script.state("e1") is State.READY
    assert script.wait(2 * TICK_S) == ["e1"]
    assert script.state("e1") is State.SUSPECT


def test_a_stopped_process_is_out_within_six_seconds_though_its_stream_stays_open() -> None:
    script = Script("e1", "e2")
    waited = 0.0
    while script.state("e1") is not State.DEAD:
        script.report("e2")
        if "e1" in script.wait(0.5):
            script.wait(0.5)
            script.probed("e1", answered=False)
        waited += 0.5
        assert waited <= 6.0
    assert script.state("e2") is State.READY


def test_a_failed_probe_alone_convicts_nobody_whose_stream_is_open() -> None:
    script = Script("e1")
    assert script.wait(SILENCE_S + TICK_S) == ["e1"]
    script.probed("e1", answered=False)
    assert script.state("e1") is State.SUSPECT
    assert script.wait(PROBE_AGAIN_S + TICK_S) == ["e1"]
    script.probed("e1", answered=False)
    assert script.state("e1") is State.DEAD


def test_a_late_balancer_waits_longer_and_convicts_nobody_until_it_keeps_up_or_half_a_minute_is_over() -> None:
    script = Script("e1")
    assert script.wait(SILENCE_S + 0.9, lag_s=0.2) == []
    assert script.wait(0.5, lag_s=0.2) == ["e1"]
    script.probed("e1", answered=False)
    assert script.state("e1") is State.SUSPECT
    assert script.members.doubting
    script.wait(6.0)
    script.probed("e1", answered=False)
    assert script.state("e1") is State.DEAD
    assert not script.members.doubting
    always_late = Script("e1")
    always_late.lose("e1")
    for _ in range(int(DOUBT_S_MAX) + 2):
        always_late.wait(1.0, lag_s=0.5)
        always_late.probed("e1", answered=False)
    assert always_late.state("e1") is State.DEAD


def test_a_report_clears_every_suspicion_even_death() -> None:
    script = Script("e1")
    script.wait(CERTAIN_S)
    assert script.report("e1")
    assert script.state("e1") is State.READY
    script.wait(LONGEST_S)
    script.probed("e1", answered=False)
    epoch = script.members.epoch
    assert script.report("e1")
    assert script.state("e1") is State.READY
    assert script.members.epoch == epoch + 1


def test_a_restarted_edge_rejoins_and_its_old_stream_counts_no_more() -> None:
    script = Script("e1")
    old_stream = script.streams["e1"]
    script.report("e1", draining=True)
    script.streams["e1"] = script.join("e1", boot_id="reboot")
    assert not script.members.report("e1", old_stream, load(draining=True), script.now)
    script.members.lost("e1", old_stream, script.now)
    script.probed("e1", answered=False, boot_id="boot")
    assert script.state("e1") is State.READY
    assert not script.members.edge("e1").draining


def test_a_drain_changes_the_view_once() -> None:
    script = Script("e1")
    epoch = script.members.epoch
    for _ in range(3):
        script.report("e1", draining=True)
    assert script.members.epoch == epoch + 1
    assert script.members.edge("e1").draining


def test_a_reconnect_of_the_same_boot_changes_no_view() -> None:
    script = Script("e1")
    script.report("e1", draining=True)
    epoch = script.members.epoch
    script.lose("e1")
    script.streams["e1"] = script.members.hello(identity("e1"), script.now)
    assert script.members.edge("e1").draining
    assert script.report("e1", draining=True)
    assert script.members.epoch == epoch


def test_a_new_address_changes_the_view() -> None:
    script = Script("e1")
    epoch = script.members.epoch
    script.members.hello(identity("e1", grpc_address="127.0.0.1:7002"), script.now)
    assert script.members.epoch == epoch + 1


def test_the_dead_are_forgotten_after_ten_minutes() -> None:
    script = Script("e1")
    script.lose("e1")
    script.wait(TICK_S)
    script.probed("e1", answered=False)
    script.wait(DEAD_KEPT_S - 1)
    assert script.state("e1") is State.DEAD
    script.wait(2)
    with pytest.raises(NotFound, match="there is no edge 'e1'"):
        script.members.edge("e1")


def test_a_remembered_edge_is_suspect_until_it_speaks_and_never_overrides_what_it_said() -> None:
    script = Script("e1")
    script.members.restore(identity("e1", grpc_address="127.0.0.1:1"), script.now)
    assert script.members.edge("e1").identity == identity("e1")
    script.members.restore(identity("e2"), script.now)
    assert script.state("e2") is State.SUSPECT
    assert script.wait(TICK_S) == ["e2"]
    script.streams["e2"] = script.join("e2", boot_id="other")
    assert script.state("e2") is State.READY


def fail_at_once(script: Script, edge_ids: list[str]) -> None:
    for edge_id in edge_ids:
        script.lose(edge_id)
    script.wait(TICK_S)
    for edge_id in edge_ids:
        script.probed(edge_id, answered=False)


def keep_reporting(script: Script, edge_ids: list[str], seconds: float) -> list[str]:
    due = []
    for _ in range(round(seconds)):
        for edge_id in edge_ids:
            assert script.report(edge_id)
        due += script.wait(1.0)
    return due


def test_half_a_mesh_failing_at_once_is_doubted_for_half_a_minute() -> None:
    script = Script(*"pqrstu")
    failing, healthy = list("pqr"), list("stu")
    fail_at_once(script, failing)
    assert [script.state(e) for e in failing] == [State.SUSPECT] * 3
    elapsed = 0
    while elapsed < DOUBT_S_MAX + 3:
        for edge_id in keep_reporting(script, healthy, 1):
            script.probed(edge_id, answered=False)
        elapsed += 1
        if elapsed < DOUBT_S_MAX - 2:
            assert [script.state(e) for e in failing] == [State.SUSPECT] * 3
    assert [script.state(e) for e in failing] == [State.DEAD] * 3
    assert [script.state(e) for e in healthy] == [State.READY] * 3


def test_one_of_many_and_any_of_a_few_die_without_doubt() -> None:
    many = Script(*"pqrstu")
    fail_at_once(many, ["p"])
    assert many.state("p") is State.DEAD
    few = Script(*"pqrs")
    fail_at_once(few, list("pqr"))
    assert [few.state(e) for e in "pqr"] == [State.DEAD] * 3


def test_draining_edges_that_stop_together_raise_no_doubt() -> None:
    script = Script(*"pqrstu")
    for edge_id in "pqr":
        script.report(edge_id, draining=True)
    fail_at_once(script, list("pqr"))
    assert [script.state(e) for e in "pqr"] == [State.DEAD] * 3


def test_a_balancer_that_was_stopped_does_not_blame_the_edges() -> None:
    script = Script("e1", "e2")
    script.now += 20
    assert script.members.tick(script.now) == []
    assert script.state("e1") is State.READY
    assert script.wait(CERTAIN_S) == ["e1", "e2"]


def test_more_edges_than_the_limit_are_refused() -> None:
    members = Membership(epoch=1, now=0.0)
    for number in range(EDGES_MAX):
        members.hello(identity(f"e{number}"), 0.0)
    with pytest.raises(QuotaExceeded, match="takes 5000 edges"):
        members.hello(identity("one-more"), 0.0)
    members.hello(identity("e0", boot_id="reboot"), 0.0)


EDGES = st.sampled_from(["e1", "e2", "e3"])
BOOTS = st.sampled_from(["boot", "reboot"])


class AnyConversation(RuleBasedStateMachine):
    """Words of old streams and late probes arrive in any order; the table of states holds all the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.members = Membership(epoch=1, now=0.0)
        self.streams: list[tuple[str, int, str]] = []
        self.newest: dict[str, int] = {}
        self.asked: set[tuple[str, str]] = set()
        self.epoch = self.members.epoch
        self.view: object = self.public()

    def public(self) -> object:
        return sorted((e.identity.edge_id, e.identity.grpc_address, e.draining) for e in self.members.alive())

    @rule(edge_id=EDGES, boot_id=BOOTS, port=st.sampled_from([7001, 7002]))
    def hello(self, edge_id: str, boot_id: str, port: int) -> None:
        who = identity(edge_id, boot_id=boot_id, grpc_address=f"127.0.0.1:{port}")
        stream = self.members.hello(who, self.now)
        assert stream not in self.newest.values()
        assert self.members.edge(edge_id).state is State.JOINING
        self.streams.append((edge_id, stream, boot_id))
        self.newest[edge_id] = stream

    @precondition(lambda self: self.streams)
    @rule(data=st.data(), draining=st.booleans())
    def report(self, data: st.DataObject, draining: bool) -> None:
        edge_id, stream, _ = data.draw(st.sampled_from(self.streams))
        taken = self.members.report(edge_id, stream, load(draining=draining), self.now)
        assert taken == (self.newest.get(edge_id) == stream)
        if taken:
            assert self.members.edge(edge_id).state is State.READY

    @precondition(lambda self: self.streams)
    @rule(data=st.data())
    def stream_breaks(self, data: st.DataObject) -> None:
        edge_id, stream, _ = data.draw(st.sampled_from(self.streams))
        self.members.lost(edge_id, stream, self.now)
        if self.newest.get(edge_id) == stream:
            del self.newest[edge_id]
            assert self.members.edge(edge_id).state in (State.SUSPECT, State.DEAD)

    @rule(edge_id=EDGES, boot_id=BOOTS, answered=st.booleans())
    def probe(self, edge_id: str, boot_id: str, answered: bool) -> None:
        edge = self.members.get(edge_id)
        before = edge.state if edge else None
        self.asked.discard((edge_id, boot_id))
        self.members.probed(edge_id, boot_id, answered=answered, now=self.now)
        if edge and before is not State.SUSPECT:
            assert edge.state is before

    @rule(edge_id=EDGES)
    def remember(self, edge_id: str) -> None:
        self.members.restore(identity(edge_id), self.now)

    @rule(seconds=st.floats(0, 5), lag_s=st.sampled_from([0.0, 0.0, 0.1, 0.3]))
    def pass_time(self, seconds: float, lag_s: float) -> None:
        for _ in range(int(seconds / TICK_S)):
            self.now += TICK_S
            for edge in self.members.tick(self.now, lag_s):
                assert edge.state is State.SUSPECT
                self.asked.add((edge.identity.edge_id, edge.identity.boot_id))

    @invariant()
    def the_epoch_grows_with_every_change_of_the_view(self) -> None:
        view = self.public()
        assert self.members.epoch >= self.epoch
        if view != self.view:
            assert self.members.epoch > self.epoch
        self.epoch, self.view = self.members.epoch, view

    @invariant()
    def nobody_is_ready_without_a_stream_or_with_old_news(self) -> None:
        for edge in self.members:
            if edge.state is State.READY:
                assert edge.stream == self.newest[edge.identity.edge_id]
                assert self.now - edge.heard_at < LONGEST_S + self.members.patience_s + TICK_S

    @invariant()
    def every_suspect_is_to_be_probed_or_being_probed(self) -> None:
        for edge in self.members:
            if edge.state is State.SUSPECT:
                asked = (edge.identity.edge_id, edge.identity.boot_id) in self.asked
                assert asked or edge.probe_at is not None


TestAnyConversation = AnyConversation.TestCase
