"""The boundary to gRPC: errors to status and back, servers and channels with every limit set on purpose.

A servicer method raises `reprise.errors`; only this module and `reprise.grpc_web` turn that into wire codes. Stray exceptions
become INTERNAL with an id that the log also carries: no traceback reaches a client.
"""

import inspect
import re
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

import grpc
from prometheus_client import CollectorRegistry, Histogram

from reprise import errors, rpc_tls, tracing
from reprise.errors import RepriseError
from reprise.log import get_logger

log = get_logger()

Code = grpc.StatusCode
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
STATUS: dict[type[RepriseError], grpc.StatusCode] = {
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.OutOfRange: Code.OUT_OF_RANGE,
    errors.Unauthenticated: Code.UNAUTHENTICATED,
    errors.Forbidden: Code.PERMISSION_DENIED,
    errors.NotFound: Code.NOT_FOUND,
    errors.AlreadyExists: Code.ALREADY_EXISTS,
    errors.Conflict: Code.ABORTED,
    errors.NotReady: Code.FAILED_PRECONDITION,
    errors.QuotaExceeded: Code.RESOURCE_EXHAUSTED,
    errors.Unavailable: Code.UNAVAILABLE,
    errors.DataCorrupt: Code.DATA_LOSS,
}
# grpc.aio reports a connection that broke in mid-stream as INTERNAL or UNKNOWN (grpc#36066), and black holes as
# DEADLINE_EXCEEDED: for a caller with other candidates all of these mean "try the next".
_ERROR: dict[grpc.StatusCode, type[RepriseError]] = {code: error for error, code in STATUS.items()} | {
    Code.DEADLINE_EXCEEDED: errors.Unavailable,
    Code.INTERNAL: errors.Unavailable,
    Code.UNKNOWN: errors.Unavailable,
    Code.CANCELLED: errors.Unavailable,
    Code.UNIMPLEMENTED: errors.InvalidRequest,
}
HTTP_STATUS: dict[type[RepriseError], int] = {
    errors.InvalidRequest: 400,
    errors.OutOfRange: 416,
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.NotFound: 404,
    errors.AlreadyExists: 409,
    errors.Conflict: 409,
    errors.NotReady: 409,
    errors.QuotaExceeded: 429,
    errors.Unavailable: 503,
    errors.DataCorrupt: 502,
}
MESSAGE_CHARS_MAX = 400  # over 8 KiB of metadata is dropped at random by peers (grpc#32600)

REQUEST_BYTES_MAX = 64 * 1024
# What a balancer tells of 5,000 edges. A relayed or origin chunk is far below.
RESPONSE_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Status:
    """What goes on the wire for a failed call."""

    code: grpc.StatusCode
    message: str
    trailing: tuple[tuple[str, str], ...] = ()


def status_of(error: BaseException, method: str) -> Status:
    """The wire status of any exception; a stray one is logged with the id that the client gets."""
    if isinstance(error, RepriseError):
        code = next(STATUS[cls] for cls in type(error).__mro__ if cls in STATUS)
        trailing: tuple[tuple[str, str], ...] = ()
        if error.retry_after_s is not None:
            pause_ms = str(int(error.retry_after_s * 1000))
            trailing = (("retry-after", str(max(1, round(error.retry_after_s)))), ("grpc-retry-pushback-ms", pause_ms))
        return Status(code, error.message[:MESSAGE_CHARS_MAX], trailing)
    if isinstance(error, NotImplementedError):
        return Status(Code.UNIMPLEMENTED, f"{method} is not implemented here")
    incident = secrets.token_hex(6)
    log.error("internal_error", incident=incident, method=method, exc_info=error)
    return Status(Code.INTERNAL, f"internal error, id {incident}")


def error_of(failure: grpc.RpcError, peer: str) -> RepriseError:
    """Our error for a failed call to `peer`, the reverse of `status_of`."""
    code = failure.code() if isinstance(failure, grpc.aio.AioRpcError) else Code.UNKNOWN
    details = (failure.details() if isinstance(failure, grpc.aio.AioRpcError) else str(failure)) or code.name
    if code in (Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.DEADLINE_EXCEEDED):
        details = f"{peer}: {rpc_tls.explain(details)}"
    return _ERROR.get(code, errors.Unavailable)(details, retry_after_s=_retry_after_s(failure))


