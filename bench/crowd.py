"""Many clients who ask for the same song at one moment, as one process on one epoll loop.

Everyone is connected before the first one asks. Bodies are dropped in the kernel (MSG_TRUNC), so that the crowd takes as little
of the machine as possible from what it measures; one client in fifty really reads, and checks the song's digest. A client that
was given a second server goes on there, once, at the byte where its first one left it; all of these read and check.
"""

import hashlib
import json
import select
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from bench.launch import ROOT
from bench.load import LoadFailed

_READS_EVERY = 50
_SETTLE_S = 0.3
_TURNS = 16
_READ_BYTES = 1 << 20
_HEAD_BYTES_MAX = 8192


@dataclass(frozen=True, slots=True)
class Call:
    """A request and where it goes; `again` is for when that breaks off."""

    port: int
    request: bytes
    again: "Call | None" = None


@dataclass(slots=True)
class Client:
    """One client. Times are seconds after the crowd's first request; None for what never came."""

    sock: socket.socket
    reads: bool
    again: Call | None
    unsent: bytes = b""
    head: bytes = b""
    received: int = 0
    # Where the answer that is being read begins.
    start: int = 0
    first_s: float | None = None
    done_s: float | None = None
    broken_s: float | None = None
    resumed_s: float | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the crowd saw: seconds of those that got a first byte, of those that got the whole song, and who did not.

    `silence_s` is how long those that went on elsewhere heard nothing; `resumed_errors` are the errors of those that had
    elsewhere to go.
    """

    first_s: list[float]
    done_s: list[float]
    silence_s: list[float]
    errors: int
    resumed_errors: int


def run_crowd(calls: Sequence[Call], size_bytes: int, sha256: str, seconds_max: float) -> Outcome:
    """All calls at once, each for a song of `size_bytes`. Raises LoadFailed."""
    asked = {"calls": list(map(_dump, calls)), "size_bytes": size_bytes, "sha256": sha256, "seconds_max": seconds_max}
    argv = (sys.executable, "-m", "bench.crowd")
    ended = subprocess.run(
        argv, cwd=ROOT, input=json.dumps(asked), capture_output=True, text=True, timeout=seconds_max + 60, check=False
    )
    try:
        return Outcome(**json.loads(ended.stdout))
    except ValueError:
        raise LoadFailed(f"the crowd gave no result: {ended.stderr[-500:]}") from None


class Crowd:
    """The clients and their loop."""

    def __init__(self, calls: Sequence[Call], size_bytes: int, sha256: str) -> None:
        self._size_bytes = size_bytes
        self._sha256 = sha256
        self._requests = [call.request for call in calls]
        self._clients = [
            Client(_connect(call), call.again is not None or number % _READS_EVERY == 0, call.again)
            for number, call in enumerate(calls)
        ]
        self._scrap = bytearray(_READ_BYTES)
        self._started = 0.0
        self._waiting: dict[int, Client] = {}
        self._poll = select.epoll()
        # Those who have heard nothing yet are looked at after every few others: what is late is then late by the server.
        self._silent = select.epoll()
        self._poll.register(self._silent, select.EPOLLIN)

    def run(self, seconds_max: float) -> Outcome:
        for client in self._clients:
            self._wait_for(client)
        time.sleep(_SETTLE_S)
        self._started = time.monotonic()
        for client, request in zip(self._clients, self._requests, strict=True):
            client.sock.send(request)
        while self._waiting and (left := self._started + seconds_max - time.monotonic()) > 0:
            for fd, _ in self._poll.poll(left, _TURNS):
                if fd != self._silent.fileno():
                    self._turn(fd)
            for fd, _ in self._silent.poll(0):
                self._turn(fd)
        return self._outcome()

    def _outcome(self) -> Outcome:
        failed = [client for client in self._clients if client.done_s is None]
        resumed = [client for client in self._clients if client.broken_s is not None]
        return Outcome(
            [client.first_s for client in self._clients if client.first_s is not None],
            [client.done_s for client in self._clients if client.done_s is not None],
            [client.resumed_s - (client.broken_s or 0.0) for client in resumed if client.resumed_s is not None],
            len(failed),
            sum(client.again is not None for client in failed),
        )

    def _wait_for(self, client: Client) -> None:
        client.sock.setblocking(False)
        self._waiting[client.sock.fileno()] = client
        self._poll_of(client).register(client.sock.fileno(), select.EPOLLIN)

    def _poll_of(self, client: Client) -> select.epoll:
        return self._silent if client.first_s is None else self._poll

    def _turn(self, fd: int) -> None:
        client = self._waiting[fd]
        if not (self._unsent(client) if client.unsent else self._ended(client)):
            return
        self._waiting.pop(fd).sock.close()
        if client.done_s is None and client.again is not None and client.broken_s is None:
            self._resume(client, client.again)

    def _resume(self, client: Client, call: Call) -> None:
        """Asks the second server for the rest."""
        client.broken_s = time.monotonic() - self._started
        client.head, client.start = b"", client.received
        client.unsent = call.request.removesuffix(b"\r\n") + b"Range: bytes=%d-\r\n\r\n" % client.start
        client.sock = socket.socket()
        client.sock.setblocking(False)
        # A crowd that waited for one of its connections would be what keeps the others waiting.
        client.sock.connect_ex(("127.0.0.1", call.port))
        self._wait_for(client)
        self._poll_of(client).modify(client.sock.fileno(), select.EPOLLOUT)

    def _unsent(self, client: Client) -> bool:
        """Sends the request on a connection that is there now; whether there is none."""
        try:
            client.sock.send(client.unsent)
        except OSError:
            return True
        client.unsent = b""
        self._poll_of(client).modify(client.sock.fileno(), select.EPOLLIN)
        return False

    def _ended(self, client: Client) -> bool:
        """Reads what is there; whether this client is done, or its server has left it."""
        before = client.received
        try:
            got = self._read(client)
        except BlockingIOError:
            return False
        except OSError:
            return True
        now = time.monotonic() - self._started
        if client.received > before:
            if client.first_s is None:
                client.first_s = now
                self._silent.unregister(client.sock.fileno())
                self._poll.register(client.sock.fileno(), select.EPOLLIN)
            if client.broken_s is not None and client.resumed_s is None:
                client.resumed_s = now
        if client.received >= self._size_bytes:
            if not client.reads or client.digest.hexdigest() == self._sha256:
                client.done_s = now
            return True
        return not got

    def _read(self, client: Client) -> bool:
        """False at the end of the connection, and at an answer that is not the song."""
        if b"\r\n\r\n" not in client.head:
            return self._read_head(client)
        if client.reads:
            data = client.sock.recv(_READ_BYTES)
            client.digest.update(data)
            count = len(data)
        else:
            count = client.sock.recv_into(self._scrap, _READ_BYTES, socket.MSG_TRUNC)
        client.received += count
        return count > 0

    def _read_head(self, client: Client) -> bool:
        data = client.sock.recv(_HEAD_BYTES_MAX)
        client.head += data
        head, end, body = client.head.partition(b"\r\n\r\n")
        if not end:
            return bool(data) and len(client.head) < _HEAD_BYTES_MAX
        if not _fits(head, client):
            return False
        client.received += len(body)
        client.digest.update(body)
        return True


def _fits(head: bytes, client: Client) -> bool:
    """Whether this is an answer to what was asked: the song, or after a break the rest of it."""
    status = head.split(b" ", 2)[1]
    if client.broken_s is None:
        return status == b"200"
    return status == b"206" and b"content-range: bytes %d-" % client.start in head.lower()


def _connect(call: Call) -> socket.socket:
    return socket.create_connection(("127.0.0.1", call.port), 10)


def _dump(call: Call) -> list[object]:
    return [call.port, call.request.hex(), call.again and _dump(call.again)]


def _load(dumped: list[object]) -> Call:
    port, request, again = dumped
    assert isinstance(port, int) and isinstance(request, str)  # noqa: PT018 - for mypy
    return Call(port, bytes.fromhex(request), _load(again) if isinstance(again, list) else None)


def main() -> None:
    asked = json.load(sys.stdin)
    crowd = Crowd(list(map(_load, asked["calls"])), asked["size_bytes"], asked["sha256"])
    print(json.dumps(asdict(crowd.run(asked["seconds_max"]))))


if __name__ == "__main__":
    main()
