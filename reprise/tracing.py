"""OpenTelemetry spans from client to S3 under one trace id (W3C traceparent in metadata and headers). Off by default.

On when a service's `otlp_endpoint` is set, or, for all of them and the command line, OTEL_EXPORTER_OTLP_ENDPOINT in the
environment.

While off, every function here costs one attribute look-up, so call sites need no condition of their own, and OpenTelemetry is
not even loaded.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from reprise.otel import Spans

ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"


class _State:
    spans: "Spans | None" = None


def use(spans: "Spans | None") -> None:
    """Turns tracing on for this process; None turns it off."""
    _State.spans = spans


@contextmanager
def exporting(service: str, otlp_endpoint: str) -> Iterator[None]:
    """Exports spans to `otlp_endpoint` (gRPC, "host:port" or "http://host:port") while the context lasts; empty exports none.

    What is not sent yet is sent at its end. Once per process.
    """
    if not otlp_endpoint:
        yield
        return
    # A sixth of a service's time to start, and most run without it.
    from reprise.otel import Spans

    spans = Spans.to(service, otlp_endpoint)
    use(spans)
    try:
        yield
    finally:
        spans.shutdown()


def enabled() -> bool:
    """Whether spans are exported."""
    return _State.spans is not None


@contextmanager
def span(name: str, **attributes: str | int | float) -> Iterator[None]:
    """A child of the span under way."""
    if _State.spans is None:
        yield
        return
    with _State.spans.span(name, attributes):
        yield


@contextmanager
def server_span(name: str, metadata: Iterable[tuple[str, Any]] | None) -> Iterator[None]:
    """A span that continues the caller's trace, if `metadata` (lower-case keys) names one."""
    if _State.spans is None:
        yield
        return
    with _State.spans.server_span(name, metadata or ()):
        yield


def outgoing() -> tuple[tuple[str, str], ...]:
    """Metadata or headers that hand the current trace to the next service."""
    return () if _State.spans is None else _State.spans.outgoing()
