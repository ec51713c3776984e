"""Spans by OpenTelemetry. `reprise.tracing` imports this when an endpoint is set, and nothing else does: it is slow to load."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter


class Spans:
    """The spans of this process. OpenTelemetry takes one provider and keeps it: make one of these."""

    def __init__(self, service: str, exporter: SpanExporter) -> None:
        self._provider = TracerProvider(resource=Resource.create({"service.name": f"reprise-{service}"}))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        trace.set_tracer_provider(self._provider)
        self._tracer = trace.get_tracer("reprise")

    @classmethod
    def to(cls, service: str, otlp_endpoint: str) -> "Spans":
        """Exported over gRPC."""
        return cls(service, OTLPSpanExporter(endpoint=otlp_endpoint, insecure=True))

    @contextmanager
    def span(self, name: str, attributes: dict[str, str | int | float]) -> Iterator[None]:
        with self._tracer.start_as_current_span(name, attributes=attributes):
            yield

    @contextmanager
    def server_span(self, name: str, metadata: Iterable[tuple[str, Any]]) -> Iterator[None]:
        carrier = {key: value for key, value in metadata if key in ("traceparent", "tracestate")}
        context = propagate.extract(carrier)
        with self._tracer.start_as_current_span(name, context=context, kind=trace.SpanKind.SERVER):
            yield

    def outgoing(self) -> tuple[tuple[str, str], ...]:
        carrier: dict[str, str] = {}
        propagate.inject(carrier)
        return tuple(carrier.items())

    def flush(self) -> None:
        """Sends what is not sent yet."""
        self._provider.force_flush()

    def shutdown(self) -> None:
        """As `flush`, and ends."""
        self._provider.shutdown()
