"""What `reprise status --watch` draws: regions, edges, and below what happened. Builds it; draws nothing itself."""

import sys
import time
from collections.abc import Iterable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from reprise.cli.mesh_view import EdgeFigures, EventLine, MeshView, RegionFigures

EVENTS_SHOWN = 10
_ID_CHARS = 10
# And the least width of each: on a narrow terminal the hottest song gives way.
_COLUMNS = {"edge": 7, "region": 6, "state": 5, "streams": 7, "Mb/s": 7, "load": 4, "CPU": 4, "RAM": 4, "disk": 4}
_COLUMNS |= {"fills": 5, "age": 5, "hottest": 1}
# A report is a second old at most, where all is well.
_OLD_REPORT_MS = 3_000
_BUSY = 0.8
_GOOD_STATES = frozenset({"ready"})
_GOOD_EVENTS = frozenset({"edge_joined", "edge_ready", "edge_back", "command", "preheat", "replicas_shrank"})


def screen(
    view: MeshView | None, events: Iterable[EventLine], trouble: str = "", edges_max: int = sys.maxsize
) -> RenderableType:
    """All of it; without a view, only why there is none. Of more edges than fit, those that are not well, then the busiest."""
    parts: list[RenderableType] = [Text(trouble, "red")] if trouble else []
    if view is not None:
        parts += [Text(f"epoch {view.epoch}, as {view.balancer} sees it", "dim"), _regions(view.regions), Text()]
        shown = _most_telling(view.edges, max(1, edges_max))
        parts += [_edges(shown), Text(), *(_event(event) for event in events)]
        if len(shown) < len(view.edges):
            parts.insert(-1, Text(f"{len(shown)} of {len(view.edges)} edges", "dim"))
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


def _most_telling(edges: Sequence[EdgeFigures], edges_max: int) -> list[EdgeFigures]:
    """At most so many edges, in the order they came in."""
    ranked = sorted(edges, key=lambda edge: (edge.state in _GOOD_STATES and not edge.ejected, -edge.utilisation))
    chosen = {edge.id for edge in ranked[:edges_max]}
    return [edge for edge in edges if edge.id in chosen]


def _edges(edges: Iterable[EdgeFigures]) -> Table:
    drawn = Table(box=None, header_style="dim", padding=(0, 1, 0, 0))
    for column, chars_min in _COLUMNS.items():
        drawn.add_column(column, no_wrap=True, min_width=chars_min)
    for edge in edges:
        drawn.add_row(
            edge.id,
            edge.region,
            _state(edge),
            f"{edge.streams}+{edge.pending_grants}" if edge.pending_grants else str(edge.streams),
            f"{edge.tx_bps / 1e6:.1f}/{edge.capacity_bps / 1e6:.0f}",
            _share(edge.utilisation),
            f"{edge.cpu:.0%}",
            "" if edge.ram_hit_ratio is None else f"{edge.ram_hit_ratio:.0%}",
            "" if edge.disk_hit_ratio is None else f"{edge.disk_hit_ratio:.0%}",
            str(edge.fills),
            Text(f"{edge.report_age_ms / 1000:.1f} s", "red" if edge.report_age_ms > _OLD_REPORT_MS else "dim"),
            f"{edge.hottest[:_ID_CHARS]} {edge.hottest_bps / 1e6:.1f} Mb/s" if edge.hottest else "",
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
