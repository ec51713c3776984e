"""The sending half of an HTTP/1.1 connection: a response's head, then its body piece by piece, as the socket takes them.

Who owns a Sender tells it what to send; it tells its owner when the response has left (`_finish`) or cannot (`close`).
Guarantees: `Body.close` is called exactly once for every body; a response that cannot be finished ends by a reset, so that no
client takes what it has for the whole.
"""

import os
import socket
import struct
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING

from reprise.errors import RepriseError
from reprise.http_head import LAST_CHUNK, chunk_head, file_head, has_body, response_head
from reprise.http_message import WAIT, Body, FileResponse, Piece, Response
from reprise.log import get_logger

if TYPE_CHECKING:
    from reprise.http_server import HttpServer

log = get_logger()
# A fast reader may not keep the loop to itself: after this much the other connections get their turn. In a storm this decides
# how long the last follower waits for its first byte while the first ones take whole songs.
_TURN_BYTES = 256 * 1024
_RESET = struct.pack("ii", 1, 0)


class Sender(ABC):
    """Responses on one socket, one at a time."""

    __slots__ = (
        "_body", "_chunked", "_closed", "_count", "_crlf_due", "_fd", "_file", "_keep", "_keep_alive", "_offset", "_out",
        "_remaining", "_server", "_sock", "_waiting", "_writing", "deadline",
    )  # fmt: skip

    def __init__(self, server: "HttpServer", sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._fd = sock.fileno()
        self._body: Body | None = None
        self._out = b""
        self._file, self._offset, self._count = -1, 0, 0
        self._keep: object = None
        self._remaining: int | None = None
        self._closed = self._waiting = self._writing = self._chunked = self._crlf_due = False
        self._keep_alive = True
        self.deadline = server.now + server.limits.request_s_max

    @abstractmethod
    def _finish(self) -> None:
        """The response has left."""

    @abstractmethod
    def close(self, cause: str) -> None:
        """Gives everything back."""

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
        head = file_head(answer.status, answer.headers, answer.length, server.date, keep_alive=self._keep_alive)
        self._out = head + piece.head
        self._file, self._offset, self._count, self._keep = piece.fd, piece.offset, piece.count, piece.keep
        self._chunked = False
        self._body = answer.rest
        self._remaining = answer.length - piece.count - len(piece.head)
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

    def _fail(self, cause: str) -> None:
        """Ends in the middle of a response: by a reset, so that no client takes what it has for the whole."""
        with suppress(OSError):
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close(cause)

    def _end_body(self) -> None:
        self._keep = None
        if self._body is not None:
            body, self._body = self._body, None
            body.close()

    def _want_writer(self) -> None:
        if not self._writing:
            self._writing = True
            self._server.loop.add_writer(self._fd, self._pump)

    def _drop_writer(self) -> None:
        self._writing = False
        self._server.loop.remove_writer(self._fd)
