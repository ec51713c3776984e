"""`reprise status`: who is up, from each one's own mouth, and how loaded the edges are, from a balancer's."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from rich.table import Table

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.cli.mesh_file import Mesh, Place
from reprise.cli.mesh_view import edge_figures
from reprise.cli.operator import ask
from reprise.engines.probe import http_get
from reprise.errors import Unavailable

DEADLINE_S = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One service or edge. The figures are of edges only, and None where no balancer knows them."""

    name: str
    region: str
    up: bool
    # "ready", what is missing, or an edge's state as the balancer sees it.
    state: str
    grpc: str
    http: str
    pid: int
    streams: int | None = None
    tx_bps: int | None = None
    hit_ratio: float | None = None
    fills: int | None = None
    utilisation: float | None = None
    ramp: float | None = None
    ejected: bool | None = None
    cpu: float | None = None
    capacity_bps: int | None = None
    pending_grants: int | None = None
    report_age_ms: int | None = None

    def as_json(self) -> dict[str, object]:
        return asdict(self)


async def gather(mesh: Mesh, token: str) -> list[Row]:
    """Everything that mesh.json names, in its order."""
    places = (*mesh.services, *mesh.edges)
    readiness = await asyncio.gather(*(asyncio.to_thread(_missing, place) for place in places))
    known = await _edges(mesh, token)
    return [_row(place, missing, known.get(place.name)) for place, missing in zip(places, readiness, strict=True)]


def table(rows: Sequence[Row]) -> Table:
    """For a terminal."""
    drawn = Table(
        "name", "region", "state", "streams", "Mb/s", "hits", "fills", "gRPC", "HTTP", box=None, header_style="dim"
    )
    for row in rows:
        figures = (
            "" if row.streams is None else str(row.streams),
            "" if row.tx_bps is None else f"{row.tx_bps / 1e6:.1f}",
            "" if row.hit_ratio is None else f"{row.hit_ratio:.0%}",
            "" if row.fills is None else str(row.fills),
        )
        colour = "green" if row.up else "red"
        drawn.add_row(row.name, row.region, f"[{colour}]{row.state}[/]", *figures, row.grpc, row.http)
    return drawn


def _missing(place: Place) -> str:
    host, _, port = place.http.removeprefix("http://").rpartition(":")
    answer = http_get(host, int(port), "/readyz")
    if answer is None:
        return "down"
    return "" if answer.status == 200 else answer.body.decode(errors="replace").strip() or "not ready"


async def _edges(mesh: Mesh, token: str) -> dict[str, pb.EdgeStatus]:
    metadata = rpc.bearer_metadata(token)
    try:
        answer = await ask(mesh, lambda stub: stub.GetMesh(pb.GetMeshRequest(), metadata=metadata, timeout=DEADLINE_S))
    except Unavailable:
        return {}
    return {edge.hello.edge_id: edge for edge in answer.edges}


def _row(place: Place, missing: str, known: pb.EdgeStatus | None) -> Row:
    state = missing or "ready"
    if known is None:
        return Row(place.name, place.region, not missing, state, place.grpc, place.http, place.pid)
    edge = edge_figures(known)
    return Row(
        place.name,
        place.region,
        not missing,
        state if missing else edge.state,
        place.grpc,
        place.http,
        place.pid,
        streams=edge.streams,
        tx_bps=edge.tx_bps,
        hit_ratio=None if edge.ram_hit_ratio is None else edge.ram_hit_ratio + (edge.disk_hit_ratio or 0.0),
        fills=edge.fills,
        utilisation=edge.utilisation,
        ramp=edge.ramp,
        ejected=edge.ejected,
        cpu=edge.cpu,
        capacity_bps=edge.capacity_bps,
        pending_grants=edge.pending_grants,
        report_age_ms=edge.report_age_ms,
    )
