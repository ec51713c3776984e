"""OpenTelemetry spans from client to S3 under one trace id (W3C traceparent in metadata and headers). Off by default.

On when a service's `otlp_endpoint` is set, or, for all of them and the command line, OTEL_EXPORTER_OTLP_ENDPOINT in the
environment.

While off, every function here costs one attribute look-up, so call sites need no condition of their own.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


class _State:
    tracer: trace.Tracer | None = None


def start(service: str, otlp_endpoint: str, exporter: SpanExporter | None = None) -> TracerProvider | None:
    """Exports spans to `otlp_endpoint` (gRPC, "host:port" or "http://host:port"); empty leaves tracing off. Call once."""
    if exporter is None:
        if not otlp_endpoint:
            return None
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        exporter = OTLPSpanExporter(endpoint=otlp_endpoint, insecure=True)
    provider = TracerProvider(resource=Resource.create({"service.name": f"reprise-{service}"}))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    _State.tracer = trace.get_tracer("reprise")
    return provider


@contextmanager
def exporting(service: str, otlp_endpoint: str) -> Iterator[None]:
    """`start` for as long as the context lasts; what is not sent yet is sent at its end."""
    provider = start(service, otlp_endpoint)
    try:
        yield
    finally:
        if provider is not None:
            provider.shutdown()


def enabled() -> bool:
    """Whether spans are exported."""
    return _State.tracer is not None


@contextmanager
def span(name: str, **attributes: str | int | float) -> Iterator[None]:
    """A child of the span under way."""
    if _State.tracer is None:
        yield
        return
    with _State.tracer.start_as_current_span(name, attributes=attributes):
        yield


@contextmanager
def server_span(name: str, metadata: Iterable[tuple[str, Any]] | None) -> Iterator[None]:
    """A span that continues the caller's trace, if `metadata` (lower-case keys) names one."""
    if _State.tracer is None:
        yield
        return
    carrier = {key: value for key, value in metadata or () if key in ("traceparent", "tracestate")}
    with _State.tracer.start_as_current_span(name, context=propagate.extract(carrier), kind=trace.SpanKind.SERVER):
        yield


def outgoing() -> tuple[tuple[str, str], ...]:
    """Metadata or headers that hand the current trace to the next service."""
    if _State.tracer is None:
        return ()
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return tuple(carrier.items())
