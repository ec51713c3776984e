"""An HTTP/1.1 server on raw sockets: bodies leave by sendfile, straight from the page cache or a memfd.

It knows nothing of songs. A connection is one slotted object (`reprise.http_connection`); here are the listener, the limits,
the clock that enforces them, and the figures. Measurements beside nginx and Varnish: docs/benchmarks.md.

Invariants: every connection has a deadline, except while a handler or body that has its own is at work; nothing that a client
sends can grow memory without a limit in `Limits`.
"""

import asyncio
import errno
import socket
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reprise.access_log import AccessLog
from reprise.http_connection import Connection
from reprise.http_head import date_line
from reprise.http_message import Handler
from reprise.http_repeats import Repeats
from reprise.http_splice import MemoryPipe
from reprise.http_tls import SCRATCH_BYTES, Certificates, TlsConnection
from reprise.log import get_logger

log = get_logger()
BACKLOG = 4096
_ACCEPTS_PER_TURN = 128
_SWEEP_S = 1.0
_REFUSED = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on what a client can make the server hold or wait for."""

    connections_max: int = 16_000
    header_bytes_max: int = 16 * 1024
    # A gRPC-web message of 64 KiB as base64, and some: what is a little too large is told so by the bridge.
    body_bytes_max: int = 96 * 1024
    # From the first byte of a request to its last.
    request_s_max: float = 10.0
    # Between two requests of a connection.
    idle_s_max: float = 75.0
    # Without one byte of a response leaving while there is something to send.
    stall_s_max: float = 30.0


@dataclass(slots=True)
class HttpStats:
    """Plain counters, so that the hot path adds an integer and nothing else."""

    accepted: int = 0
    requests: int = 0
    sent_bytes: int = 0
    paced: int = 0
    out_of_memory: int = 0
    responses: dict[int, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)

    def end(self, cause: str) -> None:
        self.ended[cause] = self.ended.get(cause, 0) + 1


class HttpServer(Collector):
    """Listens on one port and hands complete requests to `handler`."""

    def __init__(
        self,
        handler: Handler,
        *,
        limits: Limits,
        name: str,
        registry: CollectorRegistry,
        certificates: Certificates | None = None,
        access_log: AccessLog | None = None,
    ) -> None:
        self.handler = handler
        self.limits = limits
        self.stats = HttpStats()
        self.connections: set[Connection] = set()
        self.repeats = Repeats()
        self.access_log = access_log
        # Where TLS connections read files to, one after the other.
        self.scratch = memoryview(bytearray(SCRATCH_BYTES if certificates else 0))
        self.pipe = _memory_pipe()
        self.loop = asyncio.get_running_loop()
        self.date = date_line(time.time())
        self.now = time.monotonic()
        self.stopping = False
        self._idle = asyncio.Event()
        self._name = name
        self._certificates = certificates
        self._listener: socket.socket | None = None
        self._sweeper: asyncio.Task[None] | None = None
        registry.register(self)

    def start(self, host: str, port: int) -> int:
        """Binds, starts accepting, and returns the port. Raises OSError when the address is not to be had."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return self.listen(socket.create_server((host.strip("[]"), port), family=family, backlog=BACKLOG))

    def listen(self, listener: socket.socket) -> int:
        """Starts accepting on a socket that listens already, owns it from now on, and returns its port."""
        self._listener = listener
        listener.setblocking(False)
        self.loop.add_reader(listener.fileno(), self._accept)
        self._sweeper = self.loop.create_task(self._sweep(), name="http.sweep")
        return int(listener.getsockname()[1])

    async def stop(self, grace_s: float) -> None:
        """Stops accepting, lets responses under way finish for `grace_s`, then cuts what is left."""
        self.stopping = True
        self._close_listener()
        for connection in list(self.connections):
            connection.close_when_idle()
        if self.connections:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._idle.wait()
        for connection in list(self.connections):
            connection.close("server_stopped")
        if self._sweeper:
            self._sweeper.cancel()
        if self.access_log is not None:
            self.access_log.close()
            self.access_log = None
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None

    def _accept(self) -> None:
        assert self._listener is not None
        for _ in range(_ACCEPTS_PER_TURN):
            try:
                sock, address = self._listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._accept_failed(error)
                return
            self.stats.accepted += 1
            sock.setblocking(False)
            if len(self.connections) >= self.limits.connections_max:
                self._refuse(sock)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.connections.add(self._connection(sock, str(address[0])))

    def _connection(self, sock: socket.socket, peer: str) -> Connection:
        if self._certificates is None:
            return Connection(self, sock, peer)
        return TlsConnection(self, sock, peer, self._certificates.context)

    def _accept_failed(self, error: OSError) -> None:
        """Out of file descriptors: the listener stays readable, so accepting must rest or the loop would spin."""
        self.stats.end("accept_failed")
        if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM) or self._listener is None:
            return
        log.warning("accept_failed", error=error.strerror, connections=len(self.connections))
        self.loop.remove_reader(self._listener.fileno())
        self.loop.call_later(0.2, self._accept_again)

    def _accept_again(self) -> None:
        if self._listener is not None:
            self.loop.add_reader(self._listener.fileno(), self._accept)

    def _refuse(self, sock: socket.socket) -> None:
        self.stats.end("connections_max")
        try:
            sock.send(_REFUSED)
        except OSError:
            pass
        finally:
            sock.close()

    def _close_listener(self) -> None:
        if self._listener is not None:
            self.loop.remove_reader(self._listener.fileno())
            self._listener.close()
            self._listener = None

    async def _sweep(self) -> None:
        """One timer for all connections: exact to a second, which is all that limits of seconds need."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.now = time.monotonic()
            self.date = date_line(time.time())
            if self.access_log is not None:
                self.access_log.flush()
            if self._certificates is not None:
                self._certificates.refresh()
            for connection in [c for c in self.connections if c.deadline < self.now]:
                connection.expire()

    def gone(self, connection: Connection) -> None:
        """A connection has closed."""
        self.connections.discard(connection)
        if self.stopping and not self.connections:
            self._idle.set()

    def collect(self) -> Iterator[Metric]:
        """Prometheus figures of this port."""
        prefix = f"reprise_{self._name}_http"
        yield GaugeMetricFamily(f"{prefix}_connections", "Open connections", value=len(self.connections))
        yield CounterMetricFamily(f"{prefix}_accepted", "Connections accepted", value=self.stats.accepted)
        yield CounterMetricFamily(f"{prefix}_sent_bytes", "Bytes given to the kernel", value=self.stats.sent_bytes)
        yield CounterMetricFamily(f"{prefix}_paced", "Responses that went on at a pace", value=self.stats.paced)
        yield CounterMetricFamily(
            f"{prefix}_send_memory_waits",
            "Pauses of sockets the kernel had no memory for",
            value=self.stats.out_of_memory,
        )
        responses = CounterMetricFamily(f"{prefix}_responses", "Responses by status", labels=["status"])
        for status, count in self.stats.responses.items():
            responses.add_metric([str(status)], count)
        yield responses
        reloads = CounterMetricFamily(f"{prefix}_certificate_reloads", "Certificates replaced", labels=["result"])
        if self._certificates is not None:
            reloads.add_metric(["ok"], self._certificates.reloads)
            reloads.add_metric(["failed"], self._certificates.failures)
        yield reloads
        dropped = self.access_log.dropped if self.access_log is not None else 0
        yield CounterMetricFamily(f"{prefix}_access_log_dropped", "Lines that could not be written", value=dropped)
        ended = CounterMetricFamily(f"{prefix}_ended", "Connections that we ended, by cause", labels=["cause"])
        for cause, count in self.stats.ended.items():
            ended.add_metric([cause], count)
        yield ended


def _memory_pipe() -> MemoryPipe | None:
    """None where the system gives none: then files leave by sendfile."""
    try:
        return MemoryPipe()
    except (OSError, AttributeError):
        return None
