"""Runs an import (`python -m origin.ingest`) as a child and reads what it tells, line by line.

Audio is parsed in that process and its workers, never in this one.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from reprise.cli.log_file import tail
from reprise.engines.process import tied
from reprise.errors import Unavailable

LINE_BYTES_MAX = 1 << 20
STOP_DEADLINE_S = 10.0


@dataclass(slots=True)
class Tally:
    """How an import went."""

    imported: int = 0
    known: int = 0
    skipped: int = 0
    failed: int = 0
    error: str = ""
    titles: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """In words."""
        parts = [f"{self.imported} imported", f"{self.known} known already"]
        parts += [f"{count} {word}" for count, word in ((self.skipped, "doubles"), (self.failed, "failed")) if count]
        return ", ".join(parts)

    def add(self, event: Mapping[str, Any]) -> None:
        """Takes one event of the import."""
        if event["event"] == "summary":
            self.error = event["error"]
        elif event["event"] == "file":
            outcome = event["outcome"]
            setattr(self, outcome, getattr(self, outcome) + 1)
            if event["title"]:
                self.titles.append(event["title"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How an import differs from the usual one. An empty ladder is the setting's."""

    release_at_unix_ms: int = 0
    ladder: str = ""
    report: Path | None = None
    watch: bool = False

    def arguments(self) -> tuple[str, ...]:
        """Them for the command line of the import."""
        words = ["--release-at-unix-ms", str(self.release_at_unix_ms)]
        words += ["--ladder", self.ladder] if self.ladder else []
        words += ["--report", str(self.report)] if self.report else []
        return (*words, "--watch") if self.watch else tuple(words)


async def events(
    paths: Sequence[Path], environment: Mapping[str, str], log_path: Path, options: Options = Options()
) -> AsyncGenerator[dict[str, Any], None]:
    """What the import tells, as it happens: {"event": "start" | "file" | "summary", ...}. Raises Unavailable when it breaks."""
    words = ("--json", *options.arguments(), "--", *(str(path) for path in paths))
    argv = (sys.executable, "-P", "-m", "origin.ingest", *words)
    async with _child(argv, environment, log_path) as child:
        assert child.stdout is not None
        summary = False
        async for line in child.stdout:
            event = json.loads(line)
            summary = summary or event["event"] == "summary"
            yield event
        code = await child.wait()
    if not summary:
        reason = (tail(log_path) or [f"exit code {code}"])[-1]
        raise Unavailable(f"the import broke off: {reason}; the whole story is in {log_path}")


@asynccontextmanager
async def _child(
    argv: Sequence[str], environment: Mapping[str, str], log_path: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log_path.open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *argv,
            env={**os.environ, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            limit=LINE_BYTES_MAX,
            start_new_session=True,
            preexec_fn=tied(signal.SIGTERM),
        )
    try:
        yield child
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                async with asyncio.timeout(STOP_DEADLINE_S):
                    await child.wait()
            except TimeoutError:
                os.killpg(child.pid, signal.SIGKILL)
                await child.wait()
