"""Servicers whose methods the test gives, behind real generated code: one unary, one server stream, one bidirectional."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from reprise.balancer.v1 import balancer_service_pb2_grpc as balancer_grpc
from reprise.catalog.v1 import catalog_service_pb2_grpc as catalog_grpc
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest, SearchResponse
from reprise.origin.v1 import origin_service_pb2_grpc as origin_grpc
from reprise.origin.v1.origin_service_pb2 import ReadChunksRequest, ReadChunksResponse

SEARCH = "/reprise.catalog.v1.CatalogService/Search"
BROWSE = "/reprise.catalog.v1.CatalogService/Browse"
READ_CHUNKS = "/reprise.origin.v1.OriginService/ReadChunks"
REPORT_LOAD = "/reprise.balancer.v1.BalancerService/ReportLoad"

Search = Callable[[SearchRequest, Any], Awaitable[SearchResponse]]
Read = Callable[[ReadChunksRequest, Any], AsyncIterator[ReadChunksResponse]]


async def echo(request: SearchRequest, context: Any) -> SearchResponse:
    """Answers the query as cursor."""
    return SearchResponse(next_cursor=request.query)


async def count(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
    """As many chunks as asked for, each its number."""
    for number in range(request.chunk_count):
        yield ReadChunksResponse(chunk=b"%d" % number)


class Catalog(catalog_grpc.CatalogServiceServicer):
    """Search as given; the other methods are not implemented."""

    def __init__(self, search: Search = echo) -> None:
        self._search = search

    async def Search(self, request: SearchRequest, context: Any) -> SearchResponse:
        return await self._search(request, context)


class Origin(origin_grpc.OriginServiceServicer):
    """ReadChunks as given."""

    def __init__(self, read: Read = count) -> None:
        self._read = read

    def ReadChunks(self, request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        return self._read(request, context)


def servicers(search: Search = echo, read: Read = count) -> list[tuple[Callable[[Any, Any], None], object]]:
    """The toys as (add_XServicer_to_server, servicer) pairs."""
    return [
        (catalog_grpc.add_CatalogServiceServicer_to_server, Catalog(search)),
        (origin_grpc.add_OriginServiceServicer_to_server, Origin(read)),
        (balancer_grpc.add_BalancerServiceServicer_to_server, balancer_grpc.BalancerServiceServicer()),
    ]
