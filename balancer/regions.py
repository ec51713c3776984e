"""Regions as operators see them: their edges added up. Pure; no decision reads this but how many edges there should be."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from balancer.membership import State
from balancer.mesh import EdgeView, RegionLoad
from balancer.scaling import Desired, RegionFigures


@dataclass(frozen=True, slots=True)
class RegionView:
    """One region for operators."""

    figures: RegionFigures
    desired: Desired
    # None where every edge is dead or draining.
    load: RegionLoad | None


def region_views(
    regions: Iterable[RegionFigures], desired: Callable[[str], Desired], loads: Iterable[RegionLoad]
) -> list[RegionView]:
    by_region = {load.region: load for load in loads}
    return [RegionView(one, desired(one.region), by_region.get(one.region)) for one in regions]


def figures_of(edges: Iterable[EdgeView]) -> list[RegionFigures]:
    """Every region that has an edge, in the order of their names; the figures are of edges that take listeners."""
    regions: dict[str, list[EdgeView]] = {}
    for edge in edges:
        regions.setdefault(edge.identity.region, []).append(edge)
    return [_figures(region, regions[region]) for region in sorted(regions)]


def _figures(region: str, edges: Iterable[EdgeView]) -> RegionFigures:
    ready = [edge for edge in edges if edge.state is State.READY and not edge.draining]
    loads = [edge.load for edge in ready if edge.load is not None]
    return RegionFigures(
        region=region,
        utilisations=tuple(sorted(edge.utilisation for edge in ready)),
        active_streams=sum(load.active_streams for load in loads),
        stream_limit=sum(edge.identity.stream_limit for edge in ready),
        pending_grants=sum(edge.pending.grants for edge in ready),
        committed_bps=sum(load.committed_bps for load in loads),
        capacity_bps=sum(edge.identity.nic_capacity_bps for edge in ready),
    )
