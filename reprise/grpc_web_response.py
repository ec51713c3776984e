"""What the gRPC-web door answers with: headers, CORS, a status in headers alone, and the body of a stream."""

import asyncio
import base64
from collections import deque
from collections.abc import Callable

import grpc

from reprise.grpc_web_frames import Encoding, Metadata, data_head, status_headers
from reprise.http_message import WAIT, Piece, Request, Response, Wait

_ALLOW_HEADERS = (
    "authorization, content-type, x-grpc-web, x-user-agent, grpc-timeout, range, if-range, traceparent, tracestate"
)
_EXPOSE_HEADERS = (
    "grpc-status, grpc-message, grpc-status-details-bin, retry-after, grpc-retry-pushback-ms, "
    "content-range, accept-ranges, etag"
)
_PREFLIGHT_AGE_S = 7200


def response_headers(content_type: str, origin: str = "") -> tuple[tuple[str, str], ...]:
    """Headers of every answer; with the request's Origin, pages of that origin may read it."""
    if not origin:
        return (("content-type", content_type),)
    cors = (
        ("access-control-allow-origin", origin),
        ("access-control-expose-headers", _EXPOSE_HEADERS),
        ("vary", "origin"),
    )
    return (("content-type", content_type), *cors)


def preflight(request: Request) -> Response:
    """The answer to OPTIONS: which calls pages of other origins may make."""
    headers = (
        ("allow", "POST, OPTIONS"),
        ("access-control-allow-origin", request.headers.get("origin", "*")),
        ("access-control-allow-methods", "POST"),
        ("access-control-allow-headers", _ALLOW_HEADERS),
        ("access-control-max-age", str(_PREFLIGHT_AGE_S)),
        ("vary", "origin"),
    )
    return Response(204, headers)


def trailers_only(
    content_type: str, origin: str, status: grpc.StatusCode, message: str, trailers: Metadata
) -> Response:
    """The answer in headers alone to a call that ended without a message."""
    lines = status_headers(status.value[0], message, trailers)
    return Response(200, (*response_headers(content_type, origin), *lines))


class Messages:
    """The body of a stream: pulled by the socket, filled by the method's task, one message at a time."""

    length: int | None = None

    def __init__(self, encoding: Encoding) -> None:
        self.task: asyncio.Task[None] | None = None
        self._text = encoding.text_response
        self._frames: deque[bytes] = deque()
        self._room = asyncio.Event()
        self._ended = False
        self._wake: Callable[[], None] | None = None

    async def put(self, message: bytes) -> None:
        """Adds a message, and waits until the socket has taken it."""
        self._room.clear()
        self._add(data_head(len(message)) + message)
        await self._room.wait()

    def end(self, trailers: bytes = b"") -> None:
        """Nothing follows `trailers`. A body that ends without any tells the client that the call broke."""
        self._ended = True
        self._add(trailers)

    def next(self) -> Piece | Wait | None:
        if self._frames:
            self._room.set()
            return Piece(self._frames.popleft())
        return None if self._ended else WAIT

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._wake = wake

    def close(self) -> None:
        assert self.task is not None
        self._wake = None
        self.task.cancel()

    def _add(self, frame: bytes) -> None:
        """In the text form each frame is base64 with its own padding."""
        if frame:
            self._frames.append(base64.b64encode(frame) if self._text else frame)
        wake, self._wake = self._wake, None
        if wake:
            wake()
