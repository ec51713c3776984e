"""Runs one engine for the length of a context."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from reprise.engines.process import Process, Spec, outcome

READY_DEADLINE_S = 60.0


class Engine(Protocol):
    """What `reprise.engines` classes have in common."""

    @property
    def log_path(self) -> Path: ...
    def prepare(self) -> None: ...
    def spec(self) -> Spec: ...
    def missing(self, pid: int) -> str: ...


@contextmanager
def running(engine: Engine) -> Iterator[Process]:
    """The engine's process, ready inside the context and gone after it."""
    engine.prepare()
    process = Process(engine.spec())
    try:
        wait_ready(engine, process)
        yield process
    finally:
        process.stop()


def wait_ready(engine: Engine, process: Process) -> None:
    """Returns when the engine takes work; fails with the end of its log when it ended or took too long."""
    deadline = time.monotonic() + READY_DEADLINE_S
    while missing := engine.missing(process.pid):
        code = process.exit_code()
        if code is not None or time.monotonic() > deadline:
            state = missing if code is None else outcome(code)
            log = engine.log_path.read_text(errors="replace").splitlines()[-20:]
            raise AssertionError("\n".join([f"{engine.log_path.stem} did not become ready: {state}", *log]))
        time.sleep(0.05)
