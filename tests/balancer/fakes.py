"""A catalog and edges that speak the real protocols on real ports, and do what a test tells them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from prometheus_client import CollectorRegistry

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.catalog.v1.catalog_service_pb2 import (
    GetSongsRequest,
    GetSongsResponse,
    ListUpcomingRequest,
    ListUpcomingResponse,
)
from reprise.grants import OPERATOR, Claims, derive_key, mint, verify
from reprise.types.v1.types_pb2 import Rendition, Song
from tests.balancer.values import AAC, MESH_KEY, OPUS, OTHER_SONG, SONG


def service_token(owner: str, audience: str, scope: str, *, signer: str = "", ttl_s: int = 3600) -> str:
    """A service token of `owner`, signed with its own key unless another signer is named."""
    signer = signer or owner
    claims = Claims(scope, owner, audience, owner, "test", int(time.time()) + ttl_s)
    return mint(claims, signer, derive_key(MESH_KEY, signer))


@dataclass
class FakeCatalog:
    """Knows two songs; `down` fails every question."""

    songs: dict[str, list[Rendition]] = field(default_factory=lambda: {SONG: [OPUS, AAC], OTHER_SONG: [OPUS]})
    # Songs to come with their moments in Unix seconds: releases of one song each, which the fake never lets out by itself.
    upcoming: dict[str, tuple[float, list[Rendition]]] = field(default_factory=dict)
    asked: list[list[str]] = field(default_factory=list)
    # Songs that were merged into others.
    redirected: dict[str, str] = field(default_factory=dict)
    down: bool = False

    async def GetSongs(self, request: GetSongsRequest, context: Any) -> GetSongsResponse:
        self.asked.append(list(request.song_ids))
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the database does not answer")
        found = dict(self.songs)
        if request.upcoming:
            self._check_operator(context)
            found |= {song_id: renditions for song_id, (_, renditions) in self.upcoming.items()}
        redirected = {s: self.redirected[s] for s in request.song_ids if s in self.redirected}
        asked = [redirected.get(s, s) for s in request.song_ids]
        known = [Song(song_id=s, renditions=found[s]) for s in asked if s in found]
        unknown = [s for s in asked if s not in found]
        return GetSongsResponse(songs=known, unknown_song_ids=unknown, redirected_song_ids=redirected)

    async def ListUpcoming(self, request: ListUpcomingRequest, context: Any) -> ListUpcomingResponse:
        """A page for each song."""
        self._check_operator(context)
        if self.down:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "the database does not answer")
        rows = sorted(self.upcoming.items(), key=lambda row: row[1][0])
        due = [row for row in rows if time.time() < row[1][0] <= request.until_unix_ms / 1000]
        at = int(request.cursor or 0)
        page = [
            ListUpcomingResponse.Upcoming(
                release_id=f"release of {song_id}",
                title="Soon",
                at_unix_ms=int(moment * 1000),
                songs=[Song(song_id=song_id, renditions=renditions)],
            )
            for song_id, (moment, renditions) in due[at : at + 1]
        ]
        return ListUpcomingResponse(upcoming=page, next_cursor=str(at + 1) if at + 1 < len(due) else "")

    def _check_operator(self, context: Any) -> None:
        verify(rpc.bearer(context), lambda kid: derive_key(MESH_KEY, kid), time.time(), audience="mesh", scope=OPERATOR)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Its address, while it listens."""
        server = rpc.server(rpc.RpcMetrics("catalog", CollectorRegistry()))
        handlers = {
            "GetSongs": grpc.unary_unary_rpc_method_handler(
                self.GetSongs, GetSongsRequest.FromString, GetSongsResponse.SerializeToString
            )
        }
        catalog = grpc.method_handlers_generic_handler("reprise.catalog.v1.CatalogService", handlers)
        list_upcoming = grpc.unary_unary_rpc_method_handler(
            self.ListUpcoming, ListUpcomingRequest.FromString, ListUpcomingResponse.SerializeToString
        )
        admin = grpc.method_handlers_generic_handler(
            "reprise.catalog.v1.CatalogAdminService", {"ListUpcoming": list_upcoming}
        )
        server.add_generic_rpc_handlers((catalog, admin))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            await server.stop(None)


