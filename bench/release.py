"""`./scripts/bench release`: a thousand listeners come within ten seconds of a release's moment, with and without a preheat.

A real mesh of three edges in two regions, started by `reprise up`. The albums are held back when they are imported; one of
them is preheated, then both come out, one after the other. Each listener asks a balancer for a route of its own, and takes a
second of music each second by HTTP ranges. Listeners, edges and engines share the machine's cores.
"""

import argparse
import asyncio
import random
import struct
import subprocess
import sys
import tempfile
import time
import urllib.request
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from bench import report
from bench.report import Column, quantile, say
from reprise.balancer.v1.balancer_service_pb2 import RouteRequest, SongRoute
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.cli import mesh_file, releases
from reprise.cli.balancers import Balancers
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh
from reprise.errors import NotFound

REGIONS = ("north", "south")
SONG_S, RATE_HZ = 60, 48_000
# A second of music.
PIECE_BYTES = 20 * 1024
PREHEATED, COLD = "Preheated", "Cold"
OUT_S_MAX = 30.0
UP = (sys.executable, "-m", "reprise.cli")
COLUMNS = (
    Column("release", "release"),
    Column("listeners", "listeners"),
    Column("origin MB in the first second", "first_second_mb", 2),
    Column("in all", "all_mb", 2),
    Column("song MB", "song_mb", 2),
    Column("first byte p50 ms", "p50_ms", 1),
    Column("p99 ms", "p99_ms", 1),
    Column("errors", "errors"),
)


@dataclass(frozen=True, slots=True)
class Heard:
    """What one listener got; the seconds from asking an edge to its first byte are 0 after an error."""

    first_byte_s: float
    error: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.release", description=__doc__)
    parser.add_argument("--listeners", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10.0, help="in which they come")
    parser.add_argument("--plays-s", type=int, default=5, help="how long each listens")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as scratch, _mesh(Path(scratch)) as folder:
        rows = [asyncio.run(_storm(folder, title, options)) for title in (PREHEATED, COLD)]
    print(f"{options.listeners} listeners in {options.seconds:g} s; {report.machine()}\n")
    print(report.table(COLUMNS, rows))


@contextmanager
def _mesh(scratch: Path) -> Iterator[Folder]:
    """A mesh with both albums held back, one of them preheated; stopped after the context."""
    music, data = scratch / "music", scratch / "mesh"
    music.mkdir()
    for seed, title in enumerate((PREHEATED, COLD)):
        write_song(music / f"{title}.wav", seed, title)
    (scratch / "none").mkdir()
    shape = ("--edges", "3", "--regions", ",".join(REGIONS))
    subprocess.run((*UP, "up", "--detach", "--data", data, "--music", scratch / "none", *shape), check=True)
    try:
        # Further away than balancers look.
        subprocess.run((*UP, "import", "--data", data, "--release-at", "+3h", music), check=True)
        subprocess.run((*UP, "prewarm", "--data", data, PREHEATED, "--at", "now"), check=True)
        yield Folder(data)
    finally:
        subprocess.run((*UP, "down", "--data", data), check=True)


