"""The boundary to gRPC, on a real grpc.aio server: errors arrive as what they were, and nothing else leaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from prometheus_client import CollectorRegistry

from reprise import errors, rpc
from reprise.catalog.v1.catalog_service_pb2 import BrowseRequest, SearchRequest, SearchResponse
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.errors import RepriseError
from reprise.origin.v1.origin_service_pb2 import ReadChunksRequest, ReadChunksResponse
from reprise.origin.v1.origin_service_pb2_grpc import OriginServiceStub
from tests.reprise import toy
from tests.support.wait import wait_until

LEAVES = sorted(rpc.STATUS, key=lambda cls: cls.__name__)


@asynccontextmanager
async def serving(
    search: toy.Search = toy.echo, read: toy.Read = toy.count, registry: CollectorRegistry | None = None
) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the toys on a free port."""
    server = rpc.server(rpc.RpcMetrics("toy", registry or CollectorRegistry()))
    for add, servicer in toy.servicers(search, read):
        add(servicer, server)
    health_pb2_grpc.add_HealthServicer_to_server(HealthServicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    channel = rpc.channel(f"127.0.0.1:{port}")
    try:
        yield channel
    finally:
        await channel.close()
        await server.stop(None)


async def failure_of(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await call
    return failed.value


def calls(registry: CollectorRegistry, method: str, code: str) -> float | None:
    labels = {"method": method, "door": "grpc", "code": code}
    return registry.get_sample_value("reprise_toy_rpc_seconds_count", labels)


@pytest.mark.parametrize("cls", LEAVES)
async def test_every_error_arrives_as_what_it_was(cls: type[RepriseError]) -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        raise cls("no such thing: 'x'", retry_after_s=0.25)

    async with serving(search) as channel:
        failure = await failure_of(CatalogServiceStub(channel).Search(SearchRequest()))
    assert failure.code() is rpc.STATUS[cls]
    assert failure.details() == "no such thing: 'x'"
    trailing = dict(failure.trailing_metadata() or ())
    assert (trailing["retry-after"], trailing["grpc-retry-pushback-ms"]) == ("1", "250")
    arrived = rpc.error_of(failure, "origin 127.0.0.1:7")
    assert type(arrived) is cls
    assert arrived.message.endswith("no such thing: 'x'")
    assert arrived.retry_after_s == 0.25


async def test_an_error_in_mid_stream_arrives_after_the_messages_before_it() -> None:
    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        yield ReadChunksResponse(chunk=b"one")
        raise errors.DataCorrupt("chunk 1 of abc")

    async with serving(read=read) as channel:
        call = OriginServiceStub(channel).ReadChunks(ReadChunksRequest())
        assert (await call.read()).chunk == b"one"
        failure = await failure_of(call.read())
    assert failure.code() is grpc.StatusCode.DATA_LOSS


async def test_a_stray_exception_is_internal_with_an_id_and_nothing_of_itself() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        raise ZeroDivisionError("secret 1234")

    async with serving(search) as channel:
        failure = await failure_of(CatalogServiceStub(channel).Search(SearchRequest()))
    assert failure.code() is grpc.StatusCode.INTERNAL
    assert (failure.details() or "").startswith("internal error, id ")
    assert not [word for word in ("1234", "Traceback", "ZeroDivision") if word in (failure.details() or "")]


async def test_a_method_without_code_is_unimplemented() -> None:
    async with serving() as channel:
        failure = await failure_of(CatalogServiceStub(channel).Browse(BrowseRequest()))
    assert failure.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "code",
    [
        grpc.StatusCode.INTERNAL,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNAVAILABLE,
    ],
)
async def test_what_may_be_the_peers_trouble_means_try_the_next(code: grpc.StatusCode) -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        await context.abort(code, "trouble")

    async with serving(search) as channel:
        failure = await failure_of(CatalogServiceStub(channel).Search(SearchRequest()))
    error = rpc.error_of(failure, "origin 10.0.0.1:7")
    assert type(error) is errors.Unavailable
    assert "trouble" in error.message


async def test_a_peer_that_is_not_there_is_named() -> None:
    channel = rpc.channel("127.0.0.1:1")
    failure = await failure_of(CatalogServiceStub(channel).Search(SearchRequest(), timeout=10))
    await channel.close()
    error = rpc.error_of(failure, "catalog 127.0.0.1:1")
    assert type(error) is errors.Unavailable
    assert error.message.startswith("catalog 127.0.0.1:1: ")


def test_a_long_message_is_cut_to_fit_metadata() -> None:
    assert len(rpc.status_of(errors.NotFound("x" * 10_000), "/a/b").message) == rpc.MESSAGE_CHARS_MAX


def test_a_subclass_of_an_error_has_its_status() -> None:
    class Stale(errors.Conflict):
        pass

    assert rpc.status_of(Stale("old"), "/a/b").code is grpc.StatusCode.ABORTED


async def test_the_bearer_token_travels_in_metadata() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        return SearchResponse(next_cursor=rpc.bearer(context))

    async with serving(search) as channel:
        stub = CatalogServiceStub(channel)
        answer = await stub.Search(SearchRequest(), metadata=rpc.bearer_metadata("t-1"))
        assert answer.next_cursor == "t-1"
        for metadata in ((), (("authorization", "Basic x"),), (("authorization", "Bearer"),)):
            assert (await stub.Search(SearchRequest(), metadata=metadata)).next_cursor == ""


async def test_calls_are_counted_by_their_final_code() -> None:
    registry = CollectorRegistry()

    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        if request.query == "abort":
            await context.abort(grpc.StatusCode.ABORTED, "stale")
        if request.query:
            raise errors.NotFound(request.query)
        return SearchResponse()

    async with serving(search, registry=registry) as channel:
        stub = CatalogServiceStub(channel)
        await stub.Search(SearchRequest())
        await failure_of(stub.Search(SearchRequest(query="x")))
        await failure_of(stub.Search(SearchRequest(query="abort")))
        assert [m.chunk async for m in OriginServiceStub(channel).ReadChunks(ReadChunksRequest(chunk_count=2))]
    assert calls(registry, "Search", "OK") == 1
    assert calls(registry, "Search", "NOT_FOUND") == 1
    assert calls(registry, "Search", "ABORTED") == 1
    assert calls(registry, "ReadChunks", "OK") == 1


async def test_a_caller_that_leaves_ends_the_method() -> None:
    ended, registry = asyncio.Event(), CollectorRegistry()

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        try:
            yield ReadChunksResponse(chunk=b"one")
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with serving(read=read, registry=registry) as channel:
        call = OriginServiceStub(channel).ReadChunks(ReadChunksRequest())
        await call.read()
        call.cancel()
        async with asyncio.timeout(10):
            await ended.wait()
    assert calls(registry, "ReadChunks", "CANCELLED") == 1


async def test_a_method_that_writes_fails_like_one_that_yields() -> None:
    async def read(request: ReadChunksRequest, context: Any) -> None:
        await context.write(ReadChunksResponse(chunk=b"one"))
        raise errors.DataCorrupt("chunk 1 of abc")

    async with serving(read=read) as channel:
        call = OriginServiceStub(channel).ReadChunks(ReadChunksRequest())
        assert (await call.read()).chunk == b"one"
        failure = await failure_of(call.read())
    assert (failure.code(), failure.details()) == (grpc.StatusCode.DATA_LOSS, "chunk 1 of abc")


@pytest.mark.parametrize("yielding", [True, False])
async def test_a_caller_that_leaves_in_the_middle_of_a_write_is_no_internal_error(
    yielding: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = CollectorRegistry()
    # More than the flow-control window and the buffers of both sides hold.
    messages = [ReadChunksResponse(chunk=bytes(1 << 19))] * 64

    async def generate(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        for message in messages:
            yield message

    async def write(request: ReadChunksRequest, context: Any) -> None:
        for message in messages:
            await context.write(message)

    async with serving(read=generate if yielding else write, registry=registry) as channel:
        for _ in range(20):
            call = OriginServiceStub(channel).ReadChunks(ReadChunksRequest())
            await call.read()
            call.cancel()
        await wait_until(lambda: calls(registry, "ReadChunks", "CANCELLED") == 20, "all of them have ended")
    assert "internal_error" not in capsys.readouterr().out


async def test_a_write_that_fails_because_the_caller_is_gone_is_no_incident(capsys: pytest.CaptureFixture[str]) -> None:
    registry = CollectorRegistry()

    async def read(request: ReadChunksRequest, context: Any) -> None:
        raise grpc.aio.InternalError("Failed execute_batch")

    async with serving(read=read, registry=registry) as channel:
        await failure_of(OriginServiceStub(channel).ReadChunks(ReadChunksRequest()).read())
    assert calls(registry, "ReadChunks", "CANCELLED") == 1
    assert "internal_error" not in capsys.readouterr().out


async def test_a_request_over_the_limit_is_refused() -> None:
    async with serving() as channel:
        failure = await failure_of(CatalogServiceStub(channel).Search(SearchRequest(query="x" * rpc.REQUEST_BYTES_MAX)))
    assert failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_method_that_writes_to_its_context_streams_through_the_boundary() -> None:
    async with serving() as channel:
        call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await call.read()).status == health_pb2.HealthCheckResponse.SERVING
        call.cancel()


async def test_channels_are_opened_once_and_forgotten_on_demand() -> None:
    channels = rpc.Channels()
    first = channels.to("127.0.0.1:1")
    assert channels.to("127.0.0.1:1") is first
    kept = channels.to("127.0.0.1:2")
    await channels.forget(["127.0.0.1:2"])
    assert channels.to("127.0.0.1:2") is kept
    assert channels.to("127.0.0.1:1") is not first
    await channels.close()
