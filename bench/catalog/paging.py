"""Browse at any depth: a list is walked once to the places that are measured, and a page is asked for there again and again."""

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import grpc

from bench import report
from bench.report import Column
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub

PAGE, WALK_PAGE = 50, 100
ANSWER_S_MAX = 10.0
COLUMNS = (
    Column("list", "list"),
    Column("behind entries", "depth"),
    Column("pages", "pages"),
    Column("p50 ms", "p50_ms", 2),
    Column("p99 ms", "p99_ms", 1),
)
LISTS = {
    "songs A-Z": (pb.BROWSE_KIND_SONGS, pb.BROWSE_ORDER_UNSPECIFIED),
    "songs, newest": (pb.BROWSE_KIND_SONGS, pb.BROWSE_ORDER_NEWEST),
    "songs, popular": (pb.BROWSE_KIND_SONGS, pb.BROWSE_ORDER_POPULAR),
    "releases A-Z": (pb.BROWSE_KIND_RELEASES, pb.BROWSE_ORDER_UNSPECIFIED),
    "artists A-Z": (pb.BROWSE_KIND_ARTISTS, pb.BROWSE_ORDER_UNSPECIFIED),
}


async def measure(address: str, depths: Sequence[int], pages: int) -> list[dict[str, object]]:
    """A row for each list and depth that it has. The depths take turns."""
    rows: list[dict[str, object]] = []
    async with grpc.aio.insecure_channel(address) as channel:
        stub = CatalogServiceStub(channel)
        for name, (kind, order) in LISTS.items():
            cursors = await _walk(stub, kind, order, depths)
            waits: dict[int, list[float]] = {depth: [] for depth in cursors}
            for _ in range(pages):
                for depth, cursor in cursors.items():
                    began = time.perf_counter()
                    answer = await _page(stub, kind, order, PAGE, cursor)
                    waits[depth].append((time.perf_counter() - began) * 1000)
                    if not (answer.songs or answer.releases or answer.artists):
                        raise ValueError(f"{name}: nothing behind entry {depth}")
            rows += [_row(name, depth, found) for depth, found in waits.items()]
            report.say(f"browsed {name}")
    return rows


async def _walk(
    stub: "CatalogServiceAsyncStub",
    kind: "pb.BrowseKind.ValueType",
    order: "pb.BrowseOrder.ValueType",
    depths: Sequence[int],
) -> dict[int, str]:
    """The cursor behind each depth: entries that come before it. Depths that the list does not have are left out."""
    found = {0: ""} if 0 in depths else {}
    passed, cursor = 0, ""
    while passed < max(depths):
        answer = await _page(stub, kind, order, WALK_PAGE, cursor)
        passed, cursor = passed + WALK_PAGE, answer.next_cursor
        if not cursor:
            break
        if passed in depths:
            found[passed] = cursor
    return found


async def _page(
    stub: "CatalogServiceAsyncStub",
    kind: "pb.BrowseKind.ValueType",
    order: "pb.BrowseOrder.ValueType",
    size: int,
    cursor: str,
) -> pb.BrowseResponse:
    request = pb.BrowseRequest(kind=kind, order=order, page_size=size, cursor=cursor)
    answer: pb.BrowseResponse = await stub.Browse(request, timeout=ANSWER_S_MAX)
    return answer


def _row(name: str, depth: int, waits: Sequence[float]) -> dict[str, object]:
    return {
        "list": name,
        "depth": depth,
        "pages": len(waits),
        "p50_ms": report.median(waits),
        "p99_ms": report.quantile(waits, 0.99),
    }
