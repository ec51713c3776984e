"""What the S3 server itself says was read: its audit log, and the bytes it counted.

SeaweedFS sends one record per access by the fluent forward protocol (msgpack arrays over TCP), received here. A record
names the operation, the key and the status, but not the range, so bytes come from the server's own Prometheus counter:
together they prove that an object of N bytes was read once (N bytes in all) and by how many requests.

Both lag the access a little: wait until they say what you expect.
"""

import re
import socket
import socketserver
import struct
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class Access:
    """One record of the audit log. `operation` is like REST.GET.OBJECT; `status` is the HTTP status."""

    operation: str
    bucket: str
    key: str
    status: int


class S3Access:
    """The audit records that arrived, in order."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._lock = threading.Lock()
        self._records: list[Access] = []

    @classmethod
    @contextmanager
    def listening(cls) -> "Iterator[Self]":
        """A receiver on a free loopback port; give its `port` to the S3 server."""
        with _Server(("127.0.0.1", 0), _Handler) as server:
            access = cls(server.server_address[1])
            server.take = access._add
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="s3-access")
            thread.start()
            try:
                yield access
            finally:
                server.shutdown()
                thread.join()

    def _add(self, record: dict[str, Any]) -> None:
        access = Access(record["operation"], record["bucket"], record["key"], record["status"])
        with self._lock:
            self._records.append(access)

    def all(self, bucket: str) -> list[Access]:
        """Every access to `bucket`."""
        with self._lock:
            return [access for access in self._records if access.bucket == bucket]

    def gets(self, bucket: str, key: str = "") -> list[Access]:
        """Every read of an object of `bucket`, or of the object `key`."""
        return [a for a in self.all(bucket) if a.operation == "REST.GET.OBJECT" and key in ("", a.key)]


def sent_bytes(metrics_url: str, bucket: str) -> int:
    """Bytes of objects that the S3 server sent from `bucket` since it started, by its own count."""
    with urllib.request.urlopen(metrics_url, timeout=5) as answer:
        text = answer.read().decode()
    pattern = rf'^SeaweedFS_s3_bucket_traffic_sent_bytes_total{{bucket="{re.escape(bucket)}"}} (\S+)$'
    return sum(int(float(value)) for value in re.findall(pattern, text, re.MULTILINE))


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    take: Callable[[dict[str, Any]], None]


class _Handler(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            while True:
                _tag, _time, record, *_options = unpack(self.rfile)
                self.server.take(record)
        except (EOFError, ConnectionError):
            return


def unpack(source: BufferedIOBase) -> Any:
    """The next msgpack value of a stream, of the types that a fluent client sends. Raises EOFError at the end."""
    kind = _read(source, 1)[0]
    if kind <= 0x7F or kind >= 0xE0:
        return kind if kind <= 0x7F else kind - 0x100
    if kind <= 0x8F:
        return {unpack(source): unpack(source) for _ in range(kind & 0x0F)}
    if kind <= 0x9F:
        return [unpack(source) for _ in range(kind & 0x0F)]
    if kind <= 0xBF:
        return _read(source, kind & 0x1F).decode()
    if kind in _CONSTANTS:
        return _CONSTANTS[kind]
    layout, make = _SIZED[kind]
    (number,) = struct.unpack(layout, _read(source, struct.calcsize(layout)))
    return make(source, number)


def _number(_source: BufferedIOBase, value: Any) -> Any:
    return value


def _text(source: BufferedIOBase, length: int) -> str:
    return _read(source, length).decode()


def _map(source: BufferedIOBase, count: int) -> dict[Any, Any]:
    return {unpack(source): unpack(source) for _ in range(count)}


def _list(source: BufferedIOBase, count: int) -> list[Any]:
    return [unpack(source) for _ in range(count)]


_CONSTANTS = {0xC0: None, 0xC2: False, 0xC3: True}
_SIZED: dict[int, tuple[str, Callable[[BufferedIOBase, Any], Any]]] = {
    **{
        0xCA + i: (layout, _number)
        for i, layout in enumerate((">f", ">d", ">B", ">H", ">I", ">Q", ">b", ">h", ">i", ">q"))
    },
    **{0xD9 + i: (layout, _text) for i, layout in enumerate((">B", ">H", ">I"))},
    **{0xDC + i: (layout, _list) for i, layout in enumerate((">H", ">I"))},
    **{0xDE + i: (layout, _map) for i, layout in enumerate((">H", ">I"))},
}


def _read(source: BufferedIOBase, count: int) -> bytes:
    data = source.read(count)
    if len(data) < count:
        raise EOFError
    return data
