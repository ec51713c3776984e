"""Keeps processes alive: starts them, names each death, starts them again with growing pauses, and stops them in order.

Invariants: one task owns one unit; a unit has at most one process; after `stop` no process is left, and none can appear.
Must run on the main thread, because the kernel ties children to the thread that made them.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from reprise.cli.log_file import tail, trim
from reprise.cli.restart import Record
from reprise.cli.unit import Unit
from reprise.engines.process import Process, outcome
from reprise.errors import NotReady

READY_DEADLINE_S = 90.0
READY_POLL_S = 0.1
# Dying this often before it was ever ready means that it will not come up by trying again.
START_DEATHS_MAX = 3
DRAINED_POLL_S = 0.5
LOG_POLL_S = 5.0


@dataclass(slots=True)
class _Kept:
    unit: Unit
    process: Process | None = None
    record: Record = field(default_factory=Record)
    task: asyncio.Task[None] | None = None


@dataclass(kw_only=True)
class Supervisor:
    """The processes of one mesh."""

    # Told of each death and return, in words.
    say: Callable[[str], None]
    # Called after each start of a process, with the new pids in place.
    on_start: Callable[[], None]
    # Whether a unit is to stay down, because an operator drained it.
    stays_down: Callable[[str], bool]
    _kept: dict[str, _Kept] = field(default_factory=dict)
    _housekeeping: asyncio.Task[None] | None = None

    def pids(self) -> dict[str, int]:
        """The process of each unit; a dead one's last."""
        return {name: kept.process.pid for name, kept in self._kept.items() if kept.process}

    async def start(self, units: Sequence[Unit]) -> None:
        """Starts units side by side and returns when all are ready. Raises NotReady with the end of a log when one is not."""
        for unit in units:
            await asyncio.to_thread(unit.prepare)
        for unit in units:
            kept = self._kept[unit.name] = _Kept(unit)
            kept.task = asyncio.create_task(self._keep(kept), name=f"keep-{unit.name}")
        if self._housekeeping is None:
            self._housekeeping = asyncio.create_task(self._trim_logs(), name="trim-logs")
        waits = [asyncio.create_task(self._wait_ready(self._kept[unit.name])) for unit in units]
        try:
            await asyncio.gather(*waits)
        finally:
            for wait in waits:
                wait.cancel()

    async def stop(self, stages: Sequence[Sequence[str]]) -> None:
        """Stops each stage in turn, its units side by side, then whatever no stage names."""
        named = [name for stage in stages for name in stage]
        rest = [name for name in self._kept if name not in named]
        for stage in (*stages, rest):
            await asyncio.gather(*(self._end(self._kept[name]) for name in stage if name in self._kept))
        if self._housekeeping:
            self._housekeeping.cancel()

    def kill(self) -> None:
        """Ends the wait of a stop under way: every process is killed at once."""
        for kept in self._kept.values():
            if kept.process:
                kept.process.kill()

    async def _keep(self, kept: _Kept) -> None:
        name = kept.unit.name
        while True:
            started = time.monotonic()
            kept.process = Process(kept.unit.spec())
            self.on_start()
            code = await kept.process.wait_exit()
            if self.stays_down(name):
                self.say(f"{name} was drained and ended; `reprise drain --undo {name}` brings it back")
                while self.stays_down(name):  # noqa: ASYNC110 - it is a file, which another process removes
                    await asyncio.sleep(DRAINED_POLL_S)
                kept.record = Record()
                continue
            kept.record = kept.record.after_death(started, time.monotonic())
            pause_s = kept.record.pause_s
            self.say(f"{name} died ({outcome(code)}), starting it again in {pause_s:.1f} s; log: {kept.unit.log_path}")
            await asyncio.sleep(pause_s)

    async def _wait_ready(self, kept: _Kept) -> None:
        started = time.monotonic()
        missing = "starting"
        while missing:
            if kept.process is not None:
                missing = await asyncio.to_thread(kept.unit.missing, kept.process.pid)
            late = time.monotonic() - started > READY_DEADLINE_S
            if missing and (late or kept.record.deaths >= START_DEATHS_MAX):
                reason = f"not ready after {READY_DEADLINE_S:.0f} s ({missing})" if late else "it keeps dying"
                end_of_log = "\n".join(f"  {line}" for line in tail(kept.unit.log_path))
                name, log_path = kept.unit.name, kept.unit.log_path
                raise NotReady(f"{name} does not come up: {reason}. The end of {log_path}:\n{end_of_log}")
            await asyncio.sleep(READY_POLL_S if missing else 0)
        self.say(f"{kept.unit.name} ready after {time.monotonic() - started:.1f} s")

    async def _end(self, kept: _Kept) -> None:
        if kept.task:
            kept.task.cancel()
            await asyncio.wait([kept.task])
        if kept.process:
            await asyncio.to_thread(kept.process.stop)

    async def _trim_logs(self) -> None:
        while True:
            await asyncio.sleep(LOG_POLL_S)
            for kept in self._kept.values():
                await asyncio.to_thread(trim, kept.unit.log_path)
