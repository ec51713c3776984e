"""HTTP requests and responses as `reprise.http_server` gives and takes them. Values only; no sockets.

A handler is a plain function of a Request. It returns a Response at once (the fast path: no task is made), or an awaitable of
one. A body is bytes, or a Body that is pulled piece by piece as the socket accepts bytes, so a slow reader costs one piece.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol


class Wait(Enum):
    """A body has nothing to send yet."""

    WAIT = 0


WAIT: Final = Wait.WAIT
Buffer = bytes | memoryview


@dataclass(frozen=True, slots=True)
class Mapped:
    """A whole file in this process's memory, from `address` on. What was once sent of it never changes."""

    view: memoryview
    address: int


@dataclass(slots=True)
class Piece:
    """Bytes to send: `head`, then `count` bytes of the open file `fd` from `offset` (count 0 means none).

    `keep` is referred to until the piece has left: a slow socket may take a while, and `fd` must stay that file's.
    `mapped` is the same file in memory, where it is: a cheaper way for large pieces, and for TLS.
    """

    head: Buffer
    fd: int = -1
    offset: int = 0
    count: int = 0
    keep: object = None
    mapped: Mapped | None = None


class Body(Protocol):
    """A pull-based body. All methods are called on the event loop and never block."""

    # Bytes in all, or None when unknown: the server then uses chunked coding.
    length: int | None

    def next(self) -> Piece | Wait | None:
        """The next piece; None at the end; WAIT when there is none yet. Raising cuts the connection."""

    def on_ready(self, wake: Callable[[], None]) -> None:
        """Called once after WAIT: call `wake` once when `next` may have something."""

    def close(self) -> None:
        """Called exactly once, whether the body was sent whole or not."""


RawHeaders = list[tuple[bytes, bytes]]


class Request:
    """A complete request. `raw` are the headers as they came; `headers` are made of them when somebody asks."""

    __slots__ = ("_headers", "body", "method", "path", "peer", "query", "raw")

    def __init__(
        self, method: str, path: str, query: str, headers: dict[str, str] | RawHeaders, body: bytes, peer: str
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.body = body
        self.peer = peer
        self.raw: RawHeaders = headers if isinstance(headers, list) else _raw(headers)
        self._headers: dict[str, str] | None = None

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name; repeated headers are joined with ", "."""
        if self._headers is None:
            self._headers = _joined(self.raw)
        return self._headers


def _raw(headers: dict[str, str]) -> RawHeaders:
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


def _joined(raw: RawHeaders) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in raw:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = headers.get(key)
        headers[key] = text if known is None else f"{known}, {text}"
    return headers


# Answers the same request with another variable part: of a GET the value of `Range: bytes=` (or nothing), of a POST its body.
Again = Callable[[bytes], "ReadyResponse | None"]


@dataclass(slots=True)
class ReadyResponse:
    """Bytes that are all at hand: what a cache answers most. Costs no body object and no task.

    After the head come `buffers`, which leave by one system call and one copy, and then `file` by sendfile: what is dearer
    depends on the size (docs/benchmarks.md). `length` is that of both, `headers` are `reprise.http_head.header_block`.
    """

    status: int
    headers: bytes
    length: int
    buffers: list[Buffer]
    file: Piece | None = None
    # What follows the file.
    rest: "Body | None" = None
    # Set, it may be called instead of the handler for requests that differ from this one in their variable part only.
    again: Again | None = None


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast a long body leaves: the first `burst_bytes` as fast as the peer takes them, the rest at `bytes_per_s`."""

    burst_bytes: int
    bytes_per_s: int


@dataclass(slots=True)
class Response:
    """Status, headers without Content-Length and Transfer-Encoding (the server sets them), and the body.

    Headers are pairs, or for hot paths the ready-made bytes of `reprise.http_head.header_block`.
    """

    status: int
    headers: tuple[tuple[str, str], ...] | bytes = ()
    body: "bytes | Body" = b""
    # Ends the connection after this response.
    close: bool = False
    # For HEAD and 304: the length that a GET would have, when the body is not given.
    content_length: int | None = None
    pace: Pace | None = None


Answer = Response | ReadyResponse
Handler = Callable[[Request], Answer | Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Route:
    """Requests whose path is `prefix`, or starts with it when it ends in "/", whose method is listed and that it `takes`."""

    prefix: str
    handler: Handler
    methods: tuple[str, ...] = ("GET", "HEAD")
    takes: Callable[[Request], bool] | None = None

    def fits(self, request: Request) -> bool:
        """Whether the handler is for this request; its path is known to be."""
        return request.method in self.methods and (self.takes is None or self.takes(request))


def text_response(
    status: int, message: str, headers: tuple[tuple[str, str], ...] = (), *, close: bool = False
) -> Response:
    """A short plain-text answer, for errors above all."""
    body = message.encode() + b"\n"
    return Response(status, (("content-type", "text/plain; charset=utf-8"), *headers), body, close)


def json_response(status: int, value: object, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """A JSON answer."""
    return Response(status, (("content-type", "application/json"), *headers), json.dumps(value).encode() + b"\n")
