"""What operators are told, as messages of `protos/`. Edges tell of 64 songs each; operators are told of the hottest few."""

from collections.abc import Sequence

from balancer.commands import Answer
from balancer.edges import EdgeIdentity, EdgeLoad
from balancer.events import Event
from balancer.membership import State
from balancer.mesh import EdgeView
from balancer.preheat_orders import PreheatOrder
from balancer.regions import RegionView
from balancer.watching import Snapshot
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.errors import InvalidRequest
from reprise.ids import check_sha256

# So that the view of 5,000 edges fits into one message.
HEAT_ROWS_TOLD = 3
# Half of what a request may weigh.
RENDITIONS_NAMED_MAX = 500

# An edge that has not reported yet takes no work, as one that has stopped to.
_STATES = {
    State.JOINING: pb.EDGE_STATE_SUSPECT,
    State.READY: pb.EDGE_STATE_READY,
    State.SUSPECT: pb.EDGE_STATE_SUSPECT,
    State.DEAD: pb.EDGE_STATE_DEAD,
}


def mesh(snapshot: Snapshot) -> pb.GetMeshResponse:
    return pb.GetMeshResponse(
        edges=[_edge(edge, snapshot.unix_ms) for edge in snapshot.edges],
        epoch=snapshot.epoch,
        regions=[_region(region) for region in snapshot.regions],
    )


def event(value: Event) -> pb.MeshEvent:
    return pb.MeshEvent(unix_ms=value.unix_ms, kind=value.kind, edge_id=value.edge_id, detail=value.detail)


def answer(value: Answer) -> pb.SendCommandResponse.Answer:
    return pb.SendCommandResponse.Answer(edge_id=value.edge_id, ok=value.ok, detail=value.detail)


def renditions_to_purge(rendition_ids: Sequence[str]) -> tuple[str, ...]:
    """Those that an operator names himself."""
    if len(rendition_ids) > RENDITIONS_NAMED_MAX:
        raise InvalidRequest(f"name at most {RENDITIONS_NAMED_MAX} renditions, not {len(rendition_ids)}")
    return tuple(check_sha256(rendition_id, "rendition_id") for rendition_id in rendition_ids)


def preheat_order(request: pb.PreheatRequest) -> PreheatOrder:
    return PreheatOrder(
        song_ids=tuple(dict.fromkeys(request.song_ids)),
        regions=tuple(dict.fromkeys(request.regions)),
        at_unix_ms=request.release_unix_ms,
        whole=request.whole,
        edges_per_region=request.edges_per_region,
    )


def _region(view: RegionView) -> pb.RegionStatus:
    figures = view.figures
    return pb.RegionStatus(
        region=figures.region,
        edges_ready=figures.edges_ready,
        active_streams=figures.active_streams,
        utilisation_mean=figures.mean,
        utilisation_p90=figures.p90,
        utilisation_max=figures.busiest,
        edges_desired=view.desired.edges,
        edges_desired_reason=view.desired.reason,
        panic=view.load is not None and view.load.panic,
        spill_share=view.load.spill_share if view.load is not None else 0.0,
    )


def _edge(view: EdgeView, unix_ms: int) -> pb.EdgeStatus:
    state = _STATES[view.state]
    if view.draining and view.state is not State.DEAD:
        state = pb.EDGE_STATE_DRAINING
    return pb.EdgeStatus(
        hello=_hello(view.identity),
        state=state,
        last_report=_report(view.load) if view.load else None,
        report_age_ms=max(0, int(view.report_age_s * 1000)),
        utilisation=view.utilisation,
        pending_grants=view.pending.grants,
        ramp=view.ramp,
        ejected_until_unix_ms=unix_ms + int(view.ejected_s * 1000) if view.ejected_s > 0 else 0,
    )


def _hello(identity: EdgeIdentity) -> pb.Hello:
    return pb.Hello(
        edge_id=identity.edge_id,
        region=identity.region,
        grpc_address=identity.grpc_address,
        http_url=identity.http_url,
        boot_id=identity.boot_id,
        nic_capacity_bps=identity.nic_capacity_bps,
        stream_limit=identity.stream_limit,
        zone=identity.zone,
    )


def _report(load: EdgeLoad) -> pb.LoadReport:
    counters = load.counters
    return pb.LoadReport(
        sequence=load.sequence,
        active_streams=load.active_streams,
        nic_tx_bps=load.nic_tx_bps,
        committed_bps=load.committed_bps,
        loop_lag_ms=load.loop_lag_ms,
        cpu_permille=round(load.cpu * 1000),
        first_byte_p50_ms=load.first_byte_ms,
        started_plays=load.started_plays,
        failed_plays=load.failed_plays,
        draining=load.draining,
        heat=[
            pb.SongHeat(rendition_id=h.rendition_id, live_bps=h.live_bps, waiting_followers=h.waiting_followers)
            for h in load.heat[:HEAT_ROWS_TOLD]
        ],
        counters=pb.EdgeCounters(
            requests=counters.requests,
            ram_hits=counters.ram_hits,
            disk_hits=counters.disk_hits,
            fills=counters.fills,
            sent_bytes=counters.sent_bytes,
            ram_bytes=counters.ram_bytes,
            disk_bytes=counters.disk_bytes,
        ),
    )
