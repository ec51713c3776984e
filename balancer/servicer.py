"""The listeners' and the edges' RPCs: parse, one call, build the answer."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

from balancer import wire
from balancer.listeners import Listeners
from balancer.plays import Plays
from balancer.reports import Reports
from balancer.routing import Router
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceServicer
from reprise.clients import Clients


class BalancerServicer(BalancerServiceServicer):
    def __init__(self, router: Router, reports: Reports, plays: Plays, clients: Clients, listeners: Listeners) -> None:
        self._router = router
        self._reports = reports
        self._plays = plays
        self._clients = clients
        self._listeners = listeners

    async def Route(self, request: pb.RouteRequest, context: Any) -> pb.RouteResponse:
        session_id = self._listeners.of_call(context, request.session_id)
        want = wire.want(request, self._clients.of_call(context), session_id)
        return wire.route_response(await self._router.route(want))

    async def ReportLoad(
        self, request_iterator: AsyncIterable[pb.ReportLoadRequest], context: Any
    ) -> AsyncIterator[pb.ReportLoadResponse]:
        async for message in self._reports.serve(rpc.bearer(context), wire.incoming(request_iterator)):
            yield wire.outgoing(message)

    async def ReportPlays(self, request: pb.ReportPlaysRequest, context: Any) -> pb.ReportPlaysResponse:
        self._listeners.of_call(context)
        taken = self._plays.take(wire.play_reports(request), self._clients.of_call(context))
        return pb.ReportPlaysResponse(taken=taken.taken, dropped=taken.dropped)
