"""The gRPC-web bridge: every rule of the protocol, on real generated code, without a socket in between."""

import asyncio
import base64
import struct
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from reprise import errors, rpc
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest, SearchResponse
from reprise.grpc_web import Bridge, method_table, refusal
from reprise.http_message import WAIT, Body, Request, Response
from reprise.origin.v1.origin_service_pb2 import ReadChunksRequest, ReadChunksResponse
from tests.reprise import toy

PROTO, TEXT = "application/grpc-web+proto", "application/grpc-web-text"


def bridge(
    search: toy.Search = toy.echo, read: toy.Read = toy.count, registry: CollectorRegistry | None = None
) -> Bridge:
    metrics = rpc.RpcMetrics("toy", registry or CollectorRegistry())
    return Bridge(method_table(toy.servicers(search, read)), metrics)


def framed(message: Any) -> bytes:
    body = message if isinstance(message, bytes) else message.SerializeToString()
    return struct.pack(">BI", 0, len(body)) + body


def call(path: str = toy.SEARCH, body: bytes = framed(SearchRequest(query="q")), **headers: str) -> Request:
    named = {"content-type": PROTO} | {name.replace("_", "-"): value for name, value in headers.items()}
    return Request("POST", path, "", named, body, "127.0.0.1")


def read_chunks(chunk_count: int, **headers: str) -> Request:
    return call(toy.READ_CHUNKS, framed(ReadChunksRequest(chunk_count=chunk_count)), **headers)


async def answer(door: Bridge, request: Request) -> Response:
    assert door.takes(request)
    response = door.handle(request)
    return response if isinstance(response, Response) else await response


def body_of(response: Response) -> Body:
    assert not isinstance(response.body, bytes)
    return response.body


async def next_frame(body: Body) -> bytes | None:
    """The next piece of a body, as a socket with room would take it."""
    while (piece := body.next()) is WAIT:
        ready = asyncio.Event()
        body.on_ready(ready.set)
        await ready.wait()
    return None if piece is None else piece.head


async def drained(response: Response) -> bytes:
    body, parts = body_of(response), []
    while (frame := await next_frame(body)) is not None:
        parts.append(frame)
    body.close()
    return b"".join(parts)


def split(body: bytes) -> tuple[list[bytes], dict[str, str]]:
    """Messages and trailers of a response body; trailers must come last."""
    messages: list[bytes] = []
    while body:
        flags, size = struct.unpack(">BI", body[:5])
        payload, body = body[5 : 5 + size], body[5 + size :]
        if flags == 0x80:
            assert not body, "something follows the trailers"
            return messages, dict(line.split(": ", 1) for line in payload.decode().splitlines())
        assert flags == 0
        messages.append(payload)
    raise AssertionError("no trailers")


def status_of(response: Response) -> tuple[int, str]:
    headers = dict(response.headers)
    return int(headers["grpc-status"]), headers.get("grpc-message", "")


# Unary calls


async def test_a_unary_call_is_answered_with_message_and_trailers() -> None:
    response = await answer(bridge(), call())
    assert (response.status, response.headers) == (200, (("content-type", PROTO),))
    assert isinstance(response.body, bytes)
    messages, trailers = split(response.body)
    assert [SearchResponse.FromString(m).next_cursor for m in messages] == ["q"]
    assert trailers == {"grpc-status": "0"}


async def test_the_text_form_is_base64_both_ways() -> None:
    request = call(body=base64.b64encode(framed(SearchRequest(query="q"))), content_type=TEXT + "; charset=utf-8")
    response = await answer(bridge(), request)
    assert response.headers == (("content-type", TEXT),)
    assert isinstance(response.body, bytes)
    messages, trailers = split(base64.b64decode(response.body, validate=True))
    assert (len(messages), trailers) == (1, {"grpc-status": "0"})


async def test_an_error_is_answered_in_headers_alone_with_its_pause() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        raise errors.QuotaExceeded("200 % is too much: ü\n", retry_after_s=1.5)

    response = await answer(bridge(search), call())
    assert (response.status, response.body) == (200, b"")
    assert response.headers == (
        ("content-type", PROTO),
        ("grpc-status", "8"),
        ("grpc-message", "200 %25 is too much: %C3%BC%0A"),
        ("retry-after", "2"),
        ("grpc-retry-pushback-ms", "1500"),
    )


async def test_a_stray_exception_becomes_internal_with_an_id_and_nothing_of_itself() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        raise RuntimeError("the secret is 1234")

    code, message = status_of(await answer(bridge(search), call()))
    assert code == 13
    assert message.startswith("internal error, id ")
    assert "1234" not in message


async def test_the_method_sees_metadata_peer_deadline_and_token() -> None:
    seen: dict[str, Any] = {}

    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        seen.update(context.invocation_metadata())
        seen.update(token=rpc.bearer(context), peer=context.peer(), left=context.time_remaining())
        return SearchResponse()

    headers = {"authorization": "Bearer abc", "x_bin": "AAE=", "grpc_timeout": "20S"}
    await answer(bridge(search), call(**headers))
    assert (seen["token"], seen["peer"], seen["x-bin"]) == ("abc", "127.0.0.1", b"\0\1")
    assert 15 < seen["left"] <= 20
    assert "grpc-timeout" not in seen
    assert "content-type" not in seen


