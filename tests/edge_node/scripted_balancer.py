"""A balancer that takes reports and gives the commands that a test wants; it routes nobody."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.balancer.v1.balancer_service_pb2_grpc import (
    BalancerServiceServicer,
    add_BalancerServiceServicer_to_server,
)


class ScriptedBalancer(BalancerServiceServicer):
    """For one edge."""

    def __init__(self) -> None:
        self.address = ""
        self.hello = messages.Hello()
        self.reports: list[messages.LoadReport] = []
        self._commands: asyncio.Queue[messages.Command] = asyncio.Queue()
        self._results: dict[str, asyncio.Future[messages.CommandResult]] = {}

    async def command(self, **action: Any) -> messages.CommandResult:
        """Gives a command to the edge; returns its answer."""
        command = messages.Command(command_id=f"c{len(self._results)}", **action)
        future = self._results[command.command_id] = asyncio.get_running_loop().create_future()
        self._commands.put_nowait(command)
        return await future

    async def report(self) -> messages.LoadReport:
        """The next one that begins after this call."""
        known = len(self.reports)
        async with asyncio.timeout(10):
            while len(self.reports) < known + 2:
                await asyncio.sleep(0.02)
        return self.reports[-1]

    async def ReportLoad(
        self, requests: AsyncIterator[messages.ReportLoadRequest], context: Any
    ) -> AsyncIterator[messages.ReportLoadResponse]:
        taking = asyncio.create_task(self._take(requests))
        try:
            yield messages.ReportLoadResponse(view=messages.MeshView(epoch=1))
            while True:
                yield messages.ReportLoadResponse(command=await self._commands.get())
        finally:
            taking.cancel()

    async def _take(self, requests: AsyncIterator[messages.ReportLoadRequest]) -> None:
        async for request in requests:
            if request.HasField("hello"):
                self.hello = request.hello
            elif request.HasField("report"):
                self.reports.append(request.report)
            else:
                with suppress(asyncio.InvalidStateError):
                    self._results[request.result.command_id].set_result(request.result)


@asynccontextmanager
async def scripted_balancer() -> AsyncIterator[ScriptedBalancer]:
    servicer = ScriptedBalancer()
    server = rpc.server(rpc.RpcMetrics("balancer", CollectorRegistry()))
    add_BalancerServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield servicer
    finally:
        await server.stop(None)
