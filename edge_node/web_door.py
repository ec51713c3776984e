"""The gRPC-web door for `Play`: the stream's messages are framed on the fly and their bytes leave by sendfile.

The text encoding and everything that is not `Play` go through the bridge in `reprise.grpc_web`, which calls the servicer.

Invariant: every call is observed once, with the status that its client was told, or CANCELLED when it left before that.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from google.protobuf.message import DecodeError
from grpc import StatusCode

from edge_node.access import Admitted, Gate
from edge_node.express import Express
from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.pacing import Pacing
from edge_node.play_stream import bytes_head, info_message, redirect_message, span_of, step
from edge_node.reader import Reader
from reprise import grpc_web
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayRequest
from reprise.errors import InvalidRequest, RepriseError
from reprise.grpc_web_frames import FRAME_HEAD_BYTES, DeadlinePassed, data_head, encoding_of, trailers_frame
from reprise.http_head import header_block
from reprise.http_message import WAIT, Answer, Piece, ReadyResponse, Request, Response, Wait
from reprise.ids import check_id, check_sha256
from reprise.rpc import RpcMetrics

PATH = "/reprise.edge.v1.EdgeService/Play"


@dataclass(slots=True)
class _Call:
    """A listener that was let in. `end` gives back what it holds, once."""

    request: Request
    wanted: PlayRequest
    reader: Reader
    admitted: Admitted
    observe: Callable[[StatusCode], None]
    # Of the event loop's clock.
    deadline: float | None

    def end(self, code: StatusCode) -> None:
        self.reader.close()
        self.admitted.release()
        self.observe(code)


class PlayBody:
    """StreamInfo, chunks, perhaps a Redirect, trailers. A failure after the first byte is a status in the trailers."""

    __slots__ = ("_call", "_code", "_draining", "_end", "_late", "_pending", "_position", "_reader", "_timer", "length")

    def __init__(self, call: _Call, span: ByteRange, first: bytes, draining: Callable[[], bool]) -> None:
        self.length: int | None = None
        self._call = call
        self._code = StatusCode.CANCELLED
        self._reader = call.reader
        self._position = span.start
        self._end = span.end
        self._pending = deque([data_head(len(first)) + first])
        self._draining = draining
        self._late = False
        # One timer for the whole stream, and none for the many that have no deadline.
        self._timer: asyncio.TimerHandle | None = None
        if call.deadline is not None:
            self._timer = asyncio.get_running_loop().call_at(call.deadline, self._on_deadline)

    def next(self) -> Piece | Wait | None:
        if self._pending:
            return Piece(self._pending.popleft())
        if self._position < 0:
            return None
        if self._late:
            return self._fail(DeadlinePassed())
        if self._position >= self._end:
            return self._finish(StatusCode.OK, trailers_frame(0))
        if self._draining():
            moved = redirect_message(self._position)
            return self._finish(StatusCode.OK, data_head(len(moved)) + moved + trailers_frame(0))
        return self._chunk()

    def _chunk(self) -> Piece | Wait:
        size = step(self._position, self._end)
        try:
            run = self._reader.run(self._position, self._position + size)
        except RepriseError as error:
            return self._fail(error)
        if run is None:
            return WAIT
        self._position += size
        inner = bytes_head(size)
        return Piece(data_head(len(inner) + size) + inner, run.file.fd, run.offset, size, run.file)

    def _fail(self, error: RepriseError) -> Piece:
        status = grpc_web.status_of(error, PATH)
        return self._finish(status.code, trailers_frame(status.code.value[0], status.message, status.trailing))

    def _finish(self, code: StatusCode, last: bytes) -> Piece:
        self._position = -1
        self._code = code
        return Piece(last)

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._reader.want(self._position // CHUNK_BYTES, wake)

    def _on_deadline(self) -> None:
        """Whether the stream waits for a chunk or for its socket, `next` is called soon, and says so."""
        self._late = True
        self._reader.wake()

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._call.end(self._code)


class WebDoor:
    """The handler of the route."""

    def __init__(self, node: Node, gate: Gate, express: Express, pacing: Pacing, metrics: RpcMetrics) -> None:
        self._node = node
        self._pacing = pacing
        self._express = express
        self._gate = gate
        self._metrics = metrics
        self._observe_ok = metrics.seconds.labels(PATH.rpartition("/")[2], "grpc-web", StatusCode.OK.name).observe

    def takes(self, request: Request) -> bool:
        """Whether this door serves the request, rather than the bridge."""
        encoding = encoding_of(request.headers)
        return encoding is not None and not encoding.text_request and not encoding.text_response

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        started = time.monotonic()

        def observe(code: StatusCode) -> None:
            self._metrics.observe(PATH, "grpc-web", code, started)

        try:
            wanted = _parse(request)
            quick = self._quick(request, wanted)
            if quick is not None:
                observe(StatusCode.OK)
                return quick
            call = self._admit(request, wanted, observe)
        except RepriseError as error:
            observe(grpc_web.status_of(error, PATH).code)
            return grpc_web.refusal(request, error)
        return self._cold(call) if call.reader.manifest is None else self._answer(call)

    def _quick(self, request: Request, wanted: PlayRequest) -> ReadyResponse | None:
        """By the express lane, which leaves at once and so needs no deadline. Malformed ones are not its business."""
        if any(name.lower() == b"grpc-timeout" for name, _ in request.raw):
            return None
        headers = _headers(request)
        answer = self._express.play(_path(wanted), wanted.offset_bytes, wanted.length_bytes, headers)
        if answer is not None:
            answer.again = partial(self._repeat, headers)
        return answer

    def _repeat(self, headers: bytes, body: bytes) -> ReadyResponse | None:
        """The answer to a call whose head is that of an earlier one: whoever calls, the lane knows the grant or it does not."""
        started = time.monotonic()
        if not body.startswith(data_head(len(body) - FRAME_HEAD_BYTES)):
            return None
        try:
            wanted = PlayRequest.FromString(body[FRAME_HEAD_BYTES:])
        except DecodeError:
            return None
        answer = self._express.play(_path(wanted), wanted.offset_bytes, wanted.length_bytes, headers)
        if answer is not None:
            self._observe_ok(time.monotonic() - started)
        return answer

    def _admit(self, request: Request, wanted: PlayRequest, observe: Callable[[StatusCode], None]) -> _Call:
        timeout_s = grpc_web.timeout_s(request)
        deadline = None if timeout_s is None else asyncio.get_running_loop().time() + timeout_s
        admitted = self._gate.listen(wanted.grant, wanted.song_id, wanted.rendition_id)
        try:
            reader = self._node.open(wanted.rendition_id, "grpc-web", min(wanted.offset_bytes // CHUNK_BYTES, 1 << 20))
        except RepriseError:
            admitted.release()
            raise
        return _Call(request, wanted, reader, admitted, observe, deadline)

    async def _cold(self, call: _Call) -> Response:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(call.deadline):
                    await call.reader.ready(MANIFEST)
        except RepriseError as error:
            return _refuse(call, error)
        except BaseException:
            call.end(StatusCode.CANCELLED)
            raise
        return _refuse(call, DeadlinePassed()) if call.reader.manifest is None else self._answer(call)

    def _answer(self, call: _Call) -> Response:
        manifest = call.reader.manifest
        assert manifest is not None
        try:
            span = span_of(call.wanted, manifest.size_bytes)
        except RepriseError as error:
            return _refuse(call, error)
        self._express.learn(_path(call.wanted), call.admitted.claims, manifest)
        body = PlayBody(call, span, info_message(manifest, span), self._node.draining.is_set)
        pace = self._pacing.of(manifest.rendition.bitrate_bps, span.length)
        return Response(200, _headers(call.request), body, pace=pace)


def _headers(request: Request) -> bytes:
    encoding = encoding_of(request.headers)
    assert encoding is not None
    return header_block(grpc_web.response_headers(encoding.content_type, request.headers.get("origin", "")))


def _path(wanted: PlayRequest) -> str:
    return f"/p/{wanted.grant}/{wanted.song_id}/{wanted.rendition_id}"


def _refuse(call: _Call, error: RepriseError) -> Response:
    call.end(grpc_web.status_of(error, PATH).code)
    return grpc_web.refusal(call.request, error)


def _parse(request: Request) -> PlayRequest:
    try:
        wanted = PlayRequest.FromString(grpc_web.request_message(request))
    except DecodeError:
        raise InvalidRequest("the message is not a PlayRequest") from None
    check_id(wanted.song_id, "song_id")
    check_sha256(wanted.rendition_id, "rendition_id")
    return wanted
