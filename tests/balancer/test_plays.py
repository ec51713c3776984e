"""Listeners' reports: who may speak of which edge, how often, and what comes of it."""

import time
from dataclasses import dataclass, field

import grpc
import pytest
from prometheus_client import CollectorRegistry

from balancer.membership import State
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.plays import ENTRIES_MAX, SESSION_ENTRIES_MAX, SESSION_WINDOW_S, Outcome, PlayReport, Plays, Taken
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.errors import InvalidRequest, QuotaExceeded
from reprise.grants import CLOCK_LEEWAY_S, Claims, derive_key, mint
from tests.balancer.stage import Stage, eventually
from tests.balancer.values import MESH_KEY, OPUS, SONG, identity, load

UNIX_S = 1_700_000_000
FAILED = Outcome.NO_FIRST_BYTE


class NoChance:
    """Chance has no part in these tests."""

    def random(self) -> float:
        return 0.0


@dataclass
class Hearing:
    """A mesh of three edges that takes reports; time stands still unless a test moves it."""

    now: float = 100.0
    learned: list[tuple[str, str, float, float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.metrics = BalancerMetrics(CollectorRegistry())
        self.mesh = Mesh(1, self.now, NoChance())
        for edge_id in ("e1", "e2", "e3"):
            self.mesh.report(edge_id, self.mesh.hello(identity(edge_id), self.now), load(), self.now)
        self.plays = Plays(
            self.mesh,
            lambda kid: derive_key(MESH_KEY, kid),
            self.metrics,
            lambda: self.now,
            lambda: UNIX_S,
            lambda *call: self.learned.append(call),
        )

    def take(self, *reports: PlayReport) -> Taken:
        return self.plays.take(reports, "192.0.2.7")

    def dropped(self, cause: str) -> float:
        return self.metrics.registry.get_sample_value("reprise_balancer_plays_dropped_total", {"cause": cause}) or 0.0

    def pending_bps(self, edge_id: str) -> float:
        return self.mesh.ledger.of(edge_id).bps

    def ejected(self) -> list[str]:
        self.now += 1
        self.mesh.tick(self.now)
        return [view.identity.edge_id for view in self.mesh.views(self.now) if view.ejected_s]


def grant(edge_id: str, session_id: str, grant_id: str, *, signer: str = "", **changes: object) -> str:
    claims = Claims(
        **{  # type: ignore[arg-type]
            "scope": "listen",
            "issuer": "b1",
            "audience": edge_id,
            "subject": session_id,
            "grant_id": grant_id,
            "expires_unix_s": UNIX_S + 600,
            "song_id": SONG,
            "rendition_ids": (OPUS.rendition_id,),
            "bitrate_bps": OPUS.bitrate_bps,
            **changes,
        }
    )
    return mint(claims, signer or edge_id, derive_key(MESH_KEY, signer or edge_id))


def reports(edge_id: str, sessions: int, outcome: Outcome = FAILED) -> list[PlayReport]:
    return [PlayReport(grant(edge_id, f"s{number}", f"{edge_id}-{number}"), outcome) for number in range(sessions)]


def test_five_sessions_that_fail_take_an_edge_out_of_routing_and_no_report_of_the_edge_brings_it_back() -> None:
    hearing = Hearing()
    assert hearing.take(*reports("e1", 4)) == Taken(4, 0)
    assert hearing.ejected() == []
    hearing.take(*reports("e1", 5))
    assert hearing.ejected() == ["e1"]
    assert hearing.mesh.vouched_count == 2
    stream = hearing.mesh.hello(identity("e1", boot_id="reboot"), hearing.now)
    hearing.mesh.report("e1", stream, load(), hearing.now)
    assert hearing.mesh.edge("e1").state is State.READY
    assert hearing.mesh.vouched_count == 2
    assert hearing.ejected() == ["e1"]


def test_one_session_ejects_nobody_with_any_number_of_grants() -> None:
    hearing = Hearing()
    for number in range(SESSION_ENTRIES_MAX):
        hearing.take(PlayReport(grant("e1", "s1", f"g{number}"), FAILED))
    assert hearing.ejected() == []


def test_a_full_edge_is_no_failing_edge() -> None:
    hearing = Hearing()
    assert hearing.take(*reports("e1", 20, Outcome.REFUSED)) == Taken(20, 0)
    assert hearing.ejected() == []


def test_a_failed_play_counts_as_load_until_its_time_is_over_though_the_edge_reported_it() -> None:
    hearing = Hearing()
    hearing.mesh.assign("e1", OPUS.rendition_id, "e1-0", OPUS.bitrate_bps, hearing.now)
    promised = hearing.pending_bps("e1")
    stream = hearing.mesh.edge("e1").stream
    hearing.mesh.report("e1", stream, load(seen_grant_ids=("e1-0",)), hearing.now)
    assert hearing.pending_bps("e1") == 0
    hearing.take(*reports("e1", 1))
    assert hearing.pending_bps("e1") == promised > 0
    hearing.mesh.report("e1", stream, load(seen_grant_ids=("e1-0",)), hearing.now)
    assert hearing.pending_bps("e1") == promised
    hearing.now += 60
    hearing.mesh.tick(hearing.now)
    assert hearing.pending_bps("e1") == 0
    assert hearing.mesh.ledger.shown == 1.0


def test_a_grant_speaks_once_of_a_success_and_once_of_a_failure() -> None:
    hearing = Hearing()
    one = grant("e1", "s1", "g1")
    started, broken = PlayReport(one, Outcome.STARTED), PlayReport(one, Outcome.BROKEN)
    assert hearing.take(started, started, broken, broken, PlayReport(one, Outcome.CONNECT_FAILED)) == Taken(2, 3)
    assert hearing.dropped("repeated") == 3


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "garbage",
        grant("e1", "s1", "g1", signer="e2"),
        grant("e9", "s1", "g1"),
        grant("e1", "s1", "g1", expires_unix_s=UNIX_S - CLOCK_LEEWAY_S),
        grant("e1", "s1", "g1", scope="relay"),
    ],
    ids=["none", "malformed", "signed by another edge", "of an unknown edge", "long expired", "no listener's"],
)
def test_only_who_was_given_an_edge_may_speak_of_it(bad: str) -> None:
    hearing = Hearing()
    assert hearing.take(PlayReport(bad, FAILED), PlayReport(grant("e1", "s1", "g2"), FAILED)) == Taken(1, 1)
    assert hearing.dropped("grant") == 1


