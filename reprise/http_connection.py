"""One HTTP/1.1 connection: bytes in, requests to the handler, responses out, one at a time in order.

    reading ──request complete──▶ handling ──response──▶ sending ──done──▶ reading (keep-alive) or lingering
       ▲                              │ awaitable                │ WAIT
       └──────── pipelined ───────────┴── task ──────────────────┴── on_ready

Guarantees: `Body.close` is called exactly once for every body that the handler gave. The socket is closed exactly once, in
`close`. A request is handled only when the response before it has left. Nothing here blocks.
"""

import asyncio
import socket
from collections import deque
from typing import TYPE_CHECKING, Any

from reprise.http_head import CONTINUE
from reprise.http_message import Answer, ReadyResponse, Request, Response, text_response
from reprise.http_request import Parsed, RequestParser
from reprise.http_sending import Sender
from reprise.log import get_logger
from reprise.rpc import HTTP_STATUS, status_of

if TYPE_CHECKING:
    from reprise.http_server import HttpServer

log = get_logger()
RECEIVE_BYTES = 65536
_LINGER_S = 2.0


class Connection(Sender):
    """State of one connection; all methods run on the event loop."""

    __slots__ = (
        "_alone",
        "_eof",
        "_handling",
        "_line",
        "_lingering",
        "_parser",
        "_peer",
        "_queue",
        "_reading",
        "_task",
    )

    def __init__(self, server: "HttpServer", sock: socket.socket, peer: str) -> None:
        super().__init__(server, sock)
        self._parser = RequestParser(peer, server.limits.header_bytes_max, server.limits.body_bytes_max)
        self._queue: deque[Parsed] = deque()
        self._peer = peer.encode()
        # For the access log: what is asked.
        self._line = b"-"
        # What was just received, when it is one request and nothing else.
        self._alone = b""
        self._task: asyncio.Future[Any] | None = None
        self._eof = self._handling = self._lingering = False
        self._reading = True
        server.loop.add_reader(self._fd, self._on_readable)

    # Receiving

    def _on_readable(self) -> None:
        try:
            data = self._receive()
        except BlockingIOError:
            return
        except OSError:
            self.close("reset")
            return
        if not data:
            self._on_eof()
        elif not self._lingering:
            self._feed(data)

    def _receive(self) -> bytes:
        return self._sock.recv(RECEIVE_BYTES)

    def _on_eof(self) -> None:
        # The peer has finished sending, or is gone. What is already being sent may still be wanted; what would have to be
        # waited for is not.
        self._eof = True
        if self._lingering or not self._handling or self._waiting or self._task:
            self.close("eof")
        else:
            self._keep_alive = False
            self._pause_reading()

    def _feed(self, data: bytes) -> None:
        alone = self._parser.between and not self._handling
        if alone:
            repeated = self._server.repeats.answer(data)
            if repeated is not None:
                self._repeat(*repeated)
                return
        if self._parser.received_bytes == 0 and not self._handling:
            self.deadline = self._server.now + self._server.limits.request_s_max
        parsed = self._parser.feed(data)
        self._queue.extend(parsed)
        if self._parser.expects_continue and not self._handling and not self._queue:
            self._parser.expects_continue = False
            # Twenty-five bytes on a connection that has sent nothing yet: the socket takes them.
            self._sock.send(CONTINUE)
        self._alone = data if alone and len(parsed) == 1 and self._parser.between else b""
        self._advance()
        self._alone = b""

    def _repeat(self, answer: ReadyResponse, line: bytes) -> None:
        """Answers a request that was known by its bytes."""
        self._line = line
        self._handling = True
        self._keep_alive = not self._eof and not self._server.stopping
        self._server.stats.requests += 1
        self._respond_ready(answer)

    # Handling

    def _advance(self) -> None:
        """Starts the next request unless one is under way; stops reading while any waits."""
        while self._queue and not self._handling and not self._closed:
            entry = self._queue.popleft()
            self._handling = True
            if isinstance(entry, Response):
                self._refuse(entry)
                return
            request, keep_alive = entry
            self._keep_alive = keep_alive and not self._eof and not self._server.stopping
            self._server.stats.requests += 1
            self._handle(request)
        if self._closed:
            return
        if self._queue:
            self._pause_reading()
        elif not self._reading and not self._eof and not self._lingering:
            self._reading = True
            self._server.loop.add_reader(self._fd, self._on_readable)

    def _refuse(self, refusal: Response) -> None:
        """Answers what is no request, or too much of one; nothing after it can be read."""
        self._pause_reading()
        self._queue.clear()
        self._keep_alive = False
        self._line = b"-"
        self._server.stats.end(f"refused_{refusal.status}")
        self._respond("GET", refusal)

    def _handle(self, request: Request) -> None:
        self.deadline = float("inf")
        if self._server.access_log is not None:
            self._line = self._server.access_log.request_line(request.method, request.path)
        try:
            answer = self._server.handler(request)
        except Exception as error:
            self._respond(request.method, _failure(error, request))
            return
        if isinstance(answer, ReadyResponse | Response):
            self._answer(request, answer)
            return
        self._task = task = asyncio.ensure_future(answer)
        task.add_done_callback(lambda done: self._on_answer(request, done))

    def _on_answer(self, request: Request, done: "asyncio.Future[Answer]") -> None:
        self._task = None
        if done.cancelled():
            self.close("handler_cancelled")
            return
        error = done.exception()
        answer: Answer = done.result() if error is None else _failure(error, request)
        if self._closed:
            _give_back(answer)
            return
        self._answer(request, answer)
        self._advance()

    def _answer(self, request: Request, answer: Answer) -> None:
        if isinstance(answer, ReadyResponse):
            if answer.again is not None and self._alone and self._keep_alive:
                self._server.repeats.learn(self._alone, request.body, answer.again, self._line)
            self._respond_ready(answer)
        else:
            self._respond(request.method, answer)

    # Ending

    def _finish(self) -> None:
        self._log()
        self._handling = False
        if self._paced:
            self._end_pace()
        if self._writing:
            self._drop_writer()
        if self._keep_alive:
            self.deadline = self._server.now + self._server.limits.idle_s_max
            if self._queue or not self._reading:
                self._server.loop.call_soon(self._advance)
        else:
            self._linger()

    def close_when_idle(self) -> None:
        """The server stops: ends now when nothing is under way, else after the response."""
        self._keep_alive = False
        if not self._handling:
            self.close("server_stopped")

    def expire(self) -> None:
        """The deadline has passed."""
        if self._lingering:
            self.close("lingered")
        elif self._handling:
            self._fail("stalled")
        elif self._parser.received_bytes:
            self._server.stats.end("request_timeout")
            self._handling = True
            self._line = b"-"
            self._keep_alive = False
            self._respond("GET", text_response(408, "the request did not arrive in time"))
        else:
            self.close("idle")

    def _linger(self) -> None:
        """Half-closes and drains: a close with unread input would reset the connection and lose the response."""
        self._lingering = True
        self.deadline = self._server.now + _LINGER_S
        if self._eof:
            self.close("done")
            return
        try:
            self._end_sending()
        except OSError:
            self.close("reset")
            return
        if not self._reading:
            self._reading = True
            self._server.loop.add_reader(self._fd, self._on_readable)

    def _end_sending(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def close(self, cause: str) -> None:
        """Gives everything back; may be called at any time, any number of times."""
        if self._closed:
            return
        self._closed = True
        if self._handling:
            self._log()
        self._server.stats.end(cause)
        self._server.gone(self)
        self._server.loop.remove_reader(self._fd)
        self._server.loop.remove_writer(self._fd)
        self._end_body()
        if self._task is not None:
            self._task.cancel()
        self._sock.close()

    def _log(self) -> None:
        if self._server.access_log is not None and self._status:
            self._server.access_log.add(self._peer, self._line, self._status, self._response_bytes)
            self._status = 0

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._server.loop.remove_reader(self._fd)


def _give_back(answer: Answer) -> None:
    body = answer.rest if isinstance(answer, ReadyResponse) else answer.body
    if body is not None and not isinstance(body, bytes):
        body.close()


def _failure(error: BaseException, request: Request) -> Response:
    """The plain-text answer for an exception of a handler."""
    status = status_of(error, f"{request.method} {request.path[:80]}")
    code = next((HTTP_STATUS[c] for c in type(error).__mro__ if c in HTTP_STATUS), 500)
    headers = tuple(pair for pair in status.trailing if pair[0] == "retry-after")
    return text_response(code, status.message, headers)
