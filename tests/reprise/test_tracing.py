"""Tracing: one trace id from the caller to the method, through both doors; nothing at all while it is off."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from prometheus_client import CollectorRegistry

from reprise import rpc, tracing
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest, SearchResponse
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.grpc_web import Bridge, method_table
from reprise.http_message import Request
from reprise.otel import Spans
from tests.reprise import toy
from tests.reprise.test_rpc import serving

Finished = Callable[[], list[ReadableSpan]]
EXPORTER = InMemorySpanExporter()
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(scope="module")
def exported() -> Iterator[Spans]:
    """The spans of this process: OpenTelemetry takes one provider and keeps it."""
    made = Spans("toy", EXPORTER)
    tracing.use(made)
    yield made
    tracing.use(None)


@pytest.fixture
def spans(exported: Spans) -> Finished:
    EXPORTER.clear()

    def finished() -> list[ReadableSpan]:
        exported.flush()
        return list(EXPORTER.get_finished_spans())

    return finished


def trace_id(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


async def inner_span(request: SearchRequest, context: Any) -> SearchResponse:
    with tracing.span("query", rows=3):
        return SearchResponse()


def test_off_means_no_metadata_and_no_span() -> None:
    assert not tracing.enabled()
    with tracing.exporting("toy", ""), tracing.span("x"), tracing.server_span("y", (("traceparent", TRACEPARENT),)):
        assert tracing.outgoing() == ()
        assert not trace.get_current_span().get_span_context().is_valid
    assert rpc.bearer_metadata("t") == (("authorization", "Bearer t"),)


async def test_one_trace_id_from_caller_to_method_over_grpc(spans: Finished) -> None:
    async with serving(inner_span) as channel:
        with tracing.span("client"):
            await CatalogServiceStub(channel).Search(SearchRequest(), metadata=rpc.bearer_metadata("t"))
    by_name = {span.name: span for span in spans()}
    assert set(by_name) == {"client", toy.SEARCH, "query"}
    assert len({trace_id(span) for span in by_name.values()}) == 1
    assert by_name["query"].parent == by_name[toy.SEARCH].context
    server_parent = by_name[toy.SEARCH].parent
    assert server_parent is not None
    assert server_parent.span_id == by_name["client"].context.span_id
    assert by_name["query"].attributes == {"rows": 3}


async def test_the_trace_of_a_page_goes_on_over_grpc_web(spans: Finished) -> None:
    bridge = Bridge(method_table(toy.servicers(inner_span)), rpc.RpcMetrics("toy", CollectorRegistry()))
    headers = {"content-type": "application/grpc-web", "traceparent": TRACEPARENT}
    response = bridge.handle(Request("POST", toy.SEARCH, "", headers, bytes(5), ""))
    await response
    assert {f"{trace_id(span):032x}" for span in spans()} == {"0af7651916cd43dd8448eb211c80319c"}


async def test_calls_without_a_trace_start_one_each(spans: Finished) -> None:
    async with serving(inner_span) as channel:
        stub = CatalogServiceStub(channel)
        await stub.Search(SearchRequest())
        await stub.Search(SearchRequest())
    assert len({trace_id(span) for span in spans() if span.name == "query"}) == 2


def test_a_broken_traceparent_starts_a_new_trace(spans: Finished) -> None:
    with tracing.server_span("call", (("traceparent", "garbage"), ("tracestate", "=,="))):
        pass
    assert [span.parent for span in spans()] == [None]
