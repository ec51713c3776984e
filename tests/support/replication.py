"""PostgreSQL with a standby, and what can happen to the two."""

import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from reprise.engines.ports import free_ports
from reprise.engines.postgres import Postgres
from reprise.engines.process import Process
from tests.support.engine import running

# Enough of the log is kept for a standby to come back after any test's outage.
KEPT = "wal_keep_size=64MB"
# Asynchronous commits reach the log, and so a standby, when it suits the server.
PROMPT = "synchronous_commit=on"


@dataclass(slots=True)
class Replicated:
    """A running server or one that was killed, and how to start it again."""

    server: Postgres
    process: Process
    _stack: ExitStack

    def dsn(self, database: str) -> str:
        return self.server.dsn(database)

    def kill(self) -> None:
        """As if its machine lost power. Returns when it is gone."""
        self.process.kill()
        self.process.stop()

    def follow(self, primary: "Replicated") -> None:
        """Starts it, after a kill, as a fresh copy of a primary: what it had is gone."""
        shutil.rmtree(self.server.directory)
        self.server = replace(self.server, standby_of=primary.server)
        self.restart()

    def restart(self) -> None:
        """Starts it again on what it has on disk. Not on a passing thread: the server would end with it."""
        self.process = self._stack.enter_context(running(self.server))


@contextmanager
def replicated(folder: Path, *settings: str, standbys: int = 1, durable: bool = False) -> Iterator[list[Replicated]]:
    """A primary and its standbys, named standby_1 and so on; `settings` are those of all of them."""
    ports = free_ports(1 + standbys)
    first = Postgres(
        directory=folder / "primary",
        port=ports[0],
        password=secrets.token_hex(16),
        log_path=folder / "primary.log",
        durable=durable,
        settings=(KEPT, PROMPT, *settings),
    )
    with ExitStack() as stack:
        servers = [Replicated(first, stack.enter_context(running(first)), stack)]
        for number, port in enumerate(ports[1:], start=1):
            name = f"standby_{number}"
            log_path = folder / f"{name}.log"
            standby = replace(first, port=port, name=name, directory=folder / name, log_path=log_path, standby_of=first)
            servers.append(Replicated(standby, stack.enter_context(running(standby)), stack))
        yield servers
