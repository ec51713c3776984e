"""What a balancer tells of its mesh, as values that `reprise status` prints or writes as JSON."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from reprise.balancer.v1 import balancer_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class EdgeFigures:
    """One edge. Ratios are of all its requests since its start, and None before the first."""

    id: str
    region: str
    state: str
    # 0.1 to 1: how much of its share an edge that joined lately is given.
    ramp: float
    ejected: bool
    streams: int
    pending_grants: int
    tx_bps: int
    capacity_bps: int
    utilisation: float
    cpu: float
    ram_hit_ratio: float | None
    disk_hit_ratio: float | None
    fills: int
    # The hottest rendition, and its bits per second; empty and 0 when nothing plays.
    hottest: str
    hottest_bps: int
    report_age_ms: int


@dataclass(frozen=True, slots=True)
class RegionFigures:
    """One region."""

    region: str
    edges_ready: int
    edges_desired: int
    edges_desired_reason: str
    streams: int
    utilisation_mean: float
    utilisation_p90: float
    utilisation_max: float
    spill_share: float
    panic: bool


@dataclass(frozen=True, slots=True)
class EventLine:
    """Something that happened."""

    unix_ms: int
    kind: str
    edge: str
    detail: str


@dataclass(frozen=True, slots=True)
class MeshView:
    """What one balancer told at one moment."""

    balancer: str
    epoch: int
    regions: tuple[RegionFigures, ...]
    edges: tuple[EdgeFigures, ...]
    # Since the view before.
    events: tuple[EventLine, ...]

    def as_json(self) -> dict[str, object]:
        return asdict(self)


def view_of(balancer: str, mesh: pb.GetMeshResponse, events: Iterable[pb.MeshEvent] = ()) -> MeshView:
    """Regions by name, edges by region and name."""
    return MeshView(
        balancer,
        mesh.epoch,
        tuple(region_figures(region) for region in sorted(mesh.regions, key=lambda region: region.region)),
        tuple(sorted((edge_figures(edge) for edge in mesh.edges), key=lambda edge: (edge.region, edge.id))),
        tuple(EventLine(event.unix_ms, event.kind, event.edge_id, event.detail) for event in events),
    )


def edge_figures(edge: pb.EdgeStatus) -> EdgeFigures:
    report, counters = edge.last_report, edge.last_report.counters
    hottest = max(report.heat, key=lambda heat: heat.live_bps, default=pb.SongHeat())
    return EdgeFigures(
        id=edge.hello.edge_id,
        region=edge.hello.region,
        state=pb.EdgeState.Name(edge.state).removeprefix("EDGE_STATE_").lower(),
        ramp=edge.ramp,
        ejected=edge.ejected_until_unix_ms > 0,
        streams=report.active_streams,
        pending_grants=edge.pending_grants,
        tx_bps=report.nic_tx_bps,
        capacity_bps=edge.hello.nic_capacity_bps,
        utilisation=edge.utilisation,
        cpu=report.cpu_permille / 1000,
        ram_hit_ratio=counters.ram_hits / counters.requests if counters.requests else None,
        disk_hit_ratio=counters.disk_hits / counters.requests if counters.requests else None,
        fills=counters.fills,
        hottest=hottest.rendition_id,
        hottest_bps=hottest.live_bps,
        report_age_ms=edge.report_age_ms,
    )


def region_figures(region: pb.RegionStatus) -> RegionFigures:
    return RegionFigures(
        region=region.region,
        edges_ready=region.edges_ready,
        edges_desired=region.edges_desired,
        edges_desired_reason=region.edges_desired_reason,
        streams=region.active_streams,
        utilisation_mean=region.utilisation_mean,
        utilisation_p90=region.utilisation_p90,
        utilisation_max=region.utilisation_max,
        spill_share=region.spill_share,
        panic=region.panic,
    )
