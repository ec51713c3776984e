"""TLS 1.3 for the HTTP server: a non-blocking SSLSocket under the same connection, and certificates that are replaced while
it runs.

What is in memory goes to OpenSSL as it lies, files by way of one scratch buffer: no memory BIO, no asyncio transport. A write
that OpenSSL could not finish is repeated with the same bytes, from the same place.
"""

import contextlib
import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from reprise.config import ConfigError
from reprise.http_connection import RECEIVE_BYTES, Connection
from reprise.http_message import Buffer, ReadyResponse
from reprise.log import get_logger

if TYPE_CHECKING:
    from reprise.http_server import HttpServer

log = get_logger()
# Sixteen TLS records: enough that Python's share of a byte is small, small enough for a CPU's cache.
SCRATCH_BYTES = 256 * 1024
_RECORD_BYTES = 16 * 1024


class Certificates:
    """The certificate and key of a port, from two PEM files, read again when they change."""

    def __init__(self, certificate_path: Path, key_path: Path) -> None:
        self._paths = (certificate_path, key_path)
        self._seen = self._stamps()
        self.failures = 0
        self.reloads = 0
        self.context = self._load()

    def refresh(self) -> None:
        """Takes new files in; the old certificate stays in use when they are unreadable or do not fit together."""
        stamps = self._stamps()
        if stamps == self._seen:
            return
        self._seen = stamps
        try:
            self.context = self._load()
        except ConfigError as error:
            self.failures += 1
            log.error("certificate_not_reloaded", reason=error.message)
            return
        self.reloads += 1
        log.info("certificate_reloaded", path=str(self._paths[0]))

    def _load(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.set_alpn_protocols(["http/1.1"])
        try:
            context.load_cert_chain(*self._paths)
        except (OSError, ssl.SSLError) as error:
            raise ConfigError(f"cannot use certificate {self._paths[0]} with key {self._paths[1]}: {error}") from None
        return context

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(path) for path in self._paths)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


class TlsConnection(Connection):
    """A connection whose bytes go through OpenSSL. The handshake counts as part of the first request's time."""

    __slots__ = ("_handshaking", "_tls")

    def __init__(self, server: "HttpServer", sock: socket.socket, peer: str, context: ssl.SSLContext) -> None:
        self._tls = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._handshaking = True
        super().__init__(server, self._tls, peer)

    def _on_readable(self) -> None:
        if self._handshaking and not self._handshake():
            return
        # OpenSSL may hold decrypted bytes that epoll knows nothing of.
        while not self._closed:
            super()._on_readable()
            if not self._reading or self._eof or not self._tls.pending():
                return

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            # A server's handshake messages fit the empty socket buffer; only reading can be waited for.
            return False
        except OSError:
            self.close("handshake")
            return False
        self._handshaking = False
        return True

    def _receive(self) -> bytes:
        try:
            return self._tls.recv(RECEIVE_BYTES)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None
        except ssl.SSLEOFError:
            return b""

    def _pump(self) -> None:
        """OpenSSL gives the socket one record at a time; corked, they leave in packets that are full."""
        self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        super()._pump()
        if not self._closed:
            self._tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def _on_room(self) -> None:
        """A part of a record may have left: that nothing was counted does not say that nothing went."""
        self._pump()

    def _send(self, buffers: list[Buffer], *, more: bool) -> int:  # noqa: ARG002 - TLS has records, not MSG_MORE
        """What is large goes to OpenSSL as it lies; what is small shares a record with what follows."""
        if len(buffers) == 1 or len(buffers[0]) >= _RECORD_BYTES:
            return self._encrypt(buffers[0])
        scratch, filled = self._server.scratch, 0
        for buffer in buffers:
            taken = buffer[: _RECORD_BYTES - filled]
            scratch[filled : filled + len(taken)] = taken
            filled += len(taken)
        return self._encrypt(scratch[:filled])

    def _send_file(self) -> int:
        if self._mapped is not None:
            end = self._offset + min(self._count, SCRATCH_BYTES)
            sent = self._encrypt(self._mapped.view[self._offset : end])
            self._sent_of_file(sent)
            return sent
        scratch = self._server.scratch
        count = os.preadv(self._file, [scratch[: min(self._count, SCRATCH_BYTES)]], self._offset)
        if count == 0:
            raise OSError("the file ended before the piece")
        sent = self._encrypt(scratch[:count])
        self._sent_of_file(sent)
        return sent

    def _encrypt(self, data: Buffer) -> int:
        try:
            return self._tls.send(data)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise BlockingIOError from None

    def _respond_ready(self, answer: ReadyResponse) -> None:
        self._begin(answer)
        self._pump()

    def _end_sending(self) -> None:
        # The close_notify goes out; the peer's is not waited for, whatever `unwrap` thinks of that.
        with contextlib.suppress(OSError, ValueError):
            self._tls.unwrap()
        socket.socket.shutdown(self._tls, socket.SHUT_WR)
