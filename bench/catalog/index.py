"""Waits for the indexer to catch up with what was loaded, and asks what it made."""

import asyncio
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc

from bench.launch import Missing, Server
from bench.songs import MESH_KEY
from reprise import grants, rpc
from reprise.catalog.v1.catalog_service_pb2 import GetIndexStatusRequest, SearchRequest
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub, IndexServiceStub

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import IndexServiceAsyncStub

REBUILD_S_MAX, SEEN_S_MAX, POLL_S, TOKEN_S = 3600.0, 120.0, 0.2, 7200


@dataclass(frozen=True, slots=True)
class Index:
    """`seconds` from the start of the indexer until all songs are in it."""

    seconds: float
    documents: int
    size_bytes: int


def operator_token() -> str:
    """An operator's, for any service of the run."""
    claims = grants.Claims(
        scope=grants.OPERATOR,
        issuer=grants.OPERATOR,
        audience="mesh",
        subject=grants.OPERATOR,
        grant_id=secrets.token_urlsafe(9),
        expires_unix_s=int(time.time()) + TOKEN_S,
    )
    return grants.mint(claims, grants.OPERATOR, grants.derive_key(MESH_KEY, grants.OPERATOR))


async def built(catalog: Server, indexer: Server) -> Index:
    """Waits until the indexer has made the index that it finds missing, and the catalog answers with it. Raises Missing."""
    token = rpc.bearer_metadata(operator_token())
    began = time.perf_counter()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{indexer.grpc_port}") as channel:
        stub = IndexServiceStub(channel)
        await _writing(stub, token)
        seconds = time.perf_counter() - began
        status = await stub.GetIndexStatus(GetIndexStatusRequest(), metadata=token, timeout=10)
    await _seen(catalog)
    return Index(seconds, status.documents, status.size_bytes)


async def _writing(stub: "IndexServiceAsyncStub", token: Sequence[tuple[str, str]]) -> None:
    """Returns when the indexer follows the changes: what was there before is in the index then."""
    give_up = time.monotonic() + REBUILD_S_MAX
    while True:
        status = await stub.GetIndexStatus(GetIndexStatusRequest(), metadata=token, timeout=10)
        if status.writing and status.generation:
            return
        if time.monotonic() > give_up:
            raise Missing(f"the indexer did not begin within {REBUILD_S_MAX:.0f} s")
        await asyncio.sleep(POLL_S)


async def _seen(catalog: Server) -> None:
    """Returns when the catalog answers with an index."""
    give_up = time.monotonic() + SEEN_S_MAX
    async with grpc.aio.insecure_channel(f"127.0.0.1:{catalog.grpc_port}") as channel:
        stub = CatalogServiceStub(channel)
        while (await stub.Search(SearchRequest(query="love"), timeout=10)).partial:
            if time.monotonic() > give_up:
                raise Missing(f"the catalog did not take the index within {SEEN_S_MAX:.0f} s")
            await asyncio.sleep(POLL_S)
