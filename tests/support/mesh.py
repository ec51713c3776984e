"""A whole mesh for tests: started by `reprise up` like a user would, real engines, real processes; nothing is left after it.

The supervisor is a child of the test process and dies with it, and everything else dies with the supervisor.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from reprise.cli.folder import Folder
from reprise.engines.process import Process, Spec, outcome

READY_DEADLINE_S = 240.0
COMMAND_DEADLINE_S = 120.0
REPRISE = (sys.executable, "-m", "reprise.cli")
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True, slots=True)
class Sample:
    """One Prometheus sample."""

    name: str
    labels: dict[str, str]
    value: float


class Metrics:
    """One scrape."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def sum(self, name: str, **labels: str) -> float:
        """The sum over all samples of this name with these labels; 0 when there is none."""
        return sum(s.value for s in self.samples if s.name == name and labels.items() <= s.labels.items())


@dataclass(frozen=True, slots=True)
class TestMesh:
    """A running mesh."""

    __test__ = False  # not a test class, whatever its name says

    data: Path
    supervisor: Process

    @property
    def json(self) -> dict[str, Any]:
        """mesh.json as it is now: pids change."""
        value: dict[str, Any] = json.loads(Folder(self.data).mesh_file.read_text())
        return value

    def edge(self, edge_id: str) -> dict[str, Any]:
        """The entry of one edge."""
        return next(edge for edge in self.json["edges"] if edge["id"] == edge_id)

    def secret(self, name: str) -> bytes:
        """A secret's bytes."""
        return bytes.fromhex(Folder(self.data).secret(name).read_text().strip())

    def log(self, name: str) -> str:
        """Everything that a process or the supervisor ("up") wrote."""
        return Folder(self.data).log(name).read_text(errors="replace")

    def kill(self, pid: int, number: signal.Signals = signal.SIGKILL) -> None:
        """Sends a signal to a process of this mesh, and to no other."""
        assert pid in processes_of(self.data), f"{pid} is no process of this mesh"
        os.kill(pid, number)

    def pid_of(self, name: str) -> int:
        """The process of a service or engine, by the name of its folder or its settings."""
        value = self.json
        places = {"catalog": value["catalog"], **{edge["id"]: edge for edge in value["edges"]}}
        for kind in ("balancer", "origin"):
            entries = value[kind]
            names = [kind] if len(entries) == 1 else [f"{kind}-{n}" for n in range(1, len(entries) + 1)]
            places.update(zip(names, entries, strict=True))
        if name in places:
            pid: int = places[name]["pid"]
            return pid
        return _engine_pid(self.data, name)

    def reprise(self, *arguments: str, check: bool = True) -> "subprocess.CompletedProcess[str]":
        """Runs a command against this mesh; fails with what it said, when it fails and `check` is on."""
        argv = (*REPRISE, arguments[0], "--data", str(self.data), *arguments[1:])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=COMMAND_DEADLINE_S, check=False)
        assert not check or done.returncode == 0, f"{arguments}: exit code {done.returncode}\n{done.stderr}"
        return done

    def start_reprise(self, *arguments: str) -> "subprocess.Popen[str]":
        """Starts a command and returns at once: the caller waits for it."""
        argv = (*REPRISE, arguments[0], "--data", str(self.data), *arguments[1:])
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def scrape(http: str) -> Metrics:
    """What a service's /metrics says now; `http` is its URL."""
    with urllib.request.urlopen(f"{http}/metrics", timeout=10) as answer:
        return parse_metrics(answer.read().decode())


def parse_metrics(text: str) -> Metrics:
    """A metrics page."""
    found = _SAMPLE.findall(text)
    return Metrics([Sample(name, dict(_LABEL.findall(labels)), float(value)) for name, labels, value in found])


@contextmanager
def running_mesh(data: Path, *options: str, music: Path | None = None) -> Iterator[TestMesh]:
    """A ready mesh in `data`; without `music` it starts empty. After the context every process of it is gone."""
    if music is None:
        music = data.with_name(data.name + "-no-music")
        music.mkdir(exist_ok=True)
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "logs").mkdir(mode=0o700, exist_ok=True)
    argv = (*REPRISE, "up", "--data", str(data), "--music", str(music), *options)
    log_path = data / "logs" / "up.log"
    # The supervisor needs up to 90 s at the very worst; normally it takes five.
    spec = Spec(name="up", argv=argv, cwd=data, log_path=log_path, stop_deadline_s=60.0, orphan_signal=signal.SIGTERM)
    said_before = log_path.stat().st_size if log_path.exists() else 0
    supervisor = Process(spec)
    try:
        _wait_ready(supervisor, log_path, said_before)
        yield TestMesh(data, supervisor)
    finally:
        supervisor.stop()
        left = processes_of(data)
        assert not left, f"left running: {left}"


def processes_of(data: Path) -> dict[int, str]:
    """Every process that names this folder in its command line or settings, or works inside of it: pid to command line."""
    found = {}
    wanted = str(data).encode()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            settings = (entry / "environ").read_bytes()
            folder = os.fsencode((entry / "cwd").readlink())
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue  # it ended, or is not ours to read
        if state != "Z" and (wanted in command or wanted in settings or folder.startswith(wanted)):
            found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
    return found


def _engine_pid(data: Path, name: str) -> int:
    program = {"postgres": "/postgres -D", "valkey": "/valkey-server", "seaweedfs": "/weed"}[name]
    return next(pid for pid, command in processes_of(data).items() if program in command)


def _wait_ready(supervisor: Process, log_path: Path, said_before: int) -> None:
    deadline = time.monotonic() + READY_DEADLINE_S
    while "Or in a browser" not in (text := log_path.read_bytes()[said_before:].decode(errors="replace")):
        code = supervisor.exit_code()
        assert code is None, f"the mesh did not start ({outcome(code or 0)}):\n{text}"
        assert time.monotonic() < deadline, f"the mesh is not ready after {READY_DEADLINE_S:.0f} s:\n{text}"
        time.sleep(0.1)
