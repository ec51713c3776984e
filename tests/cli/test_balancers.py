"""Any balancer will do: a dead, a silent and a failing one cost at most a second, once; what one says of a song is final."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1 import balancer_service_pb2_grpc as stubs
from reprise.cli.balancers import Balancers
from reprise.cli.mesh_file import Place
from reprise.cli.routes import AHEAD, Routes
from reprise.engines.ports import LOOPBACK
from reprise.errors import NotFound, QuotaExceeded, RepriseError, Unavailable

NOW_MS = 1_000_000.0
SONGS = [f"song-{n}" for n in range(5)]


class Balancer(stubs.BalancerServiceServicer):
    """Routes every song to one edge named after itself, unless told to fail or to be silent."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.asked: list[list[str]] = []
        self.error: RepriseError | None = None
        self.silent = False
        self.expires_ms = NOW_MS + 600_000

    async def Route(self, request: pb.RouteRequest, context: Any) -> pb.RouteResponse:
        self.asked.append(list(request.song_ids))
        if self.silent:
            await asyncio.Event().wait()
        if self.error:
            raise self.error
        candidate = pb.Candidate(edge_id=self.name, expires_unix_ms=int(self.expires_ms))
        routes = [pb.SongRoute(song_id=song_id, candidates=[candidate]) for song_id in request.song_ids]
        return pb.RouteResponse(routes=routes, session_id=request.session_id or f"session of {self.name}")


async def nobody() -> tuple[tuple[str, str], ...]:
    """Metadata of who is not logged in."""
    return ()


@asynccontextmanager
async def listening(balancer: Balancer) -> AsyncIterator[Place]:
    server = rpc.server(rpc.RpcMetrics("balancer", CollectorRegistry()))
    stubs.add_BalancerServiceServicer_to_server(balancer, server)
    port = server.add_insecure_port(f"{LOOPBACK}:0")
    await server.start()
    try:
        yield Place(balancer.name, f"{LOOPBACK}:{port}", "", 0)
    finally:
        await server.stop(None)


@asynccontextmanager
async def mesh_of(*balancers: Balancer) -> AsyncIterator[Balancers]:
    """Asked in the given order at first."""
    async with AsyncExitStack() as stack:
        places = [await stack.enter_async_context(listening(balancer)) for balancer in balancers]
        asked = await stack.enter_async_context(Balancers(places))
        asked._order = places
        yield asked


async def ask(balancers: Balancers, patience_s: float = 0.3) -> str:
    """Which balancer answered."""
    answer = await balancers.ask(
        lambda channel, timeout_s: stubs.BalancerServiceStub(channel).Route(
            pb.RouteRequest(song_ids=["song"]), timeout=timeout_s
        ),
        5,
        patience_s,
    )
    edge_id: str = answer.routes[0].candidates[0].edge_id
    return edge_id


def silent(balancer: Balancer) -> None:
    balancer.silent = True


def unavailable(balancer: Balancer) -> None:
    balancer.error = Unavailable("no edge is alive")


@pytest.mark.parametrize("broken", [silent, unavailable])
async def test_a_balancer_that_cannot_answer_is_passed_over_and_then_asked_last(
    broken: Callable[[Balancer], None],
) -> None:
    first, second = Balancer("first"), Balancer("second")
    async with mesh_of(first, second) as balancers:
        assert await ask(balancers) == "first"
        broken(first)
        assert await ask(balancers) == "second"
        assert await ask(balancers) == "second"
    assert len(first.asked) == 2, "once when it was whole, once in vain"


async def test_a_dead_balancer_costs_nothing() -> None:
    second = Balancer("second")
    async with listening(Balancer("dead")) as dead:
        pass
    async with listening(second) as living, Balancers([dead, living]) as balancers:
        balancers._order = [dead, living]
        started = time.monotonic()
        assert await ask(balancers, patience_s=60) == "second"
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("error", [NotFound("no such song"), QuotaExceeded("all are full")])
async def test_what_a_balancer_says_of_the_call_is_final(error: RepriseError) -> None:
    first, second = Balancer("first"), Balancer("second")
    first.error = error
    async with mesh_of(first, second) as balancers:
        with pytest.raises(type(error), match=error.message):
            await ask(balancers)
    assert second.asked == []


async def test_when_none_answers_the_last_reason_is_said() -> None:
    first, second = Balancer("first"), Balancer("second")
    unavailable(first)
    unavailable(second)
    async with mesh_of(first, second) as balancers:
        with pytest.raises(Unavailable, match=r"second 127\.0\.0\.1:\d+: no edge is alive"):
            await ask(balancers)
    with pytest.raises(Unavailable, match="has no balancer"):
        await ask(Balancers(()))


async def test_the_next_songs_are_routed_ahead_and_begin_without_a_balancer() -> None:
    balancer = Balancer("only")
    async with mesh_of(balancer) as balancers:
        routes = Routes(balancers, nobody, SONGS, lambda: NOW_MS)
        assert (await routes.begin(0)).song_id == SONGS[0]
        assert balancer.asked == [SONGS[: 1 + AHEAD]]
        unavailable(balancer)
        for index in range(1, 1 + AHEAD):
            assert (await routes.begin(index)).song_id == SONGS[index]
        with pytest.raises(Unavailable):
            await routes.begin(1 + AHEAD)
        balancer.error = None
        assert (await routes.begin(1 + AHEAD)).song_id == SONGS[1 + AHEAD]


async def test_a_route_whose_grants_have_expired_is_asked_for_again() -> None:
    balancer = Balancer("only")
    now = [NOW_MS]
    async with mesh_of(balancer) as balancers:
        routes = Routes(balancers, nobody, SONGS[:2], lambda: now[0])
        await routes.begin(0)
        now[0] = balancer.expires_ms
        balancer.expires_ms += 600_000
        assert (await routes.begin(1)).candidates[0].expires_unix_ms == balancer.expires_ms
        assert balancer.asked == [SONGS[:2], SONGS[1:2]]
