"""A balancer as it is started, with a fake catalog and as many fake edges as a test wants."""

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from balancer.__main__ import build
from balancer.settings import Settings
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceStub, BalancerServiceStub
from reprise.service import App, Listening, end, listening
from tests.balancer.fakes import FakeCatalog, FakeEdge, service_token
from tests.balancer.values import MESH_KEY, SONG


class Reply:
    """A whole HTTP response; header names in lower case."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()


class Stage:
    """Ports of a running balancer, and stubs to call it."""

    def __init__(self, app: App, ports: Listening, catalog: FakeCatalog, channel: grpc.aio.Channel) -> None:
        self.app = app
        self.catalog = catalog
        self.address = f"127.0.0.1:{ports.grpc_port}"
        self._http = ("127.0.0.1", ports.http_port)
        self.balancer: Any = BalancerServiceStub(channel)
        self.admin: Any = BalancerAdminServiceStub(channel)
        self.edges: dict[str, FakeEdge] = {}

    async def add_edges(self, **regions: str) -> list[FakeEdge]:
        """Edges by id and region, all ready."""
        added = [await FakeEdge(self.address, edge_id, region).start() for edge_id, region in regions.items()]
        self.edges |= {edge.edge_id: edge for edge in added}
        for edge in added:
            await self.wait_state(edge.edge_id, pb.EDGE_STATE_READY)
        return added

    async def route(self, *song_ids: str, **wishes: Any) -> pb.RouteResponse:
        request = pb.RouteRequest(song_ids=song_ids or [SONG], region=wishes.pop("region", "a"), **wishes)
        response: pb.RouteResponse = await self.balancer.Route(request, timeout=10)
        return response

    async def routed_edges(self, **wishes: Any) -> list[str]:
        """The candidates for SONG; empty when there is none."""
        try:
            response = await self.route(**wishes)
        except grpc.aio.AioRpcError:
            return []
        return [candidate.edge_id for candidate in response.routes[0].candidates]

    async def mesh(self) -> dict[str, pb.EdgeStatus]:
        response = await self.admin.GetMesh(pb.GetMeshRequest(), metadata=operator())
        return {status.hello.edge_id: status for status in response.edges}

    async def wait_state(self, edge_id: str, state: pb.EdgeState.ValueType) -> None:
        async def reached() -> bool:
            status = (await self.mesh()).get(edge_id)
            return status is not None and status.state == state

        await eventually(reached, f"{edge_id} is {pb.EdgeState.Name(state)}")

    async def command(self, edge_ids: Sequence[str] = (), **action: Any) -> list[pb.SendCommandResponse.Answer]:
        request = pb.SendCommandRequest(edge_ids=edge_ids, **action)
        return list((await self.admin.SendCommand(request, metadata=operator(), timeout=40)).answers)

    async def fetch(
        self, path: str, method: str = "GET", body: bytes = b"", content_type: str = "", **more_headers: str
    ) -> Reply:
        """What the HTTP port answers."""
        headers = {name.replace("_", "-"): value for name, value in more_headers.items()}
        if content_type:
            headers["content-type"] = content_type

        def talk() -> Reply:
            connection = http.client.HTTPConnection(*self._http, timeout=10)
            try:
                connection.request(method, path, body or None, headers)
                return Reply(connection.getresponse())
            finally:
                connection.close()

        return await asyncio.to_thread(talk)

    def metric(self, name: str, **labels: str) -> float:
        return self.app.registry.get_sample_value(f"reprise_balancer_{name}", labels) or 0.0


async def eventually(holds: Callable[[], Awaitable[bool]], what: str, deadline_s: float = 15.0) -> None:
    """Returns when `holds` does; fails with `what` at the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        if await holds():
            return
        assert time.monotonic() < end, f"not within {deadline_s} s: {what}"
        await asyncio.sleep(0.02)


def operator() -> tuple[tuple[str, str], ...]:
    return rpc.bearer_metadata(service_token("operator", "mesh", "operator"))


def settings(folder: Path, catalog_address: str, valkey_url: str = "") -> Settings:
    key_path = folder / "mesh.key"
    key_path.write_text(MESH_KEY.hex() + "\n")
    return Settings(
        balancer_id="b1",
        catalog_address=catalog_address,
        mesh_key_path=key_path,
        default_region="a",
        valkey_url=valkey_url,
        calendar_poll_s=0.1,
    )


@asynccontextmanager
async def staged(folder: Path, *, valkey_url: str = "", **changes: Any) -> AsyncIterator[Stage]:
    """A balancer that runs until the context ends, with changed settings; its edges end with it."""
    catalog = FakeCatalog()
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(catalog.listening())
        app = await stack.enter_async_context(build(replace(settings(folder, address, valkey_url), **changes)))
        ports = await stack.enter_async_context(listening(app))
        work = [asyncio.create_task(run()) for run in app.background]
        channel = await stack.enter_async_context(rpc.channel(f"127.0.0.1:{ports.grpc_port}"))
        stage = Stage(app, ports, catalog, channel)
        try:
            yield stage
        finally:
            await asyncio.gather(*(edge.kill() for edge in stage.edges.values()))
            await end(work)