async def test_without_a_timeout_there_is_no_deadline() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        return SearchResponse(next_cursor=str(context.time_remaining()))

    response = await answer(bridge(search), call())
    assert b"None" in response.body


@pytest.mark.parametrize("ending", ["return", "abort", "set_code"])
async def test_trailing_metadata_and_status_details_reach_the_client(ending: str) -> None:
    trailing = (("x", "1"), ("x", "2"), ("grpc-status-details-bin", b"\x08\x05"))

    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        context.set_trailing_metadata(trailing)
        if ending == "abort":
            await context.abort(grpc.StatusCode.ABORTED, "stale")
        elif ending == "set_code":
            context.set_code(grpc.StatusCode.ABORTED)
            context.set_details("stale")
        return SearchResponse()

    response = await answer(bridge(search), call())
    sent = [("x", "1"), ("x", "2"), ("grpc-status-details-bin", "CAU")]
    if ending == "return":
        trailers = response.body[10:].decode().splitlines()
        assert trailers == ["grpc-status: 0", *(f"{key}: {value}" for key, value in sent)]
    else:
        assert response.headers[1:] == (("grpc-status", "10"), ("grpc-message", "stale"), *sent)


async def test_metadata_that_cannot_be_sent_is_a_defect_of_the_method_not_of_the_answer() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        context.set_trailing_metadata([("Bad Key", "x")])
        return SearchResponse()

    assert status_of(await answer(bridge(search), call()))[0] == 13


async def test_the_deadline_of_the_caller_ends_a_call_and_cancels_its_method() -> None:
    ended = asyncio.Event()

    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return SearchResponse()

    assert status_of(await answer(bridge(search), call(grpc_timeout="10m")))[0] == 4
    assert ended.is_set()


async def test_a_timeout_of_the_methods_own_is_not_the_callers_deadline() -> None:
    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        raise TimeoutError

    assert status_of(await answer(bridge(search), call(grpc_timeout="1H")))[0] == 13


async def test_a_cancelled_call_cancels_its_method() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def search(request: SearchRequest, context: Any) -> SearchResponse:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return SearchResponse()

    task = asyncio.ensure_future(answer(bridge(search), call()))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


# Requests that are refused

OK_BODY = framed(SearchRequest(query="q"))
REFUSED = {
    "no message": (call(body=b""), 12, "this one has none"),
    "two messages": (call(body=OK_BODY * 2), 12, "this one has more"),
    "compressed": (call(body=b"\1" + OK_BODY[1:]), 12, "compressed"),
    "unknown method": (call("/reprise.catalog.v1.CatalogService/Nope"), 12, "CatalogService/Nope"),
    "unknown service": (call("/reprise.none.v1.NoService/Search"), 12, "NoService/Search"),
    "method without code": (call(toy.BROWSE), 12, "not implemented"),
    "client stream": (call(toy.REPORT_LOAD), 12, "stream of requests"),
    "too large": (call(body=framed(b"a" * (64 * 1024 + 1))), 8, "at most 65536 bytes, this one 65537"),
    "garbage": (call(body=b"\xff" * 20), 3, "flags 0, not 0xff"),
    "cut": (call(body=OK_BODY[:-1]), 3, "announces 3 bytes, 2 came"),
    "not protobuf": (call(body=framed(b"\xff\xff")), 3, "does not parse"),
    "not base64": (call(content_type=TEXT), 3, "base64"),
    "bad timeout": (call(grpc_timeout="soon"), 3, "grpc-timeout"),
    "bad binary metadata": (call(x_bin="%%"), 3, "x-bin"),
}


@pytest.mark.parametrize(("request_", "code", "complaint"), REFUSED.values(), ids=REFUSED)
async def test_a_call_that_cannot_be_made_is_refused_in_headers_alone(
    request_: Request, code: int, complaint: str
) -> None:
    response = await answer(bridge(), request_)
    assert (response.status, response.body) == (200, b"")
    status, message = status_of(response)
    assert status == code
    assert complaint in message


async def test_a_message_of_exactly_the_limit_is_taken() -> None:
    request = SearchRequest(query="q" * (64 * 1024 - 4))
    assert len(request.SerializeToString()) == 64 * 1024
    response = await answer(bridge(), call(body=framed(request)))
    assert isinstance(response.body, bytes)
    assert split(response.body)[1] == {"grpc-status": "0"}


@given(st.binary(max_size=80), st.sampled_from([PROTO, TEXT]), st.sampled_from([toy.SEARCH, toy.READ_CHUNKS, "/a.B/C"]))
def test_no_body_makes_the_bridge_raise(body: bytes, content_type: str, path: str) -> None:
    async def run() -> None:
        response = await answer(bridge(), call(path, body, content_type=content_type))
        assert response.status == 200
        if not isinstance(response.body, bytes):
            response.body.close()

    asyncio.run(run())


