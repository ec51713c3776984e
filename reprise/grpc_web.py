"""The gRPC-web door: calls over HTTP/1.1 reach the same servicer methods that grpc.aio serves on the gRPC port.

Unary calls and server streams; a browser can send no more. A call that is refused before its method runs, and a unary
call that fails, is answered in headers alone; the status of a stream always comes in its trailers frame, because its
headers leave before the first message.

Invariants: one task per stream, which holds at most one message that the socket has not taken; when the listener
leaves, the task is cancelled and the method's generator is closed within it. No traceback reaches a client.
"""

import asyncio
import base64
import inspect
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from reprise import grpc_web_frames as frames
from reprise import rpc, tracing
from reprise.errors import InvalidRequest, RepriseError
from reprise.grpc_web_context import Context
from reprise.grpc_web_frames import DeadlinePassed, Encoding, Unimplemented, data_head, trailers_frame
from reprise.grpc_web_response import Messages, preflight, response_headers, trailers_only
from reprise.http_message import Request, Response, text_response

MethodTable: TypeAlias = "dict[str, dict[str, grpc.RpcMethodHandler[Any, Any]]]"

_PATH = re.compile(r"/([A-Za-z0-9_.]+)/([A-Za-z0-9_]+)\Z")


def method_table(servicers: Sequence[tuple[Callable[[Any, Any], None], object]]) -> MethodTable:
    """Handlers by full service name and method name, from (add_XServicer_to_server, servicer) pairs."""
    recorder = _Recorder()
    for add, servicer in servicers:
        add(servicer, recorder)
    return recorder.table


def timeout_s(request: Request) -> float | None:
    """How long the caller is willing to wait; None without a limit. Raises InvalidRequest."""
    text = request.headers.get("grpc-timeout")
    return None if text is None else frames.timeout_s(text)


def request_message(request: Request, *, text: bool = False) -> bytes:
    """The message of a call, in the base64 form if `text`, within the gRPC port's limit. Raises `reprise.errors`."""
    body = frames.decode_text(request.body) if text else request.body
    return frames.single_message(body, rpc.REQUEST_BYTES_MAX, request.headers.get("grpc-encoding", "identity"))


def refusal(request: Request, error: Exception) -> Response:
    """The answer in headers alone to a gRPC-web `request` that failed before its first message."""
    encoding = frames.encoding_of(request.headers)
    content_type = encoding.content_type if encoding else "application/grpc-web"
    status = status_of(error, request.path)
    return trailers_only(content_type, request.headers.get("origin", ""), status.code, status.message, status.trailing)


@dataclass(frozen=True, slots=True)
class _Call:
    """A request, read and found fit for its method."""

    method: str
    handler: Any
    message: Any
    context: Context
    encoding: Encoding
    origin: str


