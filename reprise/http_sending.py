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
from reprise.http_message import WAIT, Body, Buffer, Mapped, Pace, Piece, ReadyResponse, Response
from reprise.log import get_logger

if TYPE_CHECKING:
    from reprise.http_server import HttpServer

log = get_logger()
# A fast reader may not keep the loop to itself: after this much the other connections get their turn. In a storm this decides
# how long the last follower waits for its first byte while the first ones take whole songs.
_TURN_BYTES = 256 * 1024
# Below this sendfile is as cheap.
_SPLICE_BYTES_MIN = 512 * 1024
# The kernel doubles it for its own book-keeping.
_STREAM_BUFFER_BYTES = 256 * 1024
_PACED_BUFFER_BYTES_MIN = 16 * 1024
# What waits in the kernel counts against its TCP memory, pages of a memfd too: with 4 s of it, 10,000 listeners had all of it.
_PACED_BUFFER_S = 1
# How long to leave a socket alone that is said to have room and takes nothing: the kernel is out of TCP memory.
_NO_MEMORY_S = 0.05
# asm-generic/socket.h; Python has no name for it.
_SO_MAX_PACING_RATE = 47
_UNLIMITED = -1
_PACE_MAX = 2**31 - 1
_RESET = struct.pack("ii", 1, 0)


