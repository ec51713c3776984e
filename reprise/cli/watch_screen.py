"""What `reprise status --watch` draws: regions, edges, and below what happened. Builds it; draws nothing itself."""

import time
from collections.abc import Iterable

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reprise.cli.mesh_view import EdgeFigures, EventLine, MeshView, RegionFigures

EVENTS_SHOWN = 10
_ID_CHARS = 10
# A report is a second old at most, where all is well.
_OLD_REPORT_MS = 3_000
_BUSY = 0.8
_GOOD_STATES = frozenset({"ready"})
_GOOD_EVENTS = frozenset({"edge_joined", "edge_ready", "edge_back", "command", "preheat", "replicas_shrank"})


def screen(view: MeshView | None, events: Iterable[EventLine], trouble: str = "") -> RenderableType:
    """All of it; without a view, only why there is none."""
    parts: list[RenderableType] = [Text(trouble, "red")] if trouble else []
    if view is not None:
        parts += [Text(f"epoch {view.epoch}, as {view.balancer} sees it", "dim"), _regions(view.regions), Text()]
        parts += [_edges(view.edges), Text(), *(_event(event) for event in events)]
    return Group(*parts)


def _regions(regions: Iterable[RegionFigures]) -> Table:
    drawn = Table("region", "edges", "wanted", "streams", "mean", "p90", "max", "spills", box=None, header_style="dim")
    for one in regions:
        short = one.edges_ready < one.edges_desired
        drawn.add_row(
            Text(f"{one.region} PANIC" if one.panic else one.region, "red" if one.panic else ""),
            str(one.edges_ready),
            Text(f"{one.edges_desired} ({one.edges_desired_reason})", "yellow" if short else ""),
            str(one.streams),
            _share(one.utilisation_mean),
            _share(one.utilisation_p90),
            _share(one.utilisation_max),
            Text(f"{one.spill_share:.0%}", "yellow" if one.spill_share else "dim"),
        )
    return drawn


def _edges(edges: Iterable[EdgeFigures]) -> Table:
    columns = ("edge", "region", "state", "streams", "Mb/s", "load", "CPU", "RAM", "disk", "fills", "hottest", "report")
    drawn = Table(*columns, box=None, header_style="dim")
    for edge in edges:
        drawn.add_row(
            edge.id,
            edge.region,
            _state(edge),
            f"{edge.streams}+{edge.pending_grants}" if edge.pending_grants else str(edge.streams),
            f"{edge.tx_bps / 1e6:.1f} of {edge.capacity_bps / 1e6:.0f}",
            _share(edge.utilisation),
            f"{edge.cpu:.0%}",
            "" if edge.ram_hit_ratio is None else f"{edge.ram_hit_ratio:.0%}",
            "" if edge.disk_hit_ratio is None else f"{edge.disk_hit_ratio:.0%}",
            str(edge.fills),
            f"{edge.hottest[:_ID_CHARS]} {edge.hottest_bps / 1e6:.1f} Mb/s" if edge.hottest else "",
            Text(f"{edge.report_age_ms / 1000:.1f} s", "red" if edge.report_age_ms > _OLD_REPORT_MS else "dim"),
        )
    return drawn


def _state(edge: EdgeFigures) -> Text:
    words = [edge.state]
    if edge.ejected:
        words.append("ejected")
    if 0 < edge.ramp < 1:
        words.append(f"at {edge.ramp:.0%}")
    good = edge.state in _GOOD_STATES and not edge.ejected
    return Text(" ".join(words), "green" if good else "yellow" if edge.state != "dead" else "red")


def _share(value: float) -> Text:
    return Text(f"{value:.0%}", "yellow" if value >= _BUSY else "")


def _event(event: EventLine) -> Text:
    at = time.strftime("%H:%M:%S", time.localtime(event.unix_ms / 1000))
    subject = f"{event.edge} " if event.edge else ""
    return Text(
        f"{at}  {event.kind:<15} {subject}{event.detail}",
        "" if event.kind in _GOOD_EVENTS else "yellow",
        overflow="fold",
    )
