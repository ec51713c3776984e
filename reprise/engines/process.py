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
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


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
        starter = os.getpid()

        def tie_to_starter() -> None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, int(spec.orphan_signal))
            if os.getppid() != starter:  # it died between fork and prctl
                os._exit(1)

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
                preexec_fn=tie_to_starter,  # two system calls; starters run no gRPC
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

    def stop(self) -> None:
        """Asks it to end, waits a bounded time, then kills it and what it started."""
        if self.exit_code() is None:
            self._popen.send_signal(self.spec.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(self.spec.stop_deadline_s)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        _remove(self.spec.leftovers)


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
