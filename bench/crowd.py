"""Many clients who ask for the same song at one moment, as one process on one epoll loop.

Everyone is connected before the first one asks. Bodies are dropped in the kernel (MSG_TRUNC), so that the crowd takes as little
of the machine as possible from what it measures; one client in fifty really reads, and checks the song's digest.
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
_READ_BYTES = 1 << 20
_HEAD_BYTES_MAX = 8192


@dataclass(frozen=True, slots=True)
class Call:
    """A request and where it goes."""

    port: int
    request: bytes


@dataclass(slots=True)
class Client:
    """One client. Times are seconds after the crowd's first request; None for what never came."""

    sock: socket.socket
    reads: bool
    head: bytes | None = None
    received: int = 0
    first_s: float | None = None
    done_s: float | None = None
    digest: "hashlib._Hash" = field(default_factory=hashlib.sha256)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the crowd saw: seconds of those that got a first byte, of those that got the whole song, and who did not."""

    first_s: list[float]
    done_s: list[float]
    errors: int


def run_crowd(calls: Sequence[Call], size_bytes: int, sha256: str, seconds_max: float) -> Outcome:
    """All calls at once, each for a song of `size_bytes`. Raises LoadFailed."""
    asked = {"calls": [(call.port, call.request.hex()) for call in calls], "size_bytes": size_bytes}
    text = json.dumps(asked | {"sha256": sha256, "seconds_max": seconds_max})
    argv = (sys.executable, "-m", "bench.crowd")
    ended = subprocess.run(
        argv, cwd=ROOT, input=text, capture_output=True, text=True, timeout=seconds_max + 60, check=False
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
            Client(socket.create_connection(("127.0.0.1", call.port), 10), number % _READS_EVERY == 0)
            for number, call in enumerate(calls)
        ]
        self._scrap = bytearray(_READ_BYTES)
        self._started = 0.0
        self._waiting = {client.sock.fileno(): client for client in self._clients}

    def run(self, seconds_max: float) -> Outcome:
        with select.epoll() as poll:
            for fd, client in self._waiting.items():
                client.sock.setblocking(False)
                poll.register(fd, select.EPOLLIN)
            time.sleep(_SETTLE_S)
            self._started = time.monotonic()
            for client, request in zip(self._clients, self._requests, strict=True):
                client.sock.send(request)
            while self._waiting and (left := self._started + seconds_max - time.monotonic()) > 0:
                for fd, _ in poll.poll(left):
                    if self._ended(self._waiting[fd]):
                        poll.unregister(fd)
                        self._waiting.pop(fd).sock.close()
        done = [client.done_s for client in self._clients if client.done_s is not None]
        first = [client.first_s for client in self._clients if client.first_s is not None]
        return Outcome(first, done, len(self._clients) - len(done))

    def _ended(self, client: Client) -> bool:
        """Reads what is there; whether this client is done, or gave up."""
        try:
            got = self._read(client)
        except BlockingIOError:
            return False
        except OSError:
            return True
        now = time.monotonic() - self._started
        if client.received and client.first_s is None:
            client.first_s = now
        if client.received >= self._size_bytes:
            if not client.reads or client.digest.hexdigest() == self._sha256:
                client.done_s = now
            return True
        return not got

    def _read(self, client: Client) -> bool:
        """False at the end of the connection, and at an answer that is not the song."""
        if client.head is None or b"\r\n\r\n" not in client.head:
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
        client.head = (client.head or b"") + data
        head, end, body = client.head.partition(b"\r\n\r\n")
        if end:
            client.received = len(body)
            client.digest.update(body)
            return head.split(b" ", 2)[1] == b"200"
        return bool(data) and len(client.head) < _HEAD_BYTES_MAX


def main() -> None:
    asked = json.load(sys.stdin)
    calls = [Call(port, bytes.fromhex(request)) for port, request in asked["calls"]]
    crowd = Crowd(calls, asked["size_bytes"], asked["sha256"])
    print(json.dumps(asdict(crowd.run(asked["seconds_max"]))))


if __name__ == "__main__":
    main()
