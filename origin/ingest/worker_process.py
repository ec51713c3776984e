"""One worker process, outlived: a crash or a hang costs the file that caused it, and the next file gets a new process."""

import asyncio
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import IO

from origin.ingest import ladder
from origin.ingest.job import Prepared, Rejected, from_line

# Tags are bounded, digests are not sent: an answer is a few kilobytes.
ANSWER_BYTES_MAX = 1 << 20


class WorkerProcess:
    """Runs one job at a time. `command` is the worker's argument list; tests put misbehaving ones there."""

    def __init__(
        self, timeout_s: float, song_s_max: float, rungs: str = ladder.DEFAULT, command: tuple[str, ...] = ()
    ) -> None:
        self._timeout_s = timeout_s
        # -P: the folder where someone starts an import must not offer modules to the worker.
        self._command = command or (sys.executable, "-P", "-m", "origin.ingest.worker", str(song_s_max), rungs)
        self._process: asyncio.subprocess.Process | None = None
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  # closed by close()

    async def prepare(self, path: Path, folder: Path) -> Prepared | Rejected:
        """What the worker makes of the file; its death or silence is a rejection too."""
        process = self._process or await self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        job = json.dumps({"path": str(path.resolve()), "folder": str(folder)}).encode() + b"\n"
        try:
            async with asyncio.timeout(self._timeout_s):
                process.stdin.write(job)
                await process.stdin.drain()
                answer = await process.stdout.readline()
        except TimeoutError:
            await self._stop()
            return Rejected(f"it took longer than {self._timeout_s:g} s")
        except (ConnectionError, ValueError):
            answer = b""
        if not answer.endswith(b"\n"):
            return Rejected(f"the worker died on it: {await self._last_words()}")
        return from_line(answer)

    async def close(self) -> None:
        """Ends the process."""
        await self._stop()
        self._stderr.close()

    async def _start(self) -> asyncio.subprocess.Process:
        self._stderr.seek(0)
        self._stderr.truncate()
        pipe = asyncio.subprocess.PIPE
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdin=pipe, stdout=pipe, stderr=self._stderr, limit=ANSWER_BYTES_MAX
        )
        return self._process

    async def _last_words(self) -> str:
        """Why a dead worker died: its last line on standard error, or its signal."""
        code = await self._stop()
        self._stderr.seek(0)
        lines = self._stderr.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return said[:200] or (signal.Signals(-code).name if code < 0 else f"exit code {code}")

    async def _stop(self) -> int:
        process, self._process = self._process, None
        if process is None:
            return 0
        if process.returncode is None and not process.stdout.at_eof():  # type: ignore[union-attr]
            process.kill()
        return await process.wait()
