"""Listeners who take a song at the pace at which it plays, many in one process on one epoll loop.

A listener takes a piece, then nothing until the next one is due; its small receive buffer makes the server wait with it. A
piece is late by the time from when it was due until its last byte was here. Bytes are dropped in the kernel (MSG_TRUNC).
"""

import argparse
import heapq
import json
import random
import resource
import select
import socket
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.report import quantile

_SEED = 5
_BUFFER_BYTES = 24 * 1024
_ARRIVALS_PER_S = 500.0
_TOLD_POLL_S = 0.05
_OK = b"HTTP/1.1 200"
# What a listener takes at a time: less than its receive buffer holds, for the server sends the rest no faster than its pace.
PIECE_BYTES = 16 * 1024
LATE_S = 1.0


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listeners of one process got."""

    pieces: int
    late: int
    lateness_p99_s: float
    lateness_max_s: float
    # How late this process itself was, at worst, in looking for a piece: so much of the lateness is not the server's.
    own_lag_max_s: float
    errors: int


@dataclass(slots=True)
class Listener:
    """One listener; `wanted` bytes are missing of the piece that was due at `due`."""

    sock: socket.socket
    due: float
    answered: bool = False
    wanted: int = PIECE_BYTES


class Audience:
    """The listeners of this process. They come one after another and play from then on, so nobody stalls the server."""

    def __init__(self, port: int, requests: Sequence[bytes], piece_s: float) -> None:
        self._port = port
        self._coming = deque(requests)
        self._piece_s = piece_s
        self._rng = random.Random(_SEED)
        # Lateness by when the piece was due.
        self._lateness: list[tuple[float, float]] = []
        self._own_lag_max_s = 0.0
        self._errors = 0
        self._scrap = bytearray(PIECE_BYTES)
        self._poll = select.epoll()
        self._reading: dict[int, Listener] = {}
        self._resting: list[tuple[float, int, Listener]] = []

    def gather(self) -> None:
        """Returns when all listeners have come."""
        next_at = time.monotonic()
        while self._coming:
            self._turn(next_at)
            while self._coming and next_at <= time.monotonic():
                self._come(self._coming.popleft())
                next_at += 1 / _ARRIVALS_PER_S

    def play_until_told(self) -> None:
        """Returns when there is a line on standard input."""
        while not select.select([sys.stdin], [], [], 0)[0]:
            self._turn(time.monotonic() + _TOLD_POLL_S)
        sys.stdin.readline()

    def measure(self, seconds: float) -> Heard:
        """Figures of the pieces that were due in the next `seconds`; what is missing at the end is as late as it is by then."""
        began = time.monotonic()
        until, self._own_lag_max_s = began + seconds, 0.0
        while time.monotonic() < until:
            self._turn(until)
        self._lateness += [(listener.due, until - listener.due) for listener in self._reading.values()]
        found = [lateness for due, lateness in self._lateness if due >= began]
        late = sum(lateness > LATE_S for lateness in found)
        worst = max(found, default=0.0)
        return Heard(len(found), late, quantile(found, 0.99), worst, self._own_lag_max_s, self._errors)

    def _come(self, request: bytes) -> None:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        sock.connect(("127.0.0.1", self._port))
        sock.setblocking(False)
        sock.send(request)
        # Songs begin at different moments, so pieces are due all the time.
        self._rest(Listener(sock, time.monotonic() + self._rng.uniform(0, self._piece_s)))

    def _rest(self, listener: Listener) -> None:
        heapq.heappush(self._resting, (listener.due, listener.sock.fileno(), listener))

    def _turn(self, until: float) -> None:
        """Reads what is due and here; waits for more, not longer than `until`."""
        now = time.monotonic()
        while self._resting and self._resting[0][0] <= now:
            listener = heapq.heappop(self._resting)[2]
            self._own_lag_max_s = max(self._own_lag_max_s, now - listener.due)
            self._reading[listener.sock.fileno()] = listener
            self._poll.register(listener.sock.fileno(), select.EPOLLIN)
        next_due = self._resting[0][0] if self._resting else until
        for fd, _ in self._poll.poll(max(0.0, min(next_due, until) - now)):
            self._read(self._reading[fd])

    def _read(self, listener: Listener) -> None:
        count = self._take(listener)
        if count is None or (count and listener.wanted):
            return
        fd = listener.sock.fileno()
        self._poll.unregister(fd)
        del self._reading[fd]
        if not count:
            self._errors += 1
            listener.sock.close()
            return
        self._lateness.append((listener.due, time.monotonic() - listener.due))
        listener.due += self._piece_s
        listener.wanted = PIECE_BYTES
        self._rest(listener)

    def _take(self, listener: Listener) -> int | None:
        """How many bytes came of the piece: None when none are here, 0 when none will be."""
        try:
            if not listener.answered and listener.sock.recv(len(_OK), socket.MSG_PEEK) != _OK:
                return 0
            listener.answered = True
            count = listener.sock.recv_into(self._scrap, listener.wanted, socket.MSG_TRUNC)
        except BlockingIOError:
            return None
        except OSError:
            return 0
        listener.wanted -= count
        return count


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.paced", description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--requests", type=Path, required=True, help="one per line, hexadecimal")
    parser.add_argument("--piece-s", type=float, required=True, help="how long a piece plays")
    parser.add_argument("--seconds", type=float, required=True)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    requests = [bytes.fromhex(line) for line in options.requests.read_text().split()]
    audience = Audience(options.port, requests, options.piece_s)
    audience.gather()
    # Whoever started us waits for this line, and answers it when all processes have said it.
    print("gathered", flush=True)
    audience.play_until_told()
    print(json.dumps(asdict(audience.measure(options.seconds))), flush=True)


if __name__ == "__main__":
    main()
