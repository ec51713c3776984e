"""IndexService for operators: checks the token, calls, answers."""

from collections.abc import AsyncIterator
from typing import Any

from catalog import normalise
from catalog.indexer.indexer import Indexer
from catalog.operators import Operators
from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc


class IndexServicer(pb_grpc.IndexServiceServicer):
    """What each method does and how it fails is written in the proto."""

    def __init__(self, indexer: Indexer, operators: Operators) -> None:
        self._indexer = indexer
        self._operators = operators

    async def RebuildIndex(
        self, request: pb.RebuildIndexRequest, context: Any
    ) -> AsyncIterator[pb.RebuildIndexResponse]:
        self._operators.check(rpc.bearer(context))
        async for progress in self._indexer.rebuild():
            yield pb.RebuildIndexResponse(step=progress.step, done=progress.done, total_estimate=progress.total)

    async def GetIndexStatus(self, request: pb.GetIndexStatusRequest, context: Any) -> pb.GetIndexStatusResponse:
        self._operators.check(rpc.bearer(context))
        status = await self._indexer.status()
        return pb.GetIndexStatusResponse(
            writing=status.writing,
            backend=status.backend,
            generation=status.generation,
            documents=status.size.documents,
            size_bytes=status.size.size_bytes,
            changes_behind=status.changes_behind,
            behind_ms=int(status.behind_s * 1000),
            normaliser_version=normalise.VERSION,
            publication=status.size.publication,
        )
