"""One child process: started with its own log, in its own session, and never outliving the process that started it.

Invariants: the kernel signals the child when its starter dies, however that dies (PR_SET_PDEATHSIG); `stop` always returns
with the child gone, because a bounded wait is followed by SIGKILL of its whole process group.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Looked up now: between fork and exec only the call itself is safe.
_PRCTL = ctypes.CDLL(None).prctl


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How a process is started and stopped."""

    name: str
    argv: tuple[str, ...]
    cwd: Path
    log_path: Path
    # Added to the starter's environment.
    env: Mapping[str, str] = field(default_factory=dict)
    stop_signal: signal.Signals = signal.SIGTERM
    stop_deadline_s: float = 5.0
    # What the kernel sends when the starter dies without stopping it.
    orphan_signal: signal.Signals = signal.SIGKILL
    # Files that a killed process leaves behind outside of its folder.
    leftovers: tuple[Path, ...] = ()


class Process:
    """A started child. Must be made on a thread that lives as long as the child should: the kernel watches that thread."""

    def __init__(self, spec: Spec) -> None:
        self.spec = spec
        _remove(spec.leftovers)
        with spec.log_path.open("ab") as log:
            self._popen = subprocess.Popen(
                spec.argv,
                cwd=spec.cwd,
                env={**os.environ, **spec.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=tied(spec.orphan_signal),
            )

    @property
    def pid(self) -> int:
        return self._popen.pid

    def exit_code(self) -> int | None:
        """None while it runs; minus the signal's number when a signal ended it."""
        return self._popen.poll()

    async def wait_exit(self) -> int:
        """Its exit code, once it ended."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        watch = os.pidfd_open(self.pid) if self.exit_code() is None else None
        if watch is not None:
            loop.add_reader(watch, ended.set)
            try:
                await ended.wait()
            finally:
                loop.remove_reader(watch)
                os.close(watch)
        return self._popen.wait()

    def kill(self) -> None:
        """Ends it and what it started, now."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Asks it to end, waits a bounded time, then kills it and what it started. Returns when it is gone."""
        if self.exit_code() is None:
            self._popen.send_signal(self.spec.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(self.spec.stop_deadline_s)
        self.kill()
        self._popen.wait()
        _remove(self.spec.leftovers)


def tied(orphan_signal: signal.Signals) -> Callable[[], None]:
    """A `preexec_fn` that ties a child to this process. It makes two system calls and no more: safe after a fork."""
    starter = os.getpid()

    def tie() -> None:
        _PRCTL(_PR_SET_PDEATHSIG, int(orphan_signal))
        if os.getppid() != starter:  # it died between fork and prctl
            os._exit(1)

    return tie


def outcome(exit_code: int) -> str:
    """An exit code in words: "exit code 1", "signal SIGKILL"."""
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {signal.Signals(-exit_code).name}"
    except ValueError:
        return f"signal {-exit_code}"


def _remove(paths: tuple[Path, ...]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)