def _retry_after_s(failure: grpc.RpcError) -> float | None:
    trailing = failure.trailing_metadata() if isinstance(failure, grpc.aio.AioRpcError) else None
    pause_ms = str(dict(trailing or ()).get("grpc-retry-pushback-ms", ""))
    return int(pause_ms) / 1000 if re.fullmatch("[0-9]{1,9}", pause_ms) else None


def bearer(context: Any) -> str:
    """The token in `authorization: Bearer ...` of a call, or empty."""
    for key, value in context.invocation_metadata() or ():
        if key == "authorization" and isinstance(value, str) and value[:7].lower() == "bearer ":
            return value[7:].strip()
    return ""


def bearer_metadata(token: str) -> tuple[tuple[str, str], ...]:
    """Metadata that carries `token`, and the trace that is under way."""
    return (("authorization", f"Bearer {token}"), *tracing.outgoing())


@dataclass(slots=True)
class RpcMetrics:
    """Seconds of every call by method and final code; the count of the histogram is the count of calls."""

    service: str
    registry: CollectorRegistry
    seconds: Histogram = field(init=False)
    # What `labels` finds, found faster: by (method, door, code), all of which the code names and no caller.
    _observers: dict[tuple[str, str, grpc.StatusCode], Callable[[float], None]] = field(
        init=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self.seconds = Histogram(
            f"reprise_{self.service}_rpc_seconds",
            "Duration of RPCs by method, door and final status code",
            ["method", "door", "code"],
            registry=self.registry,
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60, 600),
        )

    def observe(self, method: str, door: str, code: grpc.StatusCode, started: float) -> None:
        observer = self._observers.get((method, door, code))
        if observer is None:
            observer = self.seconds.labels(method.rpartition("/")[2], door, code.name).observe
            self._observers[method, door, code] = observer
        observer(time.monotonic() - started)


_NO_SPAN = nullcontext()


class _Bounded(grpc.GenericRpcHandler):
    """Maps errors, measures, and continues the caller's trace, around every method of a service.

    No interceptor: with one, grpc.aio awaits it for every call, 30 µs and more, measured.
    """

    def __init__(self, service: grpc.GenericRpcHandler, metrics: RpcMetrics) -> None:
        self._service = service
        self._metrics = metrics
        # By method: there are as many as the service has.
        self._wrapped: dict[str, _Handler] = {}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> "_Handler | None":
        method = handler_call_details.method
        wrapped = self._wrapped.get(method)
        if wrapped is None:
            handler = self._service.service(handler_call_details)
            if handler is None:
                return None
            wrapped = self._wrapped[method] = self._wrap(handler, method)
        return wrapped

    def _wrap(self, handler: "_Handler", method: str) -> "_Handler":
        make: Any
        if handler.response_streaming:
            inner = handler.stream_stream if handler.request_streaming else handler.unary_stream
            wrap = self._stream(inner, method)
            make = (
                grpc.stream_stream_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_stream_rpc_method_handler
            )
        else:
            inner = handler.stream_unary if handler.request_streaming else handler.unary_unary
            wrap = self._unary(inner, method)
            make = (
                grpc.stream_unary_rpc_method_handler
                if handler.request_streaming
                else grpc.unary_unary_rpc_method_handler
            )
        return make(wrap, handler.request_deserializer, handler.response_serializer)  # type: ignore[no-any-return]

    def _unary(self, inner: Any, method: str) -> Any:
        async def call(request: Any, context: Any) -> Any:
            started, code = time.monotonic(), Code.CANCELLED
            try:
                with _span(method, context):
                    answer = await inner(request, context)
                code = Code.OK
                return answer
            except grpc.aio.AbortError:
                code = context.code()
                raise
            except Exception as error:
                code = self._fail(error, method, context)
            finally:
                self._metrics.observe(method, "grpc", code, started)

        return call

    def _stream(self, inner: Any, method: str) -> Any:
        """A coroutine around a generator too: one that grpc.aio drives itself costs it a step more for every message."""
        send_all = inner if inspect.iscoroutinefunction(inner) else partial(_send_all, inner)

        async def call(request: Any, context: Any) -> None:
            started, code = time.monotonic(), Code.CANCELLED
            try:
                with _span(method, context):
                    await send_all(request, context)
                code = Code.OK
            except grpc.aio.AbortError:
                code = context.code()
                raise
            except grpc.aio.InternalError:
                # A write that failed because the caller is gone: grpc.aio knows, and has nobody to tell.
                raise
            except Exception as error:
                code = self._fail(error, method, context)
            finally:
                self._metrics.observe(method, "grpc", code, started)

        return call

    def _fail(self, error: Exception, method: str, context: Any) -> grpc.StatusCode:
        status = status_of(error, method)
        context.set_trailing_metadata(status.trailing)
        context.set_code(status.code)
        context.set_details(status.message)
        return status.code


