"""`reprise up`: one mesh in the foreground until a signal, or in the background once it is ready."""

import asyncio
import contextlib
import os
import select
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path

from reprise import open_files
from reprise.cli import lock, mesh_file, narrator
from reprise.cli.folder import Folder
from reprise.cli.log_file import tail, trim
from reprise.cli.mesh_run import MeshRun
from reprise.cli.plan import Shape
from reprise.engines.process import outcome
from reprise.errors import NotReady

OPEN_FILES = 65_536
# The supervisor tells the command that started it by closing this pipe after a word.
READY_FD = "REPRISE_READY_FD"
READY = b"ready"
DETACH_POLL_S = 0.1
STOP_DEADLINE_S = 90.0


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What the user asked for."""

    folder: Folder
    shape: Shape
    music: Path | None = None
    port_base: int = 0
    s3_audit_port: int = 0

    def arguments(self) -> tuple[str, ...]:
        """The command line of `reprise up` that asks for the same."""
        options = {
            "--data": self.folder.path,
            "--edges": self.shape.edges,
            "--regions": ",".join(self.shape.regions),
            "--origins": self.shape.origins,
            "--balancers": self.shape.balancers,
            "--nic-bps": self.shape.nic_bps,
            "--pacing": self.shape.pacing,
            "--port-base": self.port_base,
            "--s3-audit-port": self.s3_audit_port,
            **({"--music": self.music} if self.music else {}),
        }
        return tuple(str(word) for option in options.items() for word in option)


def foreground(wish: Wish, voice: narrator.Narrator) -> None:
    """Runs the mesh until SIGINT or SIGTERM."""
    wish.folder.create()
    with lock.held(wish.folder):
        # A mesh whose supervisor was killed left its file; nothing of it runs.
        wish.folder.mesh_file.unlink(missing_ok=True)
        open_files.raise_limit(OPEN_FILES)
        asyncio.run(_run(wish, voice, _ready_fd()))


async def _run(wish: Wish, voice: narrator.Narrator, ready_fd: int | None) -> None:
    mesh = MeshRun(
        folder=wish.folder,
        shape=wish.shape,
        narrator=voice,
        port_base=wish.port_base,
        s3_audit_port=wish.s3_audit_port,
    )
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            mesh.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    try:
        await _unless(stop, _start(wish, voice, mesh, ready_fd))
        await stop.wait()
    finally:
        voice.say("stopping; once more Ctrl-C stops at once")
        await mesh.stop()
        voice.say("stopped, nothing is left running")


async def _start(wish: Wish, voice: narrator.Narrator, mesh: MeshRun, ready_fd: int | None) -> None:
    voice.say(f"starting a mesh in {wish.folder.path}")
    await mesh.start()
    await mesh.import_music(wish.music)
    show(wish.folder, voice)
    if ready_fd is not None:
        with contextlib.suppress(BrokenPipeError):  # who asked did not wait
            os.write(ready_fd, READY)
        os.close(ready_fd)


async def _unless(stop: asyncio.Event, work: Awaitable[None]) -> None:
    """Runs `work` until it ends or `stop` is set."""
    task, stopped = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    for each in (task, stopped):
        each.cancel()
    await asyncio.wait((task, stopped))
    if task.done() and not task.cancelled() and (error := task.exception()):
        raise error


def show(folder: Folder, voice: narrator.Narrator) -> None:
    """The table of addresses and what to type next."""
    mesh = mesh_file.read(folder)
    song = folder.example.read_text() if folder.example.exists() else "some words"
    voice.table(narrator.addresses(mesh))
    voice.plain(narrator.next_steps(mesh, folder, _command(), shlex.quote(song)))


def detached(wish: Wish, voice: narrator.Narrator) -> None:
    """Runs the supervisor in the background; returns when all is ready. Raises NotReady when it ended before."""
    wish.folder.create()
    if (pid := lock.holder(wish.folder)) is not None:
        raise NotReady(f"this mesh runs already (pid {pid}, {wish.folder.path}): stop it first with `reprise down`")
    log_path = wish.folder.log("up")
    trim(log_path)
    read_end, write_end = os.pipe()
    with log_path.open("ab") as log:
        said = log.tell()
        child = subprocess.Popen(
            (sys.executable, "-P", "-m", "reprise.cli", "up", *wish.arguments()),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, READY_FD: str(write_end), "COLUMNS": str(shutil.get_terminal_size((120, 24)).columns)},
            pass_fds=(write_end,),
            start_new_session=True,
        )
    os.close(write_end)
    try:
        _follow(child, log_path, said, voice, read_end)
    except KeyboardInterrupt:
        child.terminate()
        child.wait()
        raise
    finally:
        os.close(read_end)


def _follow(
    child: "subprocess.Popen[bytes]", log_path: Path, said: int, voice: narrator.Narrator, ready_fd: int
) -> None:
    os.set_blocking(ready_fd, False)
    with log_path.open("rb") as log:
        log.seek(said)
        while True:
            with contextlib.suppress(BlockingIOError):
                word = os.read(ready_fd, len(READY))
                text = log.read().decode(errors="replace").rstrip("\n")
                if text:
                    voice.plain(text)
                if word == READY:
                    return
                child.wait()
                raise NotReady(
                    f"the mesh did not start ({outcome(child.returncode)}); the whole story is in {log_path}"
                )
            if text := log.read().decode(errors="replace").rstrip("\n"):
                voice.plain(text)
            time.sleep(DETACH_POLL_S)


def down(folder: Folder, voice: narrator.Narrator) -> None:
    """Stops the mesh of this folder and returns when nothing of it runs. No mesh is no error."""
    pid = lock.holder(folder)
    if pid is None:
        voice.plain(f"no mesh runs in {folder.path}")
        return
    with contextlib.suppress(ProcessLookupError):  # it was ending anyway
        watch = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(watch, signal.SIGTERM)
            ended, _, _ = select.select([watch], [], [], STOP_DEADLINE_S)
        finally:
            os.close(watch)
        if not ended:
            end = "\n".join(tail(folder.log("up")))
            raise NotReady(f"the mesh (pid {pid}) did not stop within {STOP_DEADLINE_S:.0f} s:\n{end}")
    voice.plain(f"stopped the mesh in {folder.path}")


def _ready_fd() -> int | None:
    # Taken out of the environment, so that no child writes to a number that means something else there.
    text = os.environ.pop(READY_FD, "")
    return int(text) if text.isdigit() else None


def _command() -> str:
    """How the user can call this program from here."""
    program = Path(sys.executable).with_name("reprise")
    with contextlib.suppress(ValueError):
        return str(program.relative_to(Path.cwd()))
    return str(program)
