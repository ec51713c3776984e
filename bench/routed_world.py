"""What a balancer needs around it, in one process: a catalog that knows every song, and edges that report once a second."""

import argparse
import asyncio
import hashlib
import random
import time
from collections.abc import AsyncIterator
from typing import Any

import grpc
from prometheus_client import CollectorRegistry

from bench.songs import MESH_KEY
from reprise import grants, rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.catalog.v1.catalog_service_pb2 import GetSongsRequest, GetSongsResponse
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceServicer, add_CatalogServiceServicer_to_server
from reprise.grants import Claims
from reprise.types.v1.types_pb2 import Codec, Rendition, Song

REGION = "here"
# So much that routes alone, which nobody plays, never make an edge look loaded.
NIC_BPS = 10**13
STREAM_LIMIT = 10**8


class Catalog(CatalogServiceServicer):
    """Any song exists, as Opus and as AAC."""

    async def GetSongs(self, request: GetSongsRequest, context: Any) -> GetSongsResponse:  # noqa: ARG002, N802
        return GetSongsResponse(songs=[_song(song_id) for song_id in request.song_ids])


def _song(song_id: str) -> Song:
    kinds = ((Codec.CODEC_OPUS, 96_000), (Codec.CODEC_AAC, 128_000))
    renditions = [
        Rendition(rendition_id=hashlib.sha256(f"{song_id}{codec}".encode()).hexdigest(), codec=codec, bitrate_bps=bps)
        for codec, bps in kinds
    ]
    return Song(song_id=song_id, renditions=renditions)


async def report(number: int, balancer: str) -> None:
    """One edge's line, until it breaks."""
    edge_id = f"edge-{number:04}"
    hello = messages.Hello(
        edge_id=edge_id,
        region=REGION,
        grpc_address=f"127.0.0.1:{10_000 + number}",
        http_url=f"http://127.0.0.1:{20_000 + number}",
        boot_id="boot",
        nic_capacity_bps=NIC_BPS,
        stream_limit=STREAM_LIMIT,
    )

    async def up() -> AsyncIterator[messages.ReportLoadRequest]:
        yield messages.ReportLoadRequest(hello=hello)
        sequence = 0
        while True:
            sequence += 1
            yield messages.ReportLoadRequest(report=messages.LoadReport(sequence=sequence))
            await asyncio.sleep(random.uniform(0.8, 1.2))

    async with rpc.channel(balancer) as channel:
        call = BalancerServiceStub(channel).ReportLoad(up(), metadata=rpc.bearer_metadata(_token(edge_id)))
        async for _ in call:  # views and commands, which nobody here obeys
            pass


def _token(edge_id: str) -> str:
    claims = Claims(
        scope="report",
        issuer=edge_id,
        audience="balancer",
        subject=edge_id,
        grant_id="bench",
        expires_unix_s=int(time.time()) + 3600,
    )
    return grants.mint(claims, edge_id, grants.derive_key(MESH_KEY, edge_id))


async def serve(port: int, balancer: str, edges: int) -> None:
    server = rpc.server(rpc.RpcMetrics("catalog", CollectorRegistry()))
    add_CatalogServiceServicer_to_server(Catalog(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    async with asyncio.TaskGroup() as group:
        for number in range(edges):
            group.create_task(_keep_reporting(number, balancer))


async def _keep_reporting(number: int, balancer: str) -> None:
    """The balancer starts after its catalog."""
    while True:
        try:
            await report(number, balancer)
        except grpc.aio.AioRpcError:
            await asyncio.sleep(0.2)


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.routed_world", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--balancer", required=True, help="host:port")
    parser.add_argument("--edges", type=int, required=True)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.balancer, options.edges))


if __name__ == "__main__":
    main()
