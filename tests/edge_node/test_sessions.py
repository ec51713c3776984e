"""A listener counts once, from the first request until long enough after the last one."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from edge_node.sessions import SESSION_S, Sessions

BPS = 96_000


def test_a_listener_by_ranges_counts_between_two_requests() -> None:
    sessions = Sessions()
    sessions.begin("g", "song", BPS, 0.0)
    sessions.end("g", 0.1)
    for now in (9.0, 18.0, 27.0):
        sessions.touch("g", "song", BPS, now)
        sessions.settle(now)
        assert (len(sessions), sessions.committed_bps, sessions.live) == (1, BPS, {"song": BPS})
    sessions.settle(27.0 + SESSION_S - 0.1)
    assert len(sessions) == 1
    sessions.settle(27.0 + SESSION_S)
    assert (len(sessions), sessions.committed_bps, sessions.live) == (0, 0, {})


def test_a_long_stream_counts_for_as_long_as_it_is_open() -> None:
    sessions = Sessions()
    sessions.begin("g", "song", BPS, 0.0)
    for now in range(0, 600, 7):
        sessions.settle(now)
        assert sessions.committed_bps == BPS
    sessions.end("g", 600.0)
    sessions.settle(600.0 + SESSION_S)
    assert sessions.committed_bps == 0


def test_many_streams_of_one_grant_are_one_listener() -> None:
    sessions = Sessions()
    for _ in range(3):
        sessions.begin("g", "song", BPS, 0.0)
    assert (len(sessions), sessions.committed_bps) == (1, BPS)


def test_who_goes_over_to_another_rendition_plays_that_one_alone() -> None:
    sessions = Sessions()
    sessions.touch("g", "low", BPS, 0.0)
    sessions.touch("g", "high", 2 * BPS, 1.0)
    assert (sessions.live, sessions.committed_bps) == ({"high": 2 * BPS}, 2 * BPS)
    assert sessions.past.counts(1.0)["low"].sure == BPS


def test_what_was_played_is_remembered_while_it_fades() -> None:
    sessions = Sessions()
    sessions.touch("g", "song", BPS, 0.0)
    sessions.settle(SESSION_S)
    assert sessions.past.counts(SESSION_S)["song"].sure == BPS


def test_with_no_room_left_a_listener_is_not_counted_and_that_is_told() -> None:
    sessions = Sessions(sessions_max=1)
    sessions.begin("a", "song", BPS, 0.0)
    sessions.begin("b", "song", BPS, 0.0)
    assert (len(sessions), sessions.committed_bps, sessions.uncounted) == (1, BPS, 1)
    sessions.end("b", 1.0)
    sessions.end("a", 1.0)
    sessions.begin("b", "song", BPS, 1.0 + SESSION_S)
    assert (len(sessions), sessions.uncounted) == (1, 1)


def test_each_change_is_told_once() -> None:
    told: list[tuple[str, tuple[str, int] | None]] = []
    sessions = Sessions()
    sessions.on_change = lambda grant_id, plays: told.append((grant_id, plays))
    sessions.begin("g", "low", BPS, 0.0)
    sessions.touch("g", "low", BPS, 1.0)
    sessions.touch("g", "high", 2 * BPS, 2.0)
    sessions.end("g", 3.0)
    sessions.settle(3.0 + SESSION_S)
    assert told == [("g", ("low", BPS)), ("g", ("high", 2 * BPS)), ("g", None)]


def test_a_process_that_is_gone_takes_its_sessions_along_but_for_those_that_others_have() -> None:
    sessions = Sessions()
    for _ in range(2):
        sessions.begin("g", "song", BPS, 0.0)
    sessions.leave("g", 60.0)
    assert len(sessions) == 1
    sessions.leave("g", 60.0)
    assert len(sessions) == 0


class SessionsOfTime(RuleBasedStateMachine):
    """Any order of requests, streams and time; one model entry for each grant: (rendition, open streams, lasts until)."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = Sessions()
        self.now = 0.0
        self.model: dict[str, tuple[str, int, float]] = {}

    grants = st.sampled_from("abc")
    songs = st.sampled_from("xyz")

    @rule(grant=grants, song=songs)
    def request(self, grant: str, song: str) -> None:
        self.sessions.touch(grant, song, BPS, self.now)
        self.model[grant] = song, self.model.get(grant, (song, 0, 0.0))[1], self.now + SESSION_S

    @rule(grant=grants, song=songs)
    def stream_begins(self, grant: str, song: str) -> None:
        self.sessions.begin(grant, song, BPS, self.now)
        self.model[grant] = song, self.model.get(grant, (song, 0, 0.0))[1] + 1, self.now + SESSION_S

    @rule(grant=grants)
    def stream_ends(self, grant: str) -> None:
        song, streams, _ = self.model.get(grant, ("", 0, 0.0))
        if streams:
            self.sessions.end(grant, self.now)
            self.model[grant] = song, streams - 1, self.now + SESSION_S

    @rule(seconds=st.sampled_from([0.5, 7.0, SESSION_S, 100.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.sessions.settle(self.now)
        self.model = {grant: one for grant, one in self.model.items() if one[1] or one[2] > self.now}

    @invariant()
    def counts_are_those_of_the_model(self) -> None:
        live: dict[str, int] = {}
        for song, _, _ in self.model.values():
            live[song] = live.get(song, 0) + BPS
        assert self.sessions.live == live
        assert self.sessions.committed_bps == sum(live.values())
        assert len(self.sessions) == len(self.model)


TestSessionsOfTime = SessionsOfTime.TestCase
TestSessionsOfTime.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
