"""How soon a restarted edge serves from disk: `python -m bench.cache.restart [SONGS]`. 2,000 songs take 10 GB of disk.

A real edge process without any origin, over a cache that a store has written and the page cache has been told to forget. Each
round starts it, asks at once for a random song it was never asked for, and stops it: what it cannot find is refused. Python
finds its bytecode, as in any installation: a start before the rounds writes it. CPU seconds stand beside the wall's, because
they hardly count what else the machine does.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import httpx

from reprise import grants
from reprise.chunks import CHUNK_BYTES
from tests.edge_node.edges import MESH_KEY, SONG_ID, listen_grant
from tests.edge_node.stores import MIB, SIGNING_KEY, cache, forget_ram, make_song, open_store

EDGE_ID = "edge-1"
SONG_CHUNKS = 80
START_S_MAX = 60.0


@dataclass(frozen=True, slots=True)
class Start:
    """Seconds after the process was started; `refusals` came before the first byte."""

    listening_s: float
    first_byte_s: float
    request_s: float
    adopted_s: float
    listening_cpu_s: float
    first_byte_cpu_s: float
    refusals: int


def main() -> None:
    """Fills a cache in a temporary folder, restarts over it, prints a table."""
    parser = argparse.ArgumentParser(prog="bench.cache.restart", description=__doc__)
    parser.add_argument("songs", nargs="?", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where the disk is; default is the temporary folder")
    arguments = parser.parse_args()
    with TemporaryDirectory(prefix="reprise-restart-", dir=arguments.folder) as folder:
        asyncio.run(_run(Path(folder), arguments.songs, arguments.rounds))


async def _run(folder: Path, songs: int, rounds: int) -> None:
    heads = await _fill(folder / "cache", songs)
    starts = []
    await _start(folder, heads, random.Random())
    for number in range(rounds):
        _forget_pages(folder / "cache")
        starts.append(await _start(folder, heads, random.Random(number)))
    print(
        f"{songs} songs, {songs * SONG_CHUNKS * CHUNK_BYTES / 1e9:.1f} GB; seconds, median of {rounds} starts (worst)\n"
    )
    print(
        "| listening | first byte | one request | all adopted | CPU to listening | CPU to first byte | refused before |"
    )
    print("|---|---|---|---|---|---|---|")
    columns = [[getattr(start, name) for start in starts] for name in Start.__slots__]
    cells = [f"{statistics.median(column):.3f} ({max(column):.3f})" for column in columns[:-1]]
    print(f"| {' | '.join(cells)} | {sum(columns[-1])} |")


async def _fill(cache_dir: Path, songs: int) -> dict[str, bytes]:
    """Writes the cache; returns the beginning of each song by rendition id."""
    heads = {}
    async with open_store(cache_dir, disk_bytes_max=songs * (SONG_CHUNKS + 1) * CHUNK_BYTES) as store:
        for number in range(songs):
            song = make_song(SONG_CHUNKS, number)
            await cache(store, song)
            forget_ram(store, song)
            heads[song.rendition_id] = song.chunk(0)
    return heads


def _forget_pages(cache_dir: Path) -> None:
    for path in cache_dir.rglob("*.*"):
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(fd)


async def _start(folder: Path, heads: dict[str, bytes], rng: random.Random) -> Start:
    rendition_id = rng.choice(sorted(heads))
    # Its certificates take longer to load than the edge to answer.
    client = httpx.AsyncClient(trust_env=False, timeout=START_S_MAX)
    started = time.monotonic()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "edge_node", env=_environment(folder), stderr=asyncio.subprocess.PIPE
    )
    log = EdgeLog(process)
    try:
        listening, entry = await log.wait_for("listening")
        listening_cpu_s = _cpu_s(process.pid)
        url = f"http://127.0.0.1:{entry['http_port']}"
        refusals, request_s = await _first_bytes(client, url, rendition_id, heads[rendition_id])
        first_byte, first_byte_cpu_s = time.monotonic(), _cpu_s(process.pid)
        adopted, _ = await log.wait_for("cache_adopted")
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
        await client.aclose()
    return Start(
        listening - started,
        first_byte - started,
        request_s,
        adopted - started,
        listening_cpu_s,
        first_byte_cpu_s,
        refusals,
    )


def _cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class EdgeLog:
    """When an edge said what first."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._seen: dict[str, tuple[float, dict[str, Any]]] = {}
        self._more = asyncio.Condition()
        self._reading = asyncio.create_task(self._read(process))

    async def wait_for(self, event: str) -> tuple[float, dict[str, Any]]:
        """Monotonic seconds and the log entry."""
        async with asyncio.timeout(START_S_MAX), self._more:
            await self._more.wait_for(lambda: event in self._seen)
        return self._seen[event]

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            entry: dict[str, Any] = json.loads(line)
            async with self._more:
                self._seen.setdefault(entry["event"], (time.monotonic(), entry))
                self._more.notify_all()


async def _first_bytes(client: httpx.AsyncClient, url: str, rendition_id: str, expected: bytes) -> tuple[int, float]:
    """Asks until the song comes; returns how often it was refused and how long the answer took."""
    audio: Any = SimpleNamespace(rendition_id=rendition_id)
    path = f"{url}/p/{listen_grant(EDGE_ID, audio)}/{SONG_ID}/{rendition_id}"
    refusals = 0
    async with asyncio.timeout(START_S_MAX):
        while True:
            began = time.monotonic()
            answer = await client.get(path, headers={"range": f"bytes=0-{CHUNK_BYTES - 1}"})
            if answer.status_code == httpx.codes.PARTIAL_CONTENT:
                assert answer.content == expected, "wrong bytes"
                return refusals, time.monotonic() - began
            refusals += 1


def _environment(folder: Path) -> dict[str, str]:
    """Of an edge over the cache in `folder`."""
    key, keys = folder / "edge.key", folder / "manifest.pub"
    key.write_text(grants.derive_key(MESH_KEY, EDGE_ID).hex())
    keys.write_text(SIGNING_KEY.public_key().public_bytes_raw().hex())
    settings = {
        "EDGE_ID": EDGE_ID,
        "REGION": "here",
        "EDGE_KEY_PATH": key,
        "MANIFEST_KEYS_PATH": keys,
        "CACHE_DIR": folder / "cache",
        "RAM_BYTES_MAX": 64 * MIB,
        "DISK_BYTES_MAX": 1 << 40,
        "SCRUB_BYTES_PER_S": 0,
    }
    python = {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONDONTWRITEBYTECODE": ""}
    return os.environ | python | {f"REPRISE_EDGE_NODE_{name}": str(value) for name, value in settings.items()}


if __name__ == "__main__":
    main()