def write_song(path: Path, seed: int, title: str) -> None:
    """Noise, which an encoder cannot shrink, with RIFF tags; IPRD is the album."""
    with wave.open(str(path), "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(RATE_HZ)
        out.writeframes(random.Random(seed).randbytes(4 * RATE_HZ * SONG_S))
    tags = b"INFO"
    for name, text in (("INAM", title), ("IART", "Hiss"), ("IPRD", title)):
        data = text.encode() + b"\0" * (2 - len(text) % 2)
        tags += name.encode() + struct.pack("<I", len(data)) + data
    wav = path.read_bytes() + b"LIST" + struct.pack("<I", len(tags)) + tags
    path.write_bytes(wav[:4] + struct.pack("<I", len(wav) - 8) + wav[8:])


async def _storm(folder: Folder, title: str, options: argparse.Namespace) -> dict[str, object]:
    mesh = mesh_file.read(folder)
    (coming,) = [one for one in await releases.upcoming(mesh, folder) if one.title == title]
    (song_id,) = coming.songs
    await releases.release(folder, title, "now", as_json=False)
    before = await asyncio.to_thread(_read_bytes, mesh)
    async with Balancers(mesh.balancers) as balancers:
        song = await _route_when_out(balancers, song_id)
        began = time.monotonic()
        step_s = options.seconds / options.listeners
        crowd = [
            asyncio.create_task(_listen(balancers, song_id, REGIONS[n % 2], began + n * step_s, options.plays_s))
            for n in range(options.listeners)
        ]
        await asyncio.sleep(1)
        first_second = await asyncio.to_thread(_read_bytes, mesh)
        heard = await asyncio.gather(*crowd)
    say(f"{title}: {len(heard)} listeners")
    errors = [one.error for one in heard if one.error]
    for error in sorted(set(errors))[:3]:
        say(f"{title}: {error}")
    first_bytes_s = [one.first_byte_s for one in heard if not one.error]
    return {
        "release": title.lower(),
        "listeners": len(heard),
        "first_second_mb": (first_second - before) / 1e6,
        "all_mb": (await asyncio.to_thread(_read_bytes, mesh) - before) / 1e6,
        "song_mb": song.rendition.size_bytes / 1e6,
        "p50_ms": quantile(first_bytes_s, 0.5) * 1000,
        "p99_ms": quantile(first_bytes_s, 0.99) * 1000,
        "errors": len(errors),
    }


async def _route_when_out(balancers: Balancers, song_id: str) -> SongRoute:
    async with asyncio.timeout(OUT_S_MAX):
        while True:
            try:
                return await _route(balancers, song_id, REGIONS[0])
            except NotFound:
                await asyncio.sleep(0.05)


async def _route(balancers: Balancers, song_id: str, region: str) -> SongRoute:
    request = RouteRequest(song_ids=[song_id], region=region)
    answer = await balancers.ask(
        lambda channel, timeout_s: BalancerServiceStub(channel).Route(request, timeout=timeout_s), 10
    )
    return answer.routes[0]


async def _listen(balancers: Balancers, song_id: str, region: str, comes_at: float, plays_s: int) -> Heard:
    """One listener: a route, then a second of music each second from the first candidate."""
    await asyncio.sleep(max(0.0, comes_at - time.monotonic()))
    try:
        candidate = (await _route(balancers, song_id, region)).candidates[0]
        host, _, path = candidate.media_url.removeprefix("http://").partition("/")
        reader, writer = await asyncio.open_connection(*host.split(":"))
        asked_at, first_byte_s = time.monotonic(), 0.0
        for second in range(plays_s):
            first = second * PIECE_BYTES
            span = f"bytes={first}-{first + PIECE_BYTES - 1}"
            writer.write(f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nRange: {span}\r\n\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 206 " not in head:
                return Heard(0.0, head.partition(b"\r\n")[0].decode())
            await reader.readexactly(1)
            first_byte_s = first_byte_s or time.monotonic() - asked_at
            await reader.readexactly(PIECE_BYTES - 1)
            await asyncio.sleep(max(0.0, asked_at + second + 1 - time.monotonic()))
        writer.close()
    except Exception as error:  # noqa: BLE001  # whatever a listener meets is one error in the table
        return Heard(0.0, f"{type(error).__name__}: {error}")
    return Heard(first_byte_s)


def _read_bytes(mesh: Mesh) -> float:
    """What edges have read from origins so far."""
    total = 0.0
    for edge in mesh.edges:
        with urllib.request.urlopen(f"{edge.http}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        wanted = {"source": "origin"}
        total += sum(s.value for s in samples if s.name == "reprise_edge_fill_bytes_total" and s.labels == wanted)
    return total


if __name__ == "__main__":
    main()
