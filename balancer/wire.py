"""Between the messages of `protos/` and the values of this package; nothing deeper knows the messages."""

from collections.abc import AsyncIterable, AsyncIterator

from balancer.commands import Command, Drain, Prewarm, Purge
from balancer.edges import HEAT_ROWS_MAX, EdgeCounters, EdgeIdentity, EdgeLoad, SongHeat
from balancer.plays import Outcome, PlayReport
from balancer.reports import CommandResult, Incoming, Outgoing
from balancer.routing import Candidate, Routed, SongRoute
from balancer.views import View
from balancer.want import Want, checked
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.errors import InvalidRequest

_OUTCOMES = {
    pb.PLAY_OUTCOME_STARTED: Outcome.STARTED,
    pb.PLAY_OUTCOME_CONNECT_FAILED: Outcome.CONNECT_FAILED,
    pb.PLAY_OUTCOME_NO_FIRST_BYTE: Outcome.NO_FIRST_BYTE,
    pb.PLAY_OUTCOME_BROKEN: Outcome.BROKEN,
    pb.PLAY_OUTCOME_REFUSED: Outcome.REFUSED,
}


def want(request: pb.RouteRequest, address: str, session_id: str) -> Want:
    return checked(
        song_ids=list(request.song_ids),
        codecs=list(request.codecs),
        bitrate_bps_max=request.max_bitrate_bps,
        region=request.region,
        session_id=session_id,
        failed_edge_ids=list(request.failed_edge_ids),
        warm_edge_ids=list(request.warm_edge_ids),
        region_rtts=[(measured.region, float(measured.rtt_ms)) for measured in request.region_rtts],
        address=address,
    )


def play_reports(request: pb.ReportPlaysRequest) -> list[PlayReport]:
    """Raises InvalidRequest at an entry without an outcome that is known here."""
    return [PlayReport(play.grant, _outcome(play.outcome), play.rtt_ms) for play in request.plays]


def route_response(routed: Routed) -> pb.RouteResponse:
    return pb.RouteResponse(
        routes=[_route(route) for route in routed.routes],
        unknown_song_ids=routed.unknown_song_ids,
        session_id=routed.session_id,
        probes=[pb.RegionProbe(region=probe.region, probe_url=probe.url) for probe in routed.probes],
    )


async def incoming(messages: AsyncIterable[pb.ReportLoadRequest]) -> AsyncIterator[Incoming]:
    """The messages of a report stream; raises InvalidRequest at an empty one."""
    async for message in messages:
        match message.WhichOneof("message"):
            case "hello":
                yield _identity(message.hello)
            case "report":
                yield _load(message.report)
            case "result":
                yield CommandResult(message.result.command_id, message.result.ok, message.result.detail[:200])
            case _:
                raise InvalidRequest("a message on a report stream is a hello, a report or a result; this one is empty")


def outgoing(message: Outgoing) -> pb.ReportLoadResponse:
    if isinstance(message, View):
        return pb.ReportLoadResponse(view=_view(message))
    return pb.ReportLoadResponse(command=_command(message))


def _outcome(outcome: pb.PlayOutcome.ValueType) -> Outcome:
    if outcome not in _OUTCOMES:
        raise InvalidRequest(
            f"outcome must be one of PLAY_OUTCOME_STARTED to PLAY_OUTCOME_REFUSED, not number {outcome}"
        )
    return _OUTCOMES[outcome]


def _route(route: SongRoute) -> pb.SongRoute:
    candidates = [_candidate(candidate) for candidate in route.candidates]
    return pb.SongRoute(song_id=route.song_id, rendition=route.rendition, candidates=candidates)


def _candidate(candidate: Candidate) -> pb.Candidate:
    edge = candidate.edge
    return pb.Candidate(
        edge_id=edge.edge_id,
        region=edge.region,
        grpc_address=edge.grpc_address,
        http_url=edge.http_url,
        grant=candidate.grant,
        media_url=candidate.media_url,
        expires_unix_ms=candidate.expires_unix_ms,
        reason=candidate.reason,
        hedge_after_ms=candidate.hedge_after_ms,
    )


def _identity(hello: pb.Hello) -> EdgeIdentity:
    return EdgeIdentity(
        edge_id=hello.edge_id,
        region=hello.region,
        grpc_address=hello.grpc_address,
        http_url=hello.http_url,
        boot_id=hello.boot_id,
        nic_capacity_bps=hello.nic_capacity_bps,
        stream_limit=hello.stream_limit,
        zone=hello.zone,
    )


def _load(report: pb.LoadReport) -> EdgeLoad:
    heat = report.heat[:HEAT_ROWS_MAX]
    counters = report.counters
    return EdgeLoad(
        sequence=report.sequence,
        active_streams=report.active_streams,
        nic_tx_bps=report.nic_tx_bps,
        committed_bps=report.committed_bps,
        loop_lag_ms=report.loop_lag_ms,
        cpu=report.cpu_permille / 1000,
        first_byte_ms=report.first_byte_p50_ms,
        started_plays=report.started_plays,
        failed_plays=report.failed_plays,
        draining=report.draining,
        seen_grant_ids=tuple(report.seen_grant_ids),
        heat=tuple(SongHeat(row.rendition_id, row.live_bps, row.waiting_followers) for row in heat),
        counters=EdgeCounters(
            requests=counters.requests,
            ram_hits=counters.ram_hits,
            disk_hits=counters.disk_hits,
            fills=counters.fills,
            sent_bytes=counters.sent_bytes,
            ram_bytes=counters.ram_bytes,
            disk_bytes=counters.disk_bytes,
        ),
    )


def _view(view: View) -> pb.MeshView:
    peers = [
        pb.Peer(
            edge_id=peer.edge_id,
            region=peer.region,
            grpc_address=peer.grpc_address,
            relay_grant=peer.relay_grant,
            draining=peer.draining,
            nic_capacity_bps=peer.nic_capacity_bps,
        )
        for peer in view.peers
    ]
    return pb.MeshView(epoch=view.epoch, peers=peers)


def _command(command: Command) -> pb.Command:
    match command.action:
        case Prewarm(rendition_ids, prefix_only, origin_bps_max):
            prewarm = pb.Prewarm(rendition_ids=rendition_ids, prefix_only=prefix_only, origin_bps_max=origin_bps_max)
            return pb.Command(command_id=command.command_id, prewarm=prewarm)
        case Purge(rendition_ids):
            return pb.Command(command_id=command.command_id, purge=pb.Purge(rendition_ids=rendition_ids))
        case Drain(deadline_s):
            return pb.Command(command_id=command.command_id, drain=pb.Drain(deadline_s=deadline_s))