def test_a_grant_that_has_just_expired_still_speaks() -> None:
    late = grant("e1", "s1", "g1", expires_unix_s=UNIX_S - CLOCK_LEEWAY_S + 1)
    assert Hearing().take(PlayReport(late, Outcome.BROKEN)) == Taken(1, 0)


def test_a_session_that_reports_too_much_is_told_so_until_its_minute_is_over() -> None:
    hearing = Hearing()
    for number in range(SESSION_ENTRIES_MAX):
        hearing.take(PlayReport(grant("e1", "s1", f"g{number}"), Outcome.STARTED))
    with pytest.raises(QuotaExceeded, match="60 plays in 60 s"):
        hearing.take(PlayReport(grant("e1", "s1", "more"), Outcome.STARTED))
    other = PlayReport(grant("e1", "s2", "other"), Outcome.STARTED)
    assert hearing.take(PlayReport(grant("e1", "s1", "more"), Outcome.STARTED), other) == Taken(1, 1)
    hearing.now += SESSION_WINDOW_S
    assert hearing.take(PlayReport(grant("e1", "s1", "more"), Outcome.STARTED)) == Taken(1, 0)


def test_round_trips_teach_where_the_listener_is() -> None:
    hearing = Hearing()
    hearing.take(PlayReport(grant("e1", "s1", "g1"), Outcome.STARTED, rtt_ms=31), *reports("e2", 1))
    assert hearing.learned == [("192.0.2.7", "a", 31, 100.0)]


@pytest.mark.parametrize("count", [0, ENTRIES_MAX + 1])
def test_none_and_too_many_are_refused(count: int) -> None:
    with pytest.raises(InvalidRequest, match="1 to 50 plays"):
        Hearing().take(*reports("e1", count))


async def test_listeners_who_hear_nothing_from_an_edge_keep_others_from_it(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a", e3="a")
    (home,) = {(await stage.routed_edges())[0] for _ in range(3)}
    for _ in range(5):
        candidates = (await stage.route()).routes[0].candidates
        entry = pb.PlayReport(
            grant=next(c.grant for c in candidates if c.edge_id == home), outcome=pb.PLAY_OUTCOME_NO_FIRST_BYTE
        )
        answer = await stage.balancer.ReportPlays(pb.ReportPlaysRequest(plays=[entry, pb.PlayReport(outcome=1)]))
        assert (answer.taken, answer.dropped) == (1, 1)

    async def is_out() -> bool:
        return home not in await stage.routed_edges()

    await eventually(is_out, f"{home} is out of routing")
    assert stage.metric("edges_ejected") == 1
    assert stage.metric("plays_total", outcome="no_first_byte") == 5
    until_unix_ms = (await stage.mesh())[home].ejected_until_unix_ms
    assert time.time() * 1000 < until_unix_ms < time.time() * 1000 + 31_000


async def test_an_entry_without_an_outcome_is_refused_by_name(stage: Stage) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refusal:
        await stage.balancer.ReportPlays(pb.ReportPlaysRequest(plays=[pb.PlayReport(grant="g")]))
    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "PLAY_OUTCOME_STARTED" in (refusal.value.details() or "")
