"""Processes of a benchmark: started on a core, waited for until they answer, measured from /proc, ended with the run.

What a server used is the time of its process, of what that started, and of the servers behind it that belong to the same side
of the comparison.
"""

import http.client
import os
import random
import shutil
import socket
import ssl
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self

from bench.certificate import Certificate
from reprise.engines.ports import LOOPBACK, is_free
from reprise.engines.process import Process, Spec, outcome

READY_S_MAX = 30.0
POLL_S = 0.02
ANSWER_S_MAX = 20.0
# Below what Linux takes for connections and for port 0 (net.ipv4.ip_local_port_range).
QUIET_PORTS = range(12_000, 32_000)
ROOT = Path(__file__).parents[1]
_CORES = sorted(os.sched_getaffinity(0))
# One core for what is measured, another for what measures; all that is behind them takes what is free.
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]


class Missing(Exception):
    """A program that a benchmark needs is not installed; the message says what to install."""


def installed(program: str) -> bool:
    return shutil.which(program) is not None


def need(program: str, package: str) -> None:
    """Raises Missing."""
    if not installed(program):
        raise Missing(f"{program} is not installed: sudo apt install {package}")


def pinned(core: int, *argv: str) -> tuple[str, ...]:
    """`argv` on one core."""
    return ("taskset", "-c", str(core), *argv)


def quiet_ports(count: int) -> list[int]:
    """Different free ports that nobody is likely to take before they are used: the kernel gives none of these away."""
    tried = random.sample(QUIET_PORTS, len(QUIET_PORTS))
    return list(islice(filter(is_free, tried), count))


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and its living threads so far, to the nanosecond: /proc/PID/stat has ticks only."""
    threads = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def connect(port: int, *, tls: bool = False) -> socket.socket:
    """A connection to a server of this run, whose certificate nobody vouches for. Raises OSError."""
    plain = socket.create_connection((LOOPBACK, port), ANSWER_S_MAX)
    return _encrypted(plain) if tls else plain


def cipher(port: int) -> str:
    """What a server encrypts with for OpenSSL's client: "TLSv1.3 TLS_AES_256_GCM_SHA384". Raises OSError."""
    with _encrypted(socket.create_connection((LOOPBACK, port), ANSWER_S_MAX)) as connection:
        return f"{connection.version()} {(connection.cipher() or ('nothing',))[0]}"


def _encrypted(plain: socket.socket) -> ssl.SSLSocket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. A port is 0 where there is none; with a certificate the ports speak only TLS."""

    name: str
    process: Process
    http_port: int
    grpc_port: int = 0
    certificate: Certificate | None = None
    wants_grant: bool = False
    behind: tuple["Server", ...] = ()

    @property
    def tls(self) -> bool:
        return self.certificate is not None

    @property
    def pids(self) -> list[int]:
        return tree(self.process.pid) + [pid for server in self.behind for pid in server.pids]

    def cpu_s(self) -> float:
        return sum(map(cpu_s, self.pids))

    def cores(self) -> set[int]:
        """Where its threads may run."""
        threads = [int(path.name) for pid in self.pids for path in Path(f"/proc/{pid}/task").iterdir()]
        return {core for thread in threads for core in os.sched_getaffinity(thread)}

    def rss_bytes(self) -> int:
        return sum(int(_stat(pid)[21]) for pid in self.pids) * os.sysconf("SC_PAGE_SIZE")


class Launcher:
    """Starts processes in one folder and ends them all with its context."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def home(self, name: str) -> Path:
        """A new folder for one process."""
        folder = self.folder / name
        folder.mkdir()
        return folder

    def start(
        self,
        name: str,
        argv: Sequence[str],
        port: int,
        *,
        ready: str = "",
        tls: bool = False,
        core: int | None = None,
        env: Mapping[str, str] | None = None,
    ) -> Process:
        """A process that takes connections at `port`, and where `ready` names a page, says there that it takes work.

        Raises Missing with the end of its log.
        """
        log_path = self.folder / f"{name}.log"
        on_core = tuple(argv) if core is None else pinned(core, *argv)
        env = {"PYTHONPATH": str(ROOT), **(env or {})}
        process = Process(Spec(name=name, argv=on_core, cwd=self.folder, log_path=log_path, env=env))
        self._stack.callback(process.stop)
        deadline = time.monotonic() + READY_S_MAX
        while not _answers(port, ready, tls):
            code = process.exit_code()
            if code is not None or time.monotonic() > deadline:
                said = "\n".join(log_path.read_text(errors="replace").splitlines()[-10:])
                state = f"not ready after {READY_S_MAX:.0f} s" if code is None else f"ended with {outcome(code)}"
                raise Missing(f"{name} does not come up: {state}\n{said}")
            time.sleep(POLL_S)
        return process


def _answers(port: int, path: str, tls: bool) -> bool:
    try:
        with connect(port, tls=tls) as connection:
            if not path:
                return True
            connection.sendall(f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
            response = http.client.HTTPResponse(connection)
            response.begin()
            return response.status != 503
    except (OSError, http.client.HTTPException):
        return False


def tree(pid: int) -> list[int]:
    """`pid` and all that it started, the dead left out."""
    try:
        children = [
            int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()
        ]
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in tree(child))]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: the second may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
