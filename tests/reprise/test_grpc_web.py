"""The gRPC-web bridge: every rule of the protocol, on real generated code, without a socket in between."""

import asyncio
import base64
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from reprise import errors, rpc
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest, SearchResponse
from reprise.grpc_web import method_table, refusal
from reprise.http_message import Request
from tests.reprise import toy
from tests.reprise.web_calls import PROTO, TEXT, answer, bridge, call, drained, framed, read_chunks, split, status_of

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
    "garbage": (call(body=b"\xff" * 20), 3, "flags 0 or 1, not 0xff"),
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