class Sender(ABC):
    """Responses on one socket, one at a time."""

    __slots__ = (
        "_body", "_chunked", "_closed", "_count", "_crlf_due", "_fd", "_file", "_keep", "_keep_alive", "_mapped", "_offset",
        "_out", "_pace", "_paced", "_remaining", "_response_bytes", "_server", "_sock", "_status", "_waiting", "_writing",
        "deadline",
    )  # fmt: skip

    def __init__(self, server: "HttpServer", sock: socket.socket) -> None:
        self._server = server
        self._sock = sock
        self._fd = sock.fileno()
        self._body: Body | None = None
        self._out: list[Buffer] = []
        self._file, self._offset, self._count = -1, 0, 0
        self._keep: object = None
        self._mapped: Mapped | None = None
        self._pace: Pace | None = None
        self._paced = False
        self._response_bytes = 0
        # Of the response under way, until it is in the access log.
        self._status = 0
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
        self._status = response.status
        self._keep_alive = self._keep_alive and not response.close
        body, length = response.body, response.content_length
        stream = None if isinstance(body, bytes) else body
        if length is None:
            length = len(body) if isinstance(body, bytes) else body.length
        wanted = has_body(method, response.status)
        self._chunked = wanted and length is None and self._keep_alive
        head = response_head(response, length, self._server.date, chunked=self._chunked, keep_alive=self._keep_alive)
        self._response_bytes = 0
        self._out = [head + body] if wanted and isinstance(body, bytes) else [head]
        self._remaining = length
        self._crlf_due = False
        self._body = stream
        if stream is not None:
            self._begin_stream(response.pace) if wanted else self._end_body()
        self.deadline = self._server.now + self._server.limits.stall_s_max
        # The first piece goes out with the head, in one packet; a head whose body has to wait goes out alone.
        if self._body is not None and not self._next_piece() and not self._waiting:
            return
        self._pump()

    def _begin_stream(self, pace: Pace | None) -> None:
        """Bounds what the kernel takes ahead of a slow reader: left to itself it would take 4 MiB, a whole song."""
        buffer_bytes = _STREAM_BUFFER_BYTES
        if pace is not None:
            # What is queued leaves at the pace: it must be gone long before the stream could be taken for stalled.
            buffer_bytes = max(_PACED_BUFFER_BYTES_MIN, min(int(pace.bytes_per_s * _PACED_BUFFER_S), buffer_bytes))
        self._pace = pace
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, buffer_bytes)

    def _respond_ready(self, answer: ReadyResponse) -> None:
        """The hot path: what is in memory leaves with the head by one system call, a file by others, and nothing is kept
        when the socket takes all.

        The head does not wait for the file (MSG_MORE): a reader that is woken by it is awake when the file comes, which costs
        less than waking it for each half of a packet that is a head longer than the network's.
        """
        self._begin(answer)
        out = self._out
        try:
            sent = self._sock.sendmsg(out)
            self._server.stats.sent_bytes += sent
            self._response_bytes = sent
            whole = answer.file is None and sent == len(out[0]) + answer.length
            out = self._out = [] if whole else unsent(out, sent)
            if not out and self._count:
                self._send_file()
        except BlockingIOError:
            pass
        except OSError:
            self.close("reset")
            return
        if not out and self._count == 0 and self._body is None:
            self._keep = self._mapped = None
            self._finish()
        else:
            self._pump()

    def _begin(self, answer: ReadyResponse) -> None:
        server, file = self._server, answer.file
        responses = server.stats.responses
        responses[answer.status] = responses.get(answer.status, 0) + 1
        self._status = answer.status
        head = file_head(answer.status, answer.headers, answer.length, server.date, keep_alive=self._keep_alive)
        self._out = [head, *answer.buffers]
        self._response_bytes = 0
        self._chunked = False
        self._remaining = 0
        self._body = answer.rest
        if file is not None:
            self._out.append(file.head)
            self._take_file(file)
            if answer.rest is not None:
                self._remaining = answer.length - file.count - len(file.head) - sum(map(len, answer.buffers))
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
                elif turn:
                    break
                elif not self._next_piece():
                    return
            # Not by way of epoll: the socket has room, and whoever was ready before comes first.
            self._server.loop.call_soon(self._pump)
        except BlockingIOError:
            self._want_writer()
        except OSError:
            self.close("reset")

    def _on_room(self) -> None:
        """The kernel says that the socket has room. Where it then takes nothing, asking again at once would never end."""
        before = self._response_bytes
        self._pump()
        if self._writing and self._response_bytes == before:
            self._drop_writer()
            self._server.stats.out_of_memory += 1
            self._server.loop.call_later(_NO_MEMORY_S, self._pump)

    def _send_out(self) -> int:
        sent = self._send(self._out, more=self._count > 0)
        self._out = unsent(self._out, sent)
        self._progress(sent)
        return sent

    def _send(self, buffers: list[Buffer], *, more: bool) -> int:
        return self._sock.sendmsg(buffers, (), socket.MSG_MORE if more else 0)

    def _send_file(self) -> int:
        pipe, mapped = self._server.pipe, self._mapped
        if mapped is not None and pipe is not None and self._count >= _SPLICE_BYTES_MIN:
            sent = pipe.send(self._fd, mapped.address + self._offset, self._count)
        else:
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
        self._response_bytes += sent
        if self._pace is not None and self._response_bytes >= self._pace.burst_bytes:
            self._slow_down(self._pace)
        self.deadline = self._server.now + self._server.limits.stall_s_max

    def _slow_down(self, pace: Pace) -> None:
        """From here on the kernel spaces the packets of this socket, with timers of its own."""
        self._pace = None
        self._paced = True
        self._server.stats.paced += 1
        self._sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, min(pace.bytes_per_s, _PACE_MAX))

    def _end_pace(self) -> None:
        self._pace = None
        if self._paced:
            self._paced = False
            self._sock.setsockopt(socket.SOL_SOCKET, _SO_MAX_PACING_RATE, _UNLIMITED)

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
            self._out.append((b"\r\n" if self._crlf_due else b"") + chunk_head(size))
            self._crlf_due = True
        if piece.head:
            self._out.append(piece.head)
        self._take_file(piece)
        if self._remaining is not None:
            self._remaining -= size

    def _take_file(self, piece: Piece) -> None:
        self._file, self._offset, self._count = piece.fd, piece.offset, piece.count
        self._keep, self._mapped = piece.keep, piece.mapped

    def _last_piece(self) -> None:
        if self._chunked:
            self._out.append((b"\r\n" if self._crlf_due else b"") + LAST_CHUNK)
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
        self._keep = self._mapped = None
        if self._body is not None:
            body, self._body = self._body, None
            body.close()

    def _want_writer(self) -> None:
        if not self._writing:
            self._writing = True
            self._server.loop.add_writer(self._fd, self._on_room)

    def _drop_writer(self) -> None:
        self._writing = False
        self._server.loop.remove_writer(self._fd)


def unsent(buffers: list[Buffer], sent: int) -> list[Buffer]:
    """What is left of `buffers` when their first `sent` bytes have gone."""
    for index, buffer in enumerate(buffers):
        if sent < len(buffer):
            return [memoryview(buffer)[sent:], *buffers[index + 1 :]]
        sent -= len(buffer)
    return []
