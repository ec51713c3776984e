"""What a listener tells of its plays, and that it never costs the listener anything."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1 import balancer_service_pb2_grpc as stubs
from reprise.cli.balancers import Balancers
from reprise.cli.failover import Attempt, Candidate
from reprise.cli.http_fetch import NotReached
from reprise.cli.mesh_file import Place
from reprise.cli.play_reports import REPORTS_MAX, PlayReports, outcome
from reprise.engines.ports import LOOPBACK, free_ports
from reprise.errors import DataCorrupt, Forbidden, InvalidRequest, NotFound, QuotaExceeded, RepriseError, Unavailable


@pytest.mark.parametrize(
    ("delivered", "error", "told"),
    [
        (100, None, pb.PLAY_OUTCOME_STARTED),
        (0, NotReached("refused"), pb.PLAY_OUTCOME_CONNECT_FAILED),
        (0, Unavailable("no source"), pb.PLAY_OUTCOME_NO_FIRST_BYTE),
        (0, TimeoutError(), pb.PLAY_OUTCOME_NO_FIRST_BYTE),
        (100, TimeoutError(), pb.PLAY_OUTCOME_BROKEN),
        (100, Unavailable("broke off"), pb.PLAY_OUTCOME_BROKEN),
        (100, DataCorrupt("too many bytes"), pb.PLAY_OUTCOME_BROKEN),
        (0, QuotaExceeded("full"), pb.PLAY_OUTCOME_REFUSED),
        (0, NotFound("no such song"), pb.PLAY_OUTCOME_UNSPECIFIED),
        (0, Forbidden("of another song"), pb.PLAY_OUTCOME_UNSPECIFIED),
    ],
)
def test_an_edge_is_blamed_for_what_it_did(delivered: int, error: Exception | None, told: int) -> None:
    assert outcome(delivered, error) == told


class Listening(stubs.BalancerServiceServicer):
    """Takes reports, or never answers, or refuses them."""

    def __init__(self) -> None:
        self.plays: list[pb.PlayReport] = []
        self.silent = False
        self.error: RepriseError | None = None

    async def ReportPlays(self, request: pb.ReportPlaysRequest, context: Any) -> pb.ReportPlaysResponse:
        if self.silent:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        self.plays += request.plays
        return pb.ReportPlaysResponse(taken=len(request.plays))


async def nobody() -> tuple[tuple[str, str], ...]:
    """Metadata of who is not logged in."""
    return ()


@asynccontextmanager
async def reporting(*balancers: Listening) -> AsyncIterator[PlayReports]:
    """Reports to these balancers, after one that is gone."""
    places = [Place("gone", f"{LOOPBACK}:{free_ports(1)[0]}", "", 0)]
    async with AsyncExitStack() as stack:
        for balancer in balancers:
            server = rpc.server(rpc.RpcMetrics("balancer", CollectorRegistry()))
            stubs.add_BalancerServiceServicer_to_server(balancer, server)
            port = server.add_insecure_port(f"{LOOPBACK}:0")
            await server.start()
            stack.push_async_callback(server.stop, None)
            places.append(Place("balancer", f"{LOOPBACK}:{port}", "", 0))
        asked = await stack.enter_async_context(Balancers(places))
        asked._order = places
        yield PlayReports(asked, nobody)


def attempt(grant: str) -> Attempt:
    return Attempt(Candidate("e1", "", "", "", grant), 0)


async def test_each_attempt_is_told_once_to_a_balancer_that_answers() -> None:
    balancer = Listening()
    async with reporting(balancer) as reports:
        reports.add(attempt("first"), 0, 0.0, Unavailable("gone"))
        reports.add(attempt("wrong"), 0, 0.0, InvalidRequest("of the listener"))
        reports.add(attempt("second"), 100, 0.0321, None)
        await reports.send()
        await reports.send()
    assert balancer.plays == [
        pb.PlayReport(grant="first", outcome=pb.PLAY_OUTCOME_NO_FIRST_BYTE),
        pb.PlayReport(grant="second", outcome=pb.PLAY_OUTCOME_STARTED, first_byte_ms=32),
    ]


async def test_a_play_with_endless_failures_is_told_by_its_last_ones() -> None:
    balancer = Listening()
    async with reporting(balancer) as reports:
        for number in range(REPORTS_MAX + 10):
            reports.add(attempt(f"g{number}"), 0, 0.0, Unavailable("gone"))
        await reports.send()
    assert [play.grant for play in balancer.plays] == [f"g{number}" for number in range(10, REPORTS_MAX + 10)]


@pytest.mark.parametrize("kind", ["gone", "silent", "refusing"])
async def test_no_balancer_and_no_refusal_disturbs_the_listener(kind: str) -> None:
    silent, refusing = Listening(), Listening()
    silent.silent, refusing.error = True, QuotaExceeded("too many", retry_after_s=60)
    balancers = {"gone": (), "silent": (silent, silent, silent), "refusing": (refusing,)}[kind]
    async with reporting(*balancers) as reports:
        reports.add(attempt("first"), 100, 0.1, None)
        started = time.monotonic()
        await reports.send()
        assert time.monotonic() - started < 5
