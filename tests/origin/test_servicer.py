"""OriginService over a real gRPC connection: tokens, answers, statuses, and readers that stall."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator

import grpc
import pytest

from origin.servicer import OriginServicer
from reprise import rpc
from reprise.chunks import CHUNK_BYTES
from reprise.errors import Unavailable
from reprise.grants import Claims, derive_key, mint
from reprise.origin.v1 import origin_service_pb2 as pb
from reprise.origin.v1.origin_service_pb2_grpc import OriginServiceStub, add_OriginServiceServicer_to_server
from reprise.streams import Streams
from tests.origin.fakes import FakeStore, Origin, audio, manifest_of, signed_manifest

MESH_KEY = secrets.token_bytes(32)
SONG = audio(200 * CHUNK_BYTES + 5)
SONG_ID = manifest_of(SONG).rendition_id


def token(
    *, scope: str = "origin", audience: str = "origin", edge_id: str = "e1", life_s: int = 600, key: bytes = MESH_KEY
) -> tuple[tuple[str, str], ...]:
    claims = Claims(scope, edge_id, audience, edge_id, "t1", int(time.time()) + life_s)
    return rpc.bearer_metadata(mint(claims, edge_id, derive_key(key, edge_id)))


class Served:
    """An origin on a port of its own."""

    def __init__(self, stall_s_max: float = 30.0) -> None:
        self.store = FakeStore(SONG)
        self.origin = Origin(self.store)
        self.streams = Streams("origin", stall_s_max, self.origin.registry)
        self.origin.metrics.streams.set_function(lambda: len(self.streams))
        self.server = rpc.server(rpc.RpcMetrics("origin", self.origin.registry))
        servicer = OriginServicer(self.origin.library, self.streams, lambda kid: derive_key(MESH_KEY, kid))
        add_OriginServiceServicer_to_server(servicer, self.server)
        self.channel = rpc.channel(f"127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}")
        self.stub = OriginServiceStub(self.channel)

    async def close(self) -> None:
        await self.channel.close()
        await self.server.stop(None)
        await self.origin.close()


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    served = Served()
    await served.server.start()
    yield served
    await served.close()


async def code_of(call: object) -> tuple[grpc.StatusCode, str]:
    async def finish() -> None:
        if isinstance(call, grpc.aio.UnaryStreamCall):
            [message async for message in call]
        else:
            await call  # type: ignore[misc]

    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await finish()
    return failure.value.code(), failure.value.details() or ""


async def test_an_edge_gets_manifest_and_chunks(served: Served) -> None:
    answer = await served.stub.GetManifest(pb.GetManifestRequest(rendition_id=SONG_ID), metadata=token())
    assert answer.manifest == signed_manifest(SONG)
    request = pb.ReadChunksRequest(rendition_id=SONG_ID, first_chunk=3)
    chunks = [message.chunk async for message in served.stub.ReadChunks(request, metadata=token())]
    assert b"".join(chunks) == SONG[3 * CHUNK_BYTES :]
    assert {len(chunk) for chunk in chunks[:-1]} == {CHUNK_BYTES}


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ((), grpc.StatusCode.UNAUTHENTICATED),
        ((("authorization", "Bearer nonsense"),), grpc.StatusCode.UNAUTHENTICATED),
        (token(life_s=-600), grpc.StatusCode.UNAUTHENTICATED),
        (token(key=b"x" * 32), grpc.StatusCode.UNAUTHENTICATED),
        (token(audience="balancer"), grpc.StatusCode.UNAUTHENTICATED),
        (token(scope="report"), grpc.StatusCode.PERMISSION_DENIED),
    ],
)
async def test_without_an_edges_own_token_nothing_is_answered(
    served: Served, metadata: tuple[tuple[str, str], ...], expected: grpc.StatusCode
) -> None:
    manifest = served.stub.GetManifest(pb.GetManifestRequest(rendition_id=SONG_ID), metadata=metadata)
    chunks = served.stub.ReadChunks(pb.ReadChunksRequest(rendition_id=SONG_ID), metadata=metadata)
    assert (await code_of(manifest))[0] == expected
    assert (await code_of(chunks))[0] == expected
    assert served.store.manifest_fetches == 0


async def test_failures_have_the_status_the_contract_names(served: Served) -> None:
    def read(rendition_id: str, first_chunk: int = 0) -> object:
        request = pb.ReadChunksRequest(rendition_id=rendition_id, first_chunk=first_chunk)
        return served.stub.ReadChunks(request, metadata=token())

    assert (await code_of(read("../x")))[0] == grpc.StatusCode.INVALID_ARGUMENT
    assert (await code_of(read("0" * 64)))[0] == grpc.StatusCode.NOT_FOUND
    assert (await code_of(read(SONG_ID, 4_000)))[0] == grpc.StatusCode.OUT_OF_RANGE
    served.store.fail_at[0] = Unavailable("S3 failed on rendition: no answer in time")
    assert await code_of(read(SONG_ID)) == (grpc.StatusCode.UNAVAILABLE, "S3 failed on rendition: no answer in time")


async def test_two_hundred_edges_at_once_cost_one_read_of_each_byte(served: Served) -> None:
    async def read() -> bytes:
        request = pb.ReadChunksRequest(rendition_id=SONG_ID, chunk_count=8)
        return b"".join([message.chunk async for message in served.stub.ReadChunks(request, metadata=token())])

    bodies = await asyncio.gather(*(read() for _ in range(200)))
    assert all(body == SONG[: 8 * CHUNK_BYTES] for body in bodies)
    assert served.store.bytes_by_chunk == dict.fromkeys(range(8), 1)


async def test_a_stream_whose_reader_takes_nothing_is_ended_and_others_are_not() -> None:
    served = Served(stall_s_max=0.2)
    await served.server.start()
    stalled = served.stub.ReadChunks(pb.ReadChunksRequest(rendition_id=SONG_ID), metadata=token())
    await stalled.read()
    watch = asyncio.create_task(served.streams.watch())
    await served.streams.wait_idle()
    assert served.origin.count("reprise_origin_streams_stalled_total") == 1
    assert served.origin.count("reprise_origin_streams") == 0
    request = pb.ReadChunksRequest(rendition_id=SONG_ID, chunk_count=3)
    assert len([message async for message in served.stub.ReadChunks(request, metadata=token())]) == 3
    watch.cancel()
    await served.close()
