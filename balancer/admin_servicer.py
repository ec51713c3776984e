"""The operators' RPCs: check the token, parse, one call, build the answer."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from balancer import operator_wire as wire
from balancer.callers import Callers
from balancer.commands import Action, Drain, Prewarm, Purge
from balancer.operations import Operations
from balancer.preheat_orders import PreheatOrders
from balancer.watching import Snapshot
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceServicer
from reprise.errors import InvalidRequest

INTERVAL_MS = 1_000


class BalancerAdminServicer(BalancerAdminServiceServicer):
    def __init__(self, operations: Operations, preheats: PreheatOrders, callers: Callers) -> None:
        self._operations = operations
        self._preheats = preheats
        self._callers = callers
        self._last: tuple[Snapshot | None, pb.GetMeshResponse] = (None, pb.GetMeshResponse())

    async def GetMesh(self, request: pb.GetMeshRequest, context: Any) -> pb.GetMeshResponse:
        self._callers.check_operator(rpc.bearer(context))
        return wire.mesh(self._operations.mesh())

    async def SendCommand(self, request: pb.SendCommandRequest, context: Any) -> pb.SendCommandResponse:
        self._callers.check_operator(rpc.bearer(context))
        answers = await self._operations.send(request.edge_ids, await self._action(request))
        return pb.SendCommandResponse(answers=[wire.answer(answer) for answer in answers])

    async def Preheat(self, request: pb.PreheatRequest, context: Any) -> pb.PreheatResponse:
        self._callers.check_operator(rpc.bearer(context))
        ordered = await self._preheats.order(wire.preheat_order(request))
        answers = [wire.answer(answer) for answer in ordered.answers]
        return pb.PreheatResponse(answers=answers, starts_unix_ms=ordered.begins_unix_ms)

    async def WatchMesh(self, request: pb.WatchMeshRequest, context: Any) -> AsyncIterator[pb.WatchMeshResponse]:
        self._callers.check_operator(rpc.bearer(context))
        async with aclosing(self._operations.watch((request.interval_ms or INTERVAL_MS) / 1000)) as looks:
            async for look in looks:
                yield pb.WatchMeshResponse(mesh=self._told(look.snapshot), events=map(wire.event, look.events))

    def _told(self, snapshot: Snapshot) -> pb.GetMeshResponse:
        """The message of a snapshot, made once for all who watch."""
        if snapshot is not self._last[0]:
            self._last = (snapshot, wire.mesh(snapshot))
        return self._last[1]

    async def _action(self, request: pb.SendCommandRequest) -> Action:
        match request.WhichOneof("action"):
            case "prewarm":
                rendition_ids = await self._operations.rendition_ids(request.prewarm.song_ids)
                return Prewarm(rendition_ids, request.prewarm.prefix_only)
            case "purge":
                named = wire.renditions_to_purge(request.purge.rendition_ids)
                if named and not request.purge.song_ids:
                    return Purge(named)
                return Purge((*await self._operations.rendition_ids(request.purge.song_ids), *named))
            case "drain":
                return Drain(request.drain.deadline_s)
        raise InvalidRequest("no action: set prewarm, purge or drain")
