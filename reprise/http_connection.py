"""One HTTP/1.1 connection: bytes in, requests to the handler, responses out, one at a time in order.

    reading ──request complete──▶ handling ──response──▶ sending ──done──▶ reading (keep-alive) or lingering
       ▲                              │ awaitable                │ WAIT
       └──────── pipelined ───────────┴── task ──────────────────┴── on_ready

Guarantees: `Body.close` is called exactly once for every body that the handler gave. The socket is closed exactly once, in
`close`. A request is handled only when the response before it has left. Nothing here blocks.
"""

import asyncio
import os
import socket
import struct
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from reprise.errors import RepriseError
from reprise.http_head import CONTINUE, LAST_CHUNK, chunk_head, file_head, has_body, response_head
from reprise.http_message import WAIT, Answer, Body, FileResponse, Piece, Request, Response, text_response
from reprise.http_request import Parsed, RequestParser
from reprise.rpc import HTTP_STATUS, status_of

if TYPE_CHECKING:
    from reprise.http_server import HttpServer

log = structlog.get_logger()
RECEIVE_BYTES = 65536
# A fast reader may not keep the loop to itself: after this much the other connections get their turn. In a storm this decides
# how long the last follower waits for its first byte while the first ones take whole songs.
_TURN_BYTES = 256 * 1024
_LINGER_S = 2.0
_RESET = struct.pack("ii", 1, 0)


