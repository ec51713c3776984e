"""The songs of a mesh whose owner gave none: put into its folder once, by `scripts/demo-music`."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path

from reprise.engines.process import tied
from reprise.errors import NotReady

SCRIPT = Path(__file__).parents[2] / "scripts" / "demo-music"
DEADLINE_S = 300.0


async def ensure(folder: Path, log_path: Path, say: Callable[[str], None]) -> None:
    """Fills `folder`, unless it has songs. What the script says is passed on; its errors go to the log."""
    if folder.is_dir() and any(folder.iterdir()):
        return
    if not SCRIPT.exists():
        raise NotReady("there is no demo music in this installation: give a folder of yours with --music")
    with log_path.open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            str(SCRIPT),
            str(folder),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            preexec_fn=tied(signal.SIGTERM),
        )
    assert child.stdout is not None
    try:
        async with asyncio.timeout(DEADLINE_S):
            async for line in child.stdout:
                say(line.decode(errors="replace").rstrip())
            code = await child.wait()
    except TimeoutError:
        raise NotReady(f"no demo music after {DEADLINE_S:.0f} s; log: {log_path}. Give a folder with --music") from None
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    if code != 0:
        raise NotReady(f"no demo music (exit code {code}); log: {log_path}. Give a folder of yours with --music")
