"""The line to one balancer: hello and load reports up, the mesh view and commands down. Reconnects for as long as it runs.

Playback needs none of this: with every balancer gone the edge serves, with its last view of the mesh.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from edge_node.commands import Commands
from edge_node.load import LoadReports, SeenGrants
from edge_node.node import Node
from edge_node.sources import Peer
from edge_node.tokens import TokenMinter
from edge_node.views import View, Views
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.balancer.v1 import balancer_service_pb2_grpc as stubs
from reprise.log import get_logger

log = get_logger()
REPORT_S = 1.0
# How soon after a report the next one may come when it is urgent.
LOOK_S = 0.2
_RETRY_S = 0.5
_RESULTS_MAX = 1000


class BalancerLine:
    """Reports of one edge to one balancer."""

    def __init__(
        self,
        address: str,
        hello: Callable[[], messages.Hello],
        node: Node,
        tokens: TokenMinter,
        reports: LoadReports,
        seen: SeenGrants,
        commands: Commands,
        refresh: Callable[[], Awaitable[None]],
        views: Views,
    ) -> None:
        """`refresh` is awaited before each report: it brings the figures of the edge's other processes up to date.

        `views` are those of all lines of this edge.
        """
        self.connected = False
        self._address = address
        self._hello = hello
        self._node = node
        self._tokens = tokens
        self._reports = reports
        self._seen = seen
        self._commands = commands
        self._refresh = refresh
        self._views = views
        self._results: asyncio.Queue[messages.CommandResult] = asyncio.Queue(_RESULTS_MAX)
        seen.add_balancer(address)

    async def run(self) -> None:
        """Until cancelled."""
        channel = rpc.channel(self._address)
        try:
            while True:
                try:
                    await self._converse(stubs.BalancerServiceStub(channel))
                except grpc.aio.AioRpcError as failure:
                    if self.connected:
                        log.warning("balancer_lost", balancer=self._address, reason=failure.details())
                if self.connected:
                    self._node.view = self._views.lost(self._address)
                self.connected = False
                # Jitter: after a balancer's restart all edges come back, but not at one moment.
                await asyncio.sleep(_RETRY_S * random.uniform(0.5, 1.5))  # noqa: S311
        finally:
            await channel.close()

    async def _converse(self, stub: Any) -> None:
        """One stream, until it breaks. Raises AioRpcError."""
        call = stub.ReportLoad(metadata=rpc.bearer_metadata(self._tokens.token("balancer", "report")))
        upward = asyncio.create_task(self._send(call), name=f"report.{self._address}")
        try:
            async for answer in call:
                self._take(answer)
        finally:
            upward.cancel()
            call.cancel()
            await asyncio.wait([upward])

    async def _send(self, call: Any) -> None:
        """Hello, then a report a second, sooner with urgent news, and results of commands as they come.

        A stream that broke ends it quietly: whoever reads the same stream says why.
        """
        try:
            await call.write(messages.ReportLoadRequest(hello=self._hello()))
            while True:
                await self._refresh()
                report = self._reports.next(self._seen.take(self._address))
                await call.write(messages.ReportLoadRequest(report=report))
                result = await self._pause()
                while result is not None:
                    await call.write(messages.ReportLoadRequest(result=result))
                    result = None if self._results.empty() else self._results.get_nowait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            call.cancel()

    async def _pause(self) -> messages.CommandResult | None:
        """Waits for the next report's turn; ends early for a command's result, the start of a drain, or urgent news."""
        waits = [asyncio.create_task(self._results.get())]
        if not self._node.draining.is_set():
            waits.append(asyncio.create_task(self._node.draining.wait()))  # type: ignore[arg-type]
        try:
            now = time.monotonic()
            turn = now + REPORT_S * random.uniform(0.8, 1.2)  # noqa: S311
            done: set[asyncio.Task[messages.CommandResult]] = set()
            while now < turn and not done:
                done, _ = await asyncio.wait(
                    waits, timeout=min(LOOK_S, turn - now), return_when=asyncio.FIRST_COMPLETED
                )
                if self._reports.urgent():
                    break
                now = time.monotonic()
            return waits[0].result() if waits[0].done() else None
        finally:
            for wait in waits:
                wait.cancel()

    def _take(self, answer: messages.ReportLoadResponse) -> None:
        if answer.HasField("view"):
            if not self.connected:
                log.info("balancer_connected", balancer=self._address, peers=len(answer.view.peers))
            self.connected = True
            self._node.view = self._views.said(self._address, view_of(answer.view, self._hello()))
        elif answer.HasField("command"):
            self._node.start_task(self._obey(answer.command), f"command.{answer.command.command_id}")

    async def _obey(self, command: messages.Command) -> None:
        await self._results.put(await self._commands.run(command))


def view_of(view: messages.MeshView, hello: messages.Hello) -> View:
    """Only edges of our region: a fill never crosses a region but by the origin."""
    peers = [
        Peer(peer.edge_id, peer.grpc_address, peer.relay_grant, peer.draining, peer.nic_capacity_bps)
        for peer in view.peers
        if peer.region == hello.region and peer.edge_id != hello.edge_id
    ]
    return View(view.epoch, tuple(peers))