class FakeEdge:
    """An edge as a balancer sees it: a health service, and a report stream that carries what the test reports."""

    def __init__(self, balancer_address: str, edge_id: str, region: str = "a") -> None:
        self.edge_id = edge_id
        self.region = region
        self.views: list[pb.MeshView] = []
        self.commands: list[pb.Command] = []
        self.error: grpc.aio.AioRpcError | None = None
        self._balancer = balancer_address
        self._boots = 0
        self._sequence = 0
        self._outgoing: asyncio.Queue[pb.ReportLoadRequest] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []
        self._channel: grpc.aio.Channel | None = None
        self._server: grpc.aio.Server | None = None
        self.grpc_address = ""

    async def start(self, *, reporting: bool = True, grpc_address: str = "") -> Self:
        """Boots: says hello and, unless told otherwise, reports once and then every second."""
        self._boots += 1
        self._outgoing = asyncio.Queue()
        self.views, self.commands, self.error = [], [], None
        self.grpc_address = grpc_address or await self._serve_health()
        self._channel = rpc.channel(self._balancer)
        self._tasks = [asyncio.create_task(self._converse(service_token(self.edge_id, "balancer", "report")))]
        self.put(hello=self.hello())
        if reporting:
            self._tasks.append(asyncio.create_task(self._report_every_second()))
        return self

    def hello(self, **changes: object) -> pb.Hello:
        values: dict[str, Any] = {
            "edge_id": self.edge_id,
            "region": self.region,
            "grpc_address": self.grpc_address,
            "http_url": "http://127.0.0.1:8001",
            "boot_id": f"boot-{self._boots}",
            "nic_capacity_bps": 1_000_000_000,
            "stream_limit": 100,
        }
        return pb.Hello(**{**values, **changes})

    def put(self, **message: Any) -> None:
        self._outgoing.put_nowait(pb.ReportLoadRequest(**message))

    def report(self, **figures: Any) -> None:
        self._sequence += 1
        self.put(report=pb.LoadReport(sequence=self._sequence, **figures))

    def answer(self, command: pb.Command, *, ok: bool = True, detail: str = "") -> None:
        self.put(result=pb.CommandResult(command_id=command.command_id, ok=ok, detail=detail))

    async def kill(self) -> None:
        """Everything ends at once, without a goodbye."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        if self._channel is not None:
            await self._channel.close()
        if self._server is not None:
            await self._server.stop(None)
        self._channel = self._server = None

    def fall_silent(self) -> None:
        """Stops reporting; the stream stays open."""
        for task in self._tasks[1:]:
            task.cancel()

    def peers(self) -> dict[str, pb.Peer]:
        """The last view, by edge."""
        return {peer.edge_id: peer for peer in self.views[-1].peers} if self.views else {}

    async def _converse(self, token: str) -> None:
        assert self._channel is not None
        call = BalancerServiceStub(self._channel).ReportLoad(self._upward(), metadata=rpc.bearer_metadata(token))
        try:
            async for message in call:
                if message.HasField("view"):
                    self.views.append(message.view)
                else:
                    self.commands.append(message.command)
        except grpc.aio.AioRpcError as error:
            self.error = error
        finally:
            call.cancel()

    async def _upward(self) -> AsyncIterator[pb.ReportLoadRequest]:
        while True:
            yield await self._outgoing.get()

    async def _report_every_second(self) -> None:
        while True:
            self.report()
            await asyncio.sleep(1)

    async def _serve_health(self) -> str:
        self._server = rpc.server(rpc.RpcMetrics("edge", CollectorRegistry()))
        health = HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(health, self._server)
        port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        await health.set("", health_pb2.HealthCheckResponse.SERVING)
        return f"127.0.0.1:{port}"


@asynccontextmanager
async def black_hole() -> AsyncIterator[str]:
    """An address that takes connections and never says a word, like a stopped process."""
    ended = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"{host}:{port}"
    finally:
        ended.set()
        server.close()
