"""What the supervisor keeps alive: engines and services look the same to it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from reprise.cli.folder import Folder
from reprise.cli.plan import DRAIN_DEADLINE_S, Service
from reprise.engines.ports import LOOPBACK
from reprise.engines.probe import http_get
from reprise.engines.process import Spec


class Unit(Protocol):
    """Something that runs as one process."""

    @property
    def name(self) -> str: ...
    @property
    def log_path(self) -> Path: ...

    def prepare(self) -> None:
        """Makes its files. Called once, before the first start; may block."""

    def spec(self) -> Spec:
        """How it is started."""

    def missing(self, pid: int) -> str:
        """What is missing for it to take work; empty when nothing is. May block for a second."""


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """One of our own services."""

    service: Service
    folder: Folder

    @property
    def name(self) -> str:
        return self.service.name

    @property
    def log_path(self) -> Path:
        return self.folder.log(self.name)

    def prepare(self) -> None:
        """It makes its own files."""

    def spec(self) -> Spec:
        """`-P` keeps files of the mesh's folder from being taken for modules."""
        return Spec(
            name=self.name,
            argv=(sys.executable, "-P", "-m", self.service.module),
            cwd=self.folder.path,
            log_path=self.log_path,
            env={**self.service.env, "GRPC_ENABLE_FORK_SUPPORT": "0"},
            stop_deadline_s=DRAIN_DEADLINE_S + 5.0,
        )

    def missing(self, _pid: int) -> str:
        answer = http_get(LOOPBACK, self.service.http_port, "/readyz")
        if answer is None:
            return "starting"
        return "" if answer.status == 200 else answer.body.decode(errors="replace").strip()[:200] or "not ready"