class Bridge:
    """Answers the gRPC-web requests of one port."""

    def __init__(self, tables: MethodTable, metrics: rpc.RpcMetrics) -> None:
        self._tables = tables
        self._metrics = metrics
        # Streams under way; asyncio itself keeps only weak references to tasks.
        self._tasks: set[asyncio.Task[None]] = set()

    def takes(self, request: Request) -> bool:
        """Whether to `handle`: all for a service that is here, and gRPC-web or its preflight for any other."""
        path = _PATH.match(request.path)
        if path is None:
            return False
        if path[1] in self._tables:
            return True
        if request.method == "OPTIONS":
            return "access-control-request-method" in request.headers
        return request.method == "POST" and frames.encoding_of(request.headers) is not None

    def handle(self, request: Request) -> Response | Awaitable[Response]:
        """The answer to a request that `takes` accepts; an awaitable for unary methods."""
        if request.method == "OPTIONS":
            return preflight(request)
        if request.method != "POST":
            allow = (("allow", "POST, OPTIONS"),)
            return text_response(405, f"gRPC-web calls are POST, not {request.method[:20]}", allow)
        encoding = frames.encoding_of(request.headers)
        if encoding is None:
            asked = request.headers.get("content-type", "")[:80]
            return text_response(415, f"content-type must be application/grpc-web or -text, not {asked!r}")
        started = time.monotonic()
        try:
            call = self._read(request, encoding)
        except RepriseError as error:
            method = request.path if self._has(request.path) else "unknown"
            self._metrics.observe(method, "grpc-web", status_of(error, request.path).code, started)
            return refusal(request, error)
        return self._stream(call) if call.handler.response_streaming else self._unary(call)

    async def stop(self) -> None:
        """Cancels the streams under way and waits until their methods have ended."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _has(self, path: str) -> bool:
        _, service, method = path.split("/")
        return method in self._tables.get(service, {})

    def _read(self, request: Request, encoding: Encoding) -> _Call:
        _, service, method = request.path.split("/")
        handler = self._tables.get(service, {}).get(method)
        if handler is None:
            raise Unimplemented(f"there is no method {request.path[:200]} here")
        if handler.request_streaming:
            raise Unimplemented(f"{request.path} takes a stream of requests: use gRPC, gRPC-web cannot send one")
        context = Context(frames.metadata_of(request.headers), request.peer, timeout_s(request))
        message = _deserialised(handler, request_message(request, text=encoding.text_request))
        return _Call(request.path, handler, message, context, encoding, request.headers.get("origin", ""))

    async def _unary(self, call: _Call) -> Response:
        context, answer = call.context, b""
        async with self._boundary(call):
            answer = _serialised(call.handler, await call.handler.unary_unary(call.message, context))
        content_type, trailers = call.encoding.content_type, context.trailers
        if context.status is not grpc.StatusCode.OK:
            return trailers_only(content_type, call.origin, context.status, context.message, trailers)
        body = data_head(len(answer)) + answer + trailers_frame(0, context.message, trailers)
        if call.encoding.text_response:
            body = base64.b64encode(body)
        return Response(200, response_headers(content_type, call.origin), body)

    def _stream(self, call: _Call) -> Response:
        messages = Messages(call.encoding)
        messages.task = task = asyncio.get_running_loop().create_task(self._produce(call, messages), name=call.method)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # However it ended: a task that is cancelled before its first step runs no `finally`.
        task.add_done_callback(lambda _: messages.end())
        return Response(200, response_headers(call.encoding.content_type, call.origin), messages)

    async def _produce(self, call: _Call, messages: "Messages") -> None:
        """Runs a streaming method: a generator of messages, or a coroutine that calls `context.write`."""
        context = call.context

        async def send(message: Any) -> None:
            await messages.put(_serialised(call.handler, message))

        context.send = send
        async with self._boundary(call):
            method = call.handler.unary_stream(call.message, context)
            if inspect.isawaitable(method):
                await method
            else:
                async with aclosing(method):
                    async for message in method:
                        await send(message)
        messages.end(trailers_frame(context.status.value[0], context.message, context.trailers))

    @asynccontextmanager
    async def _boundary(self, call: _Call) -> AsyncIterator[None]:
        """The caller's trace and deadline around a method; every way it can end becomes the status of its context."""
        context, started = call.context, time.monotonic()
        deadline = asyncio.timeout(context.time_remaining())
        try:
            with tracing.server_span(call.method, context.invocation_metadata()):
                async with deadline:
                    yield
        except asyncio.CancelledError:
            context.status = grpc.StatusCode.CANCELLED
            raise
        except grpc.aio.AbortError:
            pass
        except Exception as error:
            late = deadline.expired() and isinstance(error, TimeoutError)
            status = status_of(DeadlinePassed() if late else error, call.method)
            context.fail(status.code, status.message, status.trailing)
        finally:
            self._metrics.observe(call.method, "grpc-web", context.status, started)


class _Recorder:
    """Stands in for a server in the generated add_XServicer_to_server functions."""

    def __init__(self) -> None:
        self.table: MethodTable = {}

    def add_registered_method_handlers(
        self, service: str, handlers: Mapping[str, "grpc.RpcMethodHandler[Any, Any]"]
    ) -> None:
        self.table[service] = dict(handlers)

    def add_generic_rpc_handlers(self, _handlers: object) -> None:
        """The same handlers again, in the form that older servers take."""


def status_of(error: Exception, method: str) -> rpc.Status:
    """`rpc.status_of`, with the failures that only this door has."""
    if isinstance(error, Unimplemented):
        return rpc.Status(grpc.StatusCode.UNIMPLEMENTED, error.message)
    if isinstance(error, DeadlinePassed):
        return rpc.Status(grpc.StatusCode.DEADLINE_EXCEEDED, error.message)
    return rpc.status_of(error, method)


def _deserialised(handler: Any, message: bytes) -> Any:
    if handler.request_deserializer is None:
        return message
    try:
        return handler.request_deserializer(message)
    except DecodeError as error:
        raise InvalidRequest(f"the request message does not parse: {error}") from None


def _serialised(handler: Any, message: Any) -> bytes:
    return message if handler.response_serializer is None else handler.response_serializer(message)  # type: ignore[no-any-return]


__all__ = [
    "Bridge", "MethodTable", "data_head", "method_table", "refusal", "request_message", "response_headers",
    "status_of", "timeout_s", "trailers_frame",
]  # fmt: skip