class Connection:
    """State of one connection; all methods run on the event loop."""

    __slots__ = (
        "_body",
        "_chunked",
        "_closed",
        "_count",
        "_crlf_due",
        "_eof",
        "_fd",
        "_file",
        "_handling",
        "_keep",
        "_keep_alive",
        "_lingering",
        "_offset",
        "_out",
        "_parser",
        "_queue",
        "_reading",
        "_remaining",
        "_server",
        "_sock",
        "_task",
        "_waiting",
        "_writing",
        "deadline",
    )  # fmt: skip

    def __init__(self, server: "HttpServer", sock: socket.socket, peer: str) -> None:
        self._server = server
        self._sock = sock
        self._fd = sock.fileno()
        self._parser = RequestParser(peer, server.limits.header_bytes_max, server.limits.body_bytes_max)
        self._queue: deque[Parsed] = deque()
        self._task: asyncio.Future[Any] | None = None
        self._body: Body | None = None
        self._out = b""
        self._file, self._offset, self._count = -1, 0, 0
        self._keep: object = None
        self._remaining: int | None = None
        self._closed = self._eof = self._handling = self._waiting = self._writing = self._lingering = False
        self._chunked = self._crlf_due = False
        self._keep_alive = self._reading = True
        self.deadline = server.now + server.limits.request_s_max
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
        if self._parser.received_bytes == 0 and not self._handling:
            self.deadline = self._server.now + self._server.limits.request_s_max
        self._queue.extend(self._parser.feed(data))
        if self._parser.expects_continue and not self._handling and not self._queue:
            self._parser.expects_continue = False
            # Twenty-five bytes on a connection that has sent nothing yet: the socket takes them.
            self._sock.send(CONTINUE)
        self._advance()

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
        self._server.stats.end(f"refused_{refusal.status}")
        self._respond("GET", refusal)

    def _handle(self, request: Request) -> None:
        self.deadline = float("inf")
        try:
            answer = self._server.handler(request)
        except Exception as error:
            self._respond(request.method, _failure(error, request))
            return
        if isinstance(answer, FileResponse | Response):
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
        if isinstance(answer, FileResponse):
            self._respond_file(answer)
        else:
            self._respond(request.method, answer)

    # Sending

    def _respond(self, method: str, response: Response) -> None:
        responses = self._server.stats.responses
        responses[response.status] = responses.get(response.status, 0) + 1
        self._keep_alive = self._keep_alive and not response.close
        body, length = response.body, response.content_length
        stream = None if isinstance(body, bytes) else body
        if length is None:
            length = len(body) if isinstance(body, bytes) else body.length
        wanted = has_body(method, response.status)
        self._chunked = wanted and length is None and self._keep_alive
        head = response_head(response, length, self._server.date, chunked=self._chunked, keep_alive=self._keep_alive)
        self._out = head + body if wanted and isinstance(body, bytes) else head
        self._remaining = length
        self._crlf_due = False
        self._body = stream
        if stream is not None and not wanted:
            self._end_body()
        self.deadline = self._server.now + self._server.limits.stall_s_max
        # The first piece goes out with the head, in one packet; a head whose body has to wait goes out alone.
        if self._body is not None and not self._next_piece() and not self._waiting:
            return
        self._pump()

    def _respond_file(self, answer: FileResponse) -> None:
        """The hot path: head and file leave by two system calls, and nothing is kept when the socket takes both."""
        self._begin_file(answer)
        head, count = self._out, self._count
        sent_head = sent_file = 0
        try:
            sent_head = self._sock.send(head, socket.MSG_MORE)
            if sent_head == len(head):
                sent_file = os.sendfile(self._fd, self._file, self._offset, count)
        except BlockingIOError:
            pass
        except OSError:
            self.close("reset")
            return
        self._server.stats.sent_bytes += sent_head + sent_file
        self._out = head[sent_head:]
        self._offset += sent_file
        self._count = count - sent_file
        if self._count == 0 and self._body is None:
            self._keep = None
            self._finish()
        else:
            self._pump()

    def _begin_file(self, answer: FileResponse) -> None:
        server, piece = self._server, answer.first
        responses = server.stats.responses
        responses[answer.status] = responses.get(answer.status, 0) + 1
        self._out = file_head(answer.status, answer.headers, answer.length, server.date, keep_alive=self._keep_alive)
        self._file, self._offset, self._count, self._keep = piece.fd, piece.offset, piece.count, piece.keep
        self._chunked = False
        self._body = answer.rest
        self._remaining = answer.length - piece.count
        self.deadline = server.now + server.limits.stall_s_max

    def _pump(self) -> None:
        """Sends until the socket is full, the body has nothing, the turn is over, or the response is done."""
        if self._closed:
            return
        turn = 0
        try:
            while turn < _TURN_BYTES:
                if self._out:
                    turn += self._send_out()
                elif self._count:
                    turn += self._send_file()
                elif self._waiting:
                    return
                elif self._body is None:
                    self._finish()
                    return
                elif not self._next_piece():
                    return
            # Not by way of epoll: the socket has room, and whoever was ready before comes first.
            self._server.loop.call_soon(self._pump)
        except BlockingIOError:
            self._want_writer()
        except OSError:
            self.close("reset")

    def _send_out(self) -> int:
        sent = self._send(self._out, more=self._count > 0)
        self._out = self._out[sent:]
        self._progress(sent)
        return sent

    def _send(self, data: bytes, *, more: bool) -> int:
        return self._sock.send(data, socket.MSG_MORE if more else 0)

    def _send_file(self) -> int:
        sent = os.sendfile(self._fd, self._file, self._offset, self._count)
        if sent == 0:
            raise OSError("the file ended before the piece")
        self._sent_of_file(sent)
        return sent

    def _sent_of_file(self, sent: int) -> None:
        self._offset += sent
        self._count -= sent
        self._progress(sent)

    def _progress(self, sent: int) -> None:
        self._server.stats.sent_bytes += sent
        self.deadline = self._server.now + self._server.limits.stall_s_max

    def _next_piece(self) -> bool:
        """Pulls one piece behind `_out`. False when there is nothing to do now: the body waits, or has failed."""
        assert self._body is not None
        try:
            piece = self._body.next()
        except Exception as error:
            if not isinstance(error, RepriseError):
                log.error("body_failed", exc_info=error)
            self._fail("body_failed")
            return False
        if piece is WAIT:
            self._wait()
            return False
        if piece is None:
            self._last_piece()
            return not self._closed
        self._take(piece)
        return True

    def _take(self, piece: Piece) -> None:
        size = len(piece.head) + piece.count
        if self._chunked:
            self._out += (b"\r\n" if self._crlf_due else b"") + chunk_head(size) + piece.head
            self._crlf_due = True
        else:
            self._out += piece.head
        self._file, self._offset, self._count, self._keep = piece.fd, piece.offset, piece.count, piece.keep
        if self._remaining is not None:
            self._remaining -= size

    def _last_piece(self) -> None:
        if self._chunked:
            self._out += (b"\r\n" if self._crlf_due else b"") + LAST_CHUNK
        short = not self._chunked and self._remaining not in (None, 0)
        self._end_body()
        if short:
            self._fail("body_truncated")

    def _wait(self) -> None:
        assert self._body is not None
        self._waiting = True
        self.deadline = float("inf")
        if self._writing and not self._out:
            self._drop_writer()
        self._body.on_ready(self._wake)

    def _wake(self) -> None:
        """May be called from within `on_ready`, from a fill, or after the connection is gone."""
        if not self._waiting or self._closed:
            return
        self._waiting = False
        self.deadline = self._server.now + self._server.limits.stall_s_max
        self._server.loop.call_soon(self._pump)

    def _finish(self) -> None:
        self._handling = False
        if self._writing:
            self._drop_writer()
        if self._keep_alive:
            self.deadline = self._server.now + self._server.limits.idle_s_max
            if self._queue or not self._reading:
                self._server.loop.call_soon(self._advance)
        else:
            self._linger()

    # Ending

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
            self._keep_alive = False
            self._respond("GET", text_response(408, "the request did not arrive in time"))
        else:
            self.close("idle")

    def _fail(self, cause: str) -> None:
        """Ends in the middle of a response: by a reset, so that no client takes what it has for the whole."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close(cause)

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
        self._server.stats.end(cause)
        self._server.gone(self)
        self._server.loop.remove_reader(self._fd)
        self._server.loop.remove_writer(self._fd)
        self._end_body()
        if self._task is not None:
            self._task.cancel()
        self._sock.close()

    def _end_body(self) -> None:
        self._keep = None
        if self._body is not None:
            body, self._body = self._body, None
            body.close()

    def _pause_reading(self) -> None:
        if self._reading:
            self._reading = False
            self._server.loop.remove_reader(self._fd)

    def _want_writer(self) -> None:
        if not self._writing:
            self._writing = True
            self._server.loop.add_writer(self._fd, self._pump)

    def _drop_writer(self) -> None:
        self._writing = False
        self._server.loop.remove_writer(self._fd)


def _give_back(answer: Answer) -> None:
    body = answer.rest if isinstance(answer, FileResponse) else answer.body
    if body is not None and not isinstance(body, bytes):
        body.close()


def _failure(error: BaseException, request: Request) -> Response:
    """The plain-text answer for an exception of a handler."""
    status = status_of(error, f"{request.method} {request.path[:80]}")
    code = next((HTTP_STATUS[c] for c in type(error).__mro__ if c in HTTP_STATUS), 500)
    headers = tuple(pair for pair in status.trailing if pair[0] == "retry-after")
    return text_response(code, status.message, headers)
