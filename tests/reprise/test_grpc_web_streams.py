"""Streams of the gRPC-web bridge: every message, then the status; the reader sets the pace, and its leaving ends the method."""

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from prometheus_client import CollectorRegistry

from reprise import errors, rpc
from reprise.grpc_web import Bridge, method_table
from reprise.http_message import WAIT
from reprise.origin.v1.origin_service_pb2 import ReadChunksRequest, ReadChunksResponse
from tests.reprise import toy
from tests.reprise.web_calls import TEXT, answer, body_of, bridge, call, drained, framed, next_frame, read_chunks, split


@pytest.mark.parametrize("chunk_count", [0, 1, 5])
async def test_a_stream_gives_every_message_and_then_the_trailers(chunk_count: int) -> None:
    response = await answer(bridge(), read_chunks(chunk_count))
    assert (response.status, body_of(response).length) == (200, None)
    messages, trailers = split(await drained(response))
    assert [ReadChunksResponse.FromString(m).chunk for m in messages] == [b"%d" % n for n in range(chunk_count)]
    assert trailers == {"grpc-status": "0"}


async def test_a_text_stream_is_padded_base64_frame_by_frame() -> None:
    request = framed(ReadChunksRequest(chunk_count=2))
    response = await answer(bridge(), call(toy.READ_CHUNKS, base64.b64encode(request), content_type=TEXT))
    body = body_of(response)
    frames = [await next_frame(body) for _ in range(3)]
    assert await next_frame(body) is None
    body.close()
    messages, trailers = split(b"".join(base64.b64decode(frame or b"", validate=True) for frame in frames))
    assert (len(messages), trailers) == (2, {"grpc-status": "0"})


async def test_the_head_may_leave_before_the_first_message() -> None:
    go = asyncio.Event()

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        await go.wait()
        yield ReadChunksResponse(chunk=b"late")

    response = await answer(bridge(read=read), read_chunks(1))
    body = body_of(response)
    assert body.next() is WAIT
    go.set()
    assert b"late" in (await next_frame(body) or b"")
    body.close()


async def test_a_slow_reader_holds_the_method_back_to_one_message() -> None:
    made = 0

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        nonlocal made
        while made < 100:
            made += 1
            yield ReadChunksResponse(chunk=b"x")

    body = body_of(await answer(bridge(read=read), read_chunks(100)))
    for taken in range(1, 4):
        await next_frame(body)
        for _ in range(20):
            await asyncio.sleep(0)
        assert made == taken + 1
    body.close()


async def test_an_error_in_mid_stream_comes_in_the_trailers_after_what_was_sent() -> None:
    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        yield ReadChunksResponse(chunk=b"one")
        raise errors.Unavailable("no source has chunk 1", retry_after_s=0.2)

    messages, trailers = split(await drained(await answer(bridge(read=read), read_chunks(2))))
    assert len(messages) == 1
    assert trailers == {
        "grpc-status": "14",
        "grpc-message": "no source has chunk 1",
        "retry-after": "1",
        "grpc-retry-pushback-ms": "200",
    }


async def test_the_deadline_ends_a_stream_with_its_status() -> None:
    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        yield ReadChunksResponse(chunk=b"one")
        await asyncio.Event().wait()

    _, trailers = split(await drained(await answer(bridge(read=read), read_chunks(2, grpc_timeout="20m"))))
    assert trailers["grpc-status"] == "4"


async def test_the_deadline_ends_a_stream_that_nobody_reads() -> None:
    ended = asyncio.Event()

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        try:
            while True:
                yield ReadChunksResponse(chunk=b"x")
        finally:
            ended.set()

    response = await answer(bridge(read=read), read_chunks(1, grpc_timeout="20m"))
    await ended.wait()
    messages, trailers = split(await drained(response))
    assert (len(messages), trailers["grpc-status"]) == (1, "4")


@pytest.mark.parametrize("where", ["waiting for its source", "waiting for the listener"])
async def test_a_listener_that_leaves_ends_the_method_at_once(where: str) -> None:
    registry, seen = CollectorRegistry(), []

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        try:
            yield ReadChunksResponse(chunk=b"one")
            if where == "waiting for its source":
                await asyncio.Event().wait()
            yield ReadChunksResponse(chunk=b"two")
        except BaseException as error:
            seen.append(type(error))
            raise

    door = bridge(read=read, registry=registry)
    body = body_of(await answer(door, read_chunks(2)))
    await next_frame(body)
    for _ in range(20):
        await asyncio.sleep(0)
    body.close()
    await door.stop()
    assert seen == [asyncio.CancelledError if where == "waiting for its source" else GeneratorExit]
    labels = {"method": "ReadChunks", "door": "grpc-web", "code": "CANCELLED"}
    assert registry.get_sample_value("reprise_toy_rpc_seconds_count", labels) == 1


async def test_a_body_that_is_never_pulled_ends_its_task() -> None:
    door = bridge()
    body_of(await answer(door, read_chunks(1))).close()
    await door.stop()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == toy.READ_CHUNKS]


async def test_stop_ends_streams_under_way() -> None:
    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        await asyncio.Event().wait()
        yield ReadChunksResponse()

    door = bridge(read=read)
    body = body_of(await answer(door, read_chunks(1)))
    assert body.next() is WAIT
    await door.stop()
    assert body.next() is None, "the body ends without trailers: the client sees a broken call"
    body.close()


async def test_a_method_that_writes_to_its_context_streams_too() -> None:
    health = HealthServicer()
    table = method_table([(health_pb2_grpc.add_HealthServicer_to_server, health)])
    door = Bridge(table, rpc.RpcMetrics("toy", CollectorRegistry()))
    response = await answer(door, call("/grpc.health.v1.Health/Watch", framed(health_pb2.HealthCheckRequest())))
    body = body_of(response)
    assert await next_frame(body) == framed(health_pb2.HealthCheckResponse(status=1))
    assert body.next() is WAIT
    await health.set("", health_pb2.HealthCheckResponse.NOT_SERVING)
    assert await next_frame(body) == framed(health_pb2.HealthCheckResponse(status=2))
    body.close()
    await door.stop()