@pytest.mark.parametrize("content_type", ["application/grpc", "application/json", "", "application/grpc-web+json"])
async def test_another_content_type_is_415(content_type: str) -> None:
    response = await answer(bridge(), call(content_type=content_type))
    assert response.status == 415
    assert b"application/grpc-web" in response.body


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_another_http_method_is_405(method: str) -> None:
    response = await answer(bridge(), Request(method, toy.SEARCH, "", {}, b"", ""))
    assert response.status == 405
    assert ("allow", "POST, OPTIONS") in response.headers


@pytest.mark.parametrize(
    ("request_", "taken"),
    [
        (call(), True),
        (call("/a.b.Unknown/Method"), True),
        (call("/a.b.Unknown/Method", content_type="text/plain"), False),
        (call("/covers/abc", content_type="image/png"), False),
        (call("/"), False),
        (call("/a/b/c"), False),
        (call(toy.SEARCH + "/"), False),
        (Request("GET", "/metrics", "", {}, b"", ""), False),
        (Request("GET", "/covers/abc", "", {}, b"", ""), False),
        (Request("OPTIONS", "/a.B/C", "", {"access-control-request-method": "POST"}, b"", ""), True),
        (Request("OPTIONS", "/a.B/C", "", {}, b"", ""), False),
        (Request("OPTIONS", "*", "", {}, b"", ""), False),
    ],
)
def test_the_bridge_takes_its_services_and_grpc_web_and_leaves_the_rest(request_: Request, taken: bool) -> None:
    assert bridge().takes(request_) is taken


# Pages of other origins


async def test_a_preflight_allows_the_callers_origin_and_what_clients_send() -> None:
    asked = {"origin": "https://player.example", "access-control-request-method": "POST"}
    response = await answer(bridge(), Request("OPTIONS", toy.SEARCH, "", asked, b"", ""))
    headers = dict(response.headers)
    assert (response.status, response.body) == (204, b"")
    assert headers["access-control-allow-origin"] == "https://player.example"
    assert headers["access-control-max-age"] == "7200"
    assert "access-control-allow-credentials" not in headers
    allowed = headers["access-control-allow-headers"].split(", ")
    for name in ("authorization", "content-type", "x-grpc-web", "x-user-agent", "grpc-timeout", "range", "if-range"):
        assert name in allowed
    assert "traceparent" in allowed


@pytest.mark.parametrize("path", [toy.SEARCH, toy.BROWSE, toy.READ_CHUNKS])
async def test_every_answer_to_a_page_exposes_what_it_must_read(path: str) -> None:
    response = await answer(bridge(), call(path, framed(b""), origin="https://player.example"))
    headers = dict(response.headers)
    assert headers["access-control-allow-origin"] == "https://player.example"
    assert headers["vary"] == "origin"
    exposed = headers["access-control-expose-headers"].split(", ")
    for name in ("grpc-status", "grpc-message", "grpc-status-details-bin", "content-range", "accept-ranges", "etag"):
        assert name in exposed
    if not isinstance(response.body, bytes):
        response.body.close()


async def test_answers_without_an_origin_carry_no_cors_headers() -> None:
    response = await answer(bridge(), call())
    assert not [name for name, _ in response.headers if name.startswith("access-control")]


def test_a_refusal_can_be_built_outside_the_bridge() -> None:
    response = refusal(call(origin="https://a.example"), errors.Unauthenticated("a grant is missing"))
    assert status_of(response) == (16, "a grant is missing")
    assert dict(response.headers)["access-control-allow-origin"] == "https://a.example"


# Streams


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


# Figures


async def test_calls_are_counted_by_method_and_code_and_never_by_a_name_that_a_caller_made_up() -> None:
    registry = CollectorRegistry()
    door = bridge(registry=registry)
    await answer(door, call())
    await answer(door, call(body=b""))
    await answer(door, call("/x.Y/MadeUp"))
    await drained(await answer(door, read_chunks(1)))
    counted = [
        (sample.labels["method"], sample.labels["door"], sample.labels["code"], sample.value)
        for metric in registry.collect()
        for sample in metric.samples
        if sample.name.endswith("_count")
    ]
    assert sorted(counted) == [
        ("ReadChunks", "grpc-web", "OK", 1.0),
        ("Search", "grpc-web", "OK", 1.0),
        ("Search", "grpc-web", "UNIMPLEMENTED", 1.0),
        ("unknown", "grpc-web", "UNIMPLEMENTED", 1.0),
    ]


def test_the_method_table_lists_every_method_of_every_service() -> None:
    table = method_table(toy.servicers())
    assert sorted(table) == [
        "reprise.balancer.v1.BalancerService",
        "reprise.catalog.v1.CatalogService",
        "reprise.origin.v1.OriginService",
    ]
    assert set(table["reprise.origin.v1.OriginService"]) == {"GetManifest", "ReadChunks"}