def _span(method: str, context: Any) -> AbstractContextManager[None]:
    """Asks for the metadata, which grpc.aio makes anew each time, only where somebody traces."""
    return tracing.server_span(method, context.invocation_metadata()) if tracing.enabled() else _NO_SPAN


async def _send_all(method: Any, request: Any, context: Any) -> None:
    """Runs a streaming method: a generator of messages, or what returns a coroutine that calls `context.write`."""
    messages = method(request, context)
    if inspect.isawaitable(messages):
        await messages
        return
    async with aclosing(messages):
        async for message in messages:
            await context.write(message)


_SHARED_OPTIONS: tuple[tuple[str, int], ...] = (
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
)


def server(metrics: RpcMetrics, *, streams_max: int = 1_000, reuse_port: bool = False) -> grpc.aio.Server:
    """A server with explicit limits. Two processes never share a port by accident: `reuse_port` is off unless asked."""
    options = (
        *_SHARED_OPTIONS,
        ("grpc.so_reuseport", int(reuse_port)),
        ("grpc.max_concurrent_streams", streams_max),
        ("grpc.max_receive_message_length", REQUEST_BYTES_MAX),
        ("grpc.max_send_message_length", RESPONSE_BYTES_MAX),
        ("grpc.max_metadata_size", 8 * 1024),
        ("grpc.absolute_max_metadata_size", 16 * 1024),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
    )
    plain = grpc.aio.server(
        options=options,
        maximum_concurrent_rpcs=10 * streams_max,
        compression=grpc.Compression.NoCompression,
    )
    return _Server(plain, metrics)


class _Server(grpc.aio.Server):
    """A server whose methods are all bounded, and registered as generic handlers only.

    Generated code registers each method with grpc too. With every call the server's loop then begins anew to wait for the next
    call of each of them: half a microsecond and more per method, measured, and nothing gained.
    """

    def __init__(self, plain: grpc.aio.Server, metrics: RpcMetrics) -> None:
        self._plain = plain
        self._metrics = metrics

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        bounded = tuple(_Bounded(handler, self._metrics) for handler in generic_rpc_handlers)
        self._plain.add_generic_rpc_handlers(bounded)

    def add_registered_method_handlers(self, service_name: str, method_handlers: object) -> None:
        """The same handlers again."""

    def add_insecure_port(self, address: str) -> int:
        return self._plain.add_insecure_port(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        return self._plain.add_secure_port(address, server_credentials)

    async def start(self) -> None:
        await self._plain.start()

    async def stop(self, grace: float | None) -> None:
        await self._plain.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        return await self._plain.wait_for_termination(timeout)


def channel(address: str) -> grpc.aio.Channel:
    """A channel that notices a dead peer in seconds. Keep it: one per peer and process, never one per call.

    It speaks TLS inside `rpc_tls.trusting`.
    """
    options = (
        *_SHARED_OPTIONS,
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.min_reconnect_backoff_ms", 1_000),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.max_receive_message_length", RESPONSE_BYTES_MAX),
        ("grpc.max_send_message_length", RESPONSE_BYTES_MAX),
        ("grpc.use_local_subchannel_pool", 1),
    )
    credentials = rpc_tls.credentials()
    if credentials is not None:
        return grpc.aio.secure_channel(address, credentials, options=options)
    return grpc.aio.insecure_channel(address, options=options)


class Channels:
    """One channel per address, opened on first use, closed together."""

    def __init__(self) -> None:
        self._open: dict[str, grpc.aio.Channel] = {}

    def to(self, address: str) -> grpc.aio.Channel:
        if address not in self._open:
            self._open[address] = channel(address)
        return self._open[address]

    async def forget(self, keep: Sequence[str]) -> None:
        """Closes the channels to all but `keep`."""
        for address in [a for a in self._open if a not in keep]:
            await self._open.pop(address).close()

    async def close(self) -> None:
        await self.forget(())
