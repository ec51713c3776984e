"""One end of the socket between the node process and a worker: messages both ways, with descriptors from node to worker.

What is sent in one turn of the event loop leaves together at its end. Never blocks. Invariants: messages arrive in the order in
which they were sent; a file is kept open until its descriptor is on its way; what waits to be taken by the other end is
bounded, and an end that lets it grow beyond is taken for dead.
"""

import array
import asyncio
import os
import socket
from collections import deque
from collections.abc import Callable

from edge_node.open_file import OpenFile
from edge_node.workers.messages import Decoder, Message, ProtocolError, encode

_RECEIVE_BYTES = 256 * 1024
_RECEIVES_PER_TURN = 16
_SEND_BYTES = 64 * 1024
WAITING_BYTES_MAX = 32 << 20
# The kernel gives at most the descriptors of one `sendmsg` at a time, and we send one.
_ANCILLARY_BYTES = socket.CMSG_SPACE(4 * array.array("i").itemsize)


class Link:
    """Owns `sock`. `on_message` is called with each message and the descriptor that came with it, which is then its own.

    `on_lost` is called once, when the other end is gone or makes no sense; `close` calls nobody.
    """

    def __init__(
        self,
        sock: socket.socket,
        on_message: Callable[[Message, int | None], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._sock = sock
        self._on_message = on_message
        self._on_lost = on_lost
        self._decoder = Decoder()
        self._descriptors: deque[int] = deque()
        self._waiting: deque[tuple[bytes, OpenFile | None]] = deque()
        self._waiting_bytes = 0
        self._flushing = self._writing = self._closed = False
        self._loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self._loop.add_reader(sock.fileno(), self._on_readable)

    def send(self, message: Message, file: OpenFile | None = None) -> None:
        """Sends `message` soon, with a descriptor of `file`."""
        if self._closed:
            return
        frame = encode(message, with_file=file is not None)
        self._waiting.append((frame, file))
        self._waiting_bytes += len(frame)
        if self._waiting_bytes > WAITING_BYTES_MAX:
            # Later, so that nobody is told in the middle of what it is doing.
            self._loop.call_soon(self._lose, f"has not taken {self._waiting_bytes} bytes")
        if not self._flushing and not self._writing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """May be called again."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._sock.fileno())
        self._loop.remove_writer(self._sock.fileno())
        self._sock.close()
        self._waiting.clear()
        for fd in self._descriptors:
            os.close(fd)
        self._descriptors.clear()

    def _flush(self) -> None:
        self._flushing = False
        if self._closed:
            return
        try:
            while self._waiting:
                self._send_some()
        except BlockingIOError:
            if not self._writing:
                self._writing = True
                self._loop.add_writer(self._sock.fileno(), self._flush)
            return
        except OSError as error:
            self._lose(error.strerror or "cannot be written to")
            return
        if self._writing:
            self._writing = False
            self._loop.remove_writer(self._sock.fileno())

    def _send_some(self) -> None:
        """One frame that has a file, or several that have none. What did not go stays first."""
        frame, file = self._waiting.popleft()
        ancillary = [] if file is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [file.fd]))]
        while file is None and self._waiting and self._waiting[0][1] is None and len(frame) < _SEND_BYTES:
            frame += self._waiting.popleft()[0]
        try:
            sent = self._sock.sendmsg([frame], ancillary)
        except BlockingIOError:
            self._waiting.appendleft((frame, file))
            raise
        self._waiting_bytes -= sent
        if sent < len(frame):
            # The descriptor left with the first byte.
            self._waiting.appendleft((frame[sent:], None))

    def _on_readable(self) -> None:
        for _ in range(_RECEIVES_PER_TURN):
            try:
                data, ancillary, flags, _ = self._sock.recvmsg(
                    _RECEIVE_BYTES, _ANCILLARY_BYTES, socket.MSG_CMSG_CLOEXEC
                )
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(error.strerror or "cannot be read from")
                return
            self._keep_descriptors(ancillary)
            if not data or flags & socket.MSG_CTRUNC:
                self._lose("is gone" if not data else "sent a descriptor that this process has no room for")
                return
            if not self._take(data):
                return

    def _keep_descriptors(self, ancillary: list[tuple[int, int, bytes]]) -> None:
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds = array.array("i")
                fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
                self._descriptors.extend(fds)

    def _take(self, data: bytes) -> bool:
        """Whether the link is still open afterwards. A message that cannot be handled leaves the ends at odds: that ends it."""
        reason = "could not be understood"
        try:
            for message, with_file in self._decoder.feed(data):
                if with_file and not self._descriptors:
                    raise ProtocolError("a descriptor is missing")
                self._on_message(message, self._descriptors.popleft() if with_file else None)
                if self._closed:
                    return False
            reason = ""
        except ProtocolError as error:
            reason = f"makes no sense: {error}"
        finally:
            if reason:
                self._lose(reason)
        return not reason

    def _lose(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._on_lost(reason)
