"""The supervisor brings dead processes back, names them, and leaves none behind, however it ends."""

import asyncio
import os
import signal
import subprocess
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from reprise.cli.supervisor import Supervisor
from reprise.engines.process import Process, Spec, outcome
from reprise.errors import NotReady
from tests.support.wait import wait_until

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(300)"
)
GENTLE = "import time; print('up', flush=True); time.sleep(300)"


class Sleeper:
    """A unit that is ready once it has printed a line."""

    def __init__(self, folder: Path, name: str = "sleeper", code: str = GENTLE) -> None:
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.code = code

    def prepare(self) -> None:
        self.log_path.touch()

    def spec(self) -> Spec:
        argv = (sys.executable, "-c", self.code)
        return Spec(name=self.name, argv=argv, cwd=self.log_path.parent, log_path=self.log_path, stop_deadline_s=0.5)

    def missing(self, pid: int) -> str:
        return "" if "up" in self.log_path.read_text() else "starting"


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


@asynccontextmanager
async def supervising(*units, drained: set[str] = frozenset()):
    said: list[str] = []
    starts: list[int] = []
    supervisor = Supervisor(say=said.append, on_start=lambda: starts.append(1), stays_down=lambda name: name in drained)
    try:
        await supervisor.start(units)
        yield supervisor, said, starts
    finally:
        await supervisor.stop([])


async def test_a_killed_process_is_named_and_comes_back_with_a_new_pid(tmp_path: Path) -> None:
    async with supervising(Sleeper(tmp_path)) as (supervisor, said, starts):
        first = supervisor.pids()["sleeper"]
        os.kill(first, signal.SIGKILL)
        await wait_until(lambda: len(starts) == 2, "started again")
        assert supervisor.pids()["sleeper"] != first
        assert any("sleeper died (signal SIGKILL)" in line and "sleeper.log" in line for line in said)


async def test_nothing_is_left_after_stop_not_even_what_ignores_it(tmp_path: Path) -> None:
    async with supervising(Sleeper(tmp_path), Sleeper(tmp_path, "stubborn", STUBBORN)) as (supervisor, _said, _starts):
        pids = list(supervisor.pids().values())
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)


async def test_a_process_that_keeps_dying_is_given_up_with_the_end_of_its_log(tmp_path: Path) -> None:
    broken = Sleeper(tmp_path, "broken", "import sys; sys.exit('no such setting')")
    with pytest.raises(NotReady, match=r"broken does not come up: it keeps dying(.|\n)*no such setting"):
        async with supervising(broken):
            pass


async def test_a_drained_process_stays_down_until_it_is_wanted_back(tmp_path: Path) -> None:
    drained: set[str] = set()
    async with supervising(Sleeper(tmp_path), drained=drained) as (supervisor, said, starts):
        drained.add("sleeper")
        os.kill(supervisor.pids()["sleeper"], signal.SIGTERM)
        await wait_until(lambda: any("was drained" in line for line in said), "seen as drained")
        assert len(starts) == 1
        drained.clear()
        await wait_until(lambda: len(starts) == 2, "started again")


async def test_children_die_with_a_killed_starter(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal\nfrom pathlib import Path\nfrom reprise.engines.process import Process, Spec\n"
        f"spec = Spec(name='x', argv=('sleep', '300'), cwd=Path('/'), log_path=Path({str(tmp_path / 'x.log')!r}))\n"
        "print(Process(spec).pid, flush=True)\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=30
    )
    pid = int(done.stdout)
    await wait_until(lambda: not alive(pid), "the child died too")


def test_leftover_files_go_with_their_process(tmp_path: Path) -> None:
    leftover = tmp_path / "socket"
    spec = Spec(name="x", argv=("sleep", "300"), cwd=tmp_path, log_path=tmp_path / "x.log", leftovers=(leftover,))
    process = Process(spec)
    leftover.touch()
    process.stop()
    assert not leftover.exists()
    assert process.exit_code() == -signal.SIGTERM


@pytest.mark.parametrize(("code", "words"), [(1, "exit code 1"), (-9, "signal SIGKILL"), (-250, "signal 250")])
def test_an_exit_is_told_in_words(code: int, words: str) -> None:
    assert outcome(code) == words
