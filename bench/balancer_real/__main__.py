"""`./scripts/bench balancer_real`: the simulator beside a real mesh of six edges, with the same listeners, songs and names.

Loopback has no NIC to fill: each edge is told one of 16 Mb/s, and listeners take ranges of four seconds as they hear them. Real
sockets carry what NICs would, but nothing slows an edge that is given too much. Every song is on the edge that is home to it
before the first listener comes. After 45 s one edge is killed with kill -9 and stays away.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import wave
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench import report
from bench.balancer.catalog import CLASSES
from bench.balancer.workload import WARM_UP_S, Workload
from bench.balancer_real.arrivals import KILL_S, REGION, VICTIM, Outcome, RealCatalog, make_workload, popularity
from bench.balancer_real.crowd import Crowd
from bench.balancer_real.figures import fetches, wait_whole
from bench.balancer_real.simulated import simulate
from bench.report import Column, median, say
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.cli import mesh_file, operator, songs
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh
from reprise.placement import Members
from reprise.types.v1.types_pb2 import Codec

# With listeners who left within the last 20 s, whom edges still count, the load that balancers see is 68 %.
EDGES, NIC_BPS, LOAD = 6, 16_000_000, 0.53
SONGS, SONG_S, ALPHA = 24, 90, 0.9
RATE_HZ = 48_000
SIMULATED_SEEDS = 5
COLUMNS = (
    Column("figure", "figure"),
    Column("simulated", "simulated", 3),
    Column("of 5 seeds", "range"),
    Column("real mesh", "real", 3),
    Column("differs by %", "percent", 1),
)
UP = (sys.executable, "-m", "reprise.cli")


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.balancer_real", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the listeners")
    parser.add_argument("--data", type=Path, help="the mesh's folder, kept for another run [default: a new one]")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reprise-bench-") as scratch:
        data = options.data or Path(scratch) / "mesh"
        with _mesh(data, Path(scratch) / "music") as folder:
            catalog, song_ids = asyncio.run(_catalog(folder))
            workload = make_workload(catalog, EDGES, NIC_BPS, LOAD, options.seed)
            say(f"{len(workload.regions)} listeners, {len(workload.turns)} plays")
            simulated = [simulate(workload, seed).figures() for seed in range(1, SIMULATED_SEEDS + 1)]
            crowd = asyncio.run(_play(folder, workload, song_ids))
    print(f"seed {options.seed}; {report.machine()}\n")
    print(report.table(COLUMNS, _rows(simulated, crowd.figures())))


def _rows(simulated: Sequence[dict[str, float]], real: dict[str, float]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for figure, value in real.items():
        each = [run[figure] for run in simulated]
        middle = median(each)
        row: dict[str, object] = {"figure": figure, "simulated": middle, "real": value}
        row["range"] = f"{min(each):.3f} to {max(each):.3f}"
        if middle:
            row["percent"] = 100 * (value - middle) / middle
        rows.append(row)
    return rows


@contextmanager
def _mesh(data: Path, music: Path) -> Iterator[Folder]:
    """A mesh with its songs, stopped after the context."""
    _write_songs(music)
    shape = ("--edges", str(EDGES), "--regions", REGION, "--nic-bps", str(NIC_BPS))
    # An edge that an earlier run has killed comes back with the mesh.
    subprocess.run((*UP, "up", "--detach", "--data", data, "--music", music, *shape), check=True)
    try:
        yield Folder(data)
    finally:
        subprocess.run((*UP, "down", "--data", data), check=True)


def _write_songs(music: Path) -> None:
    """Noise, which an encoder cannot shrink; the same files on every run, so that they are imported once."""
    music.mkdir()
    for number in range(SONGS):
        with wave.open(str(music / f"song {number:02}.wav"), "wb") as out:
            out.setnchannels(2)
            out.setsampwidth(2)
            out.setframerate(RATE_HZ)
            out.writeframes(random.Random(number).randbytes(4 * RATE_HZ * SONG_S))


async def _catalog(folder: Folder) -> tuple[RealCatalog, list[str]]:
    """The songs by title, which is by popularity, and what the balancer calls their Opus renditions."""
    mesh = mesh_file.read(folder)
    found = await songs.search(mesh, "song", 100)
    song_ids = [song.song_id for song in sorted(found, key=lambda song: song.title) if song.title.startswith("song ")]
    renditions = []
    async with rpc.channel(mesh.balancers[0].grpc) as channel:
        for song_id in song_ids:
            request = messages.RouteRequest(song_ids=[song_id], codecs=[Codec.CODEC_OPUS], region=REGION)
            answer = await BalancerServiceStub(channel).Route(request, timeout=10)
            renditions.append(answer.routes[0].rendition)
    lengths_s = [rendition.duration_ms / 1000 for rendition in renditions]
    ids = [rendition.rendition_id for rendition in renditions]
    return RealCatalog(lengths_s, popularity(len(song_ids), ALPHA), ids), song_ids


async def _play(folder: Folder, workload: Workload, song_ids: Sequence[str]) -> Outcome:
    mesh = mesh_file.read(folder)
    await _hold_homes(folder, mesh, workload.catalog.ids[:: len(CLASSES)], song_ids)
    await wait_whole(folder, mesh)
    crowd = Crowd(workload, song_ids, mesh.balancers[0].grpc, [edge.name for edge in mesh.edges])
    playing = asyncio.create_task(crowd.run())
    await asyncio.sleep(0)
    await crowd.wait_until(WARM_UP_S)
    plays, fetched = crowd.plays, await fetches(mesh)
    await crowd.wait_until(KILL_S)
    crowd.outcome.starts = crowd.plays - plays
    crowd.outcome.hits = crowd.outcome.starts - (await fetches(mesh) - fetched)
    _kill(folder, mesh, crowd)
    await playing
    return crowd.outcome


def _kill(folder: Folder, mesh: Mesh, crowd: Crowd) -> None:
    victim = next(edge for edge in mesh.edges if edge.name == f"edge-{VICTIM}")
    crowd.outcome.listeners = len(crowd.places)
    crowd.outcome.on_the_dead = sum(place == victim.name for place in crowd.places.values())
    # As after a drain, the supervisor leaves it down.
    (folder.drained / victim.name).touch()
    os.kill(victim.pid, signal.SIGKILL)


async def _hold_homes(folder: Folder, mesh: Mesh, rendition_ids: Sequence[str], song_ids: Sequence[str]) -> None:
    """Each song on the edge that is home to it, as in a simulated mesh that has run for days."""
    members = Members({edge.name: NIC_BPS for edge in mesh.edges})
    homes = [members.order(rendition_id, 1)[0] for rendition_id in rendition_ids]
    metadata = rpc.bearer_metadata(operator.token(folder))
    for edge in mesh.edges:
        held = [song_id for song_id, home in zip(song_ids, homes, strict=True) if home == edge.name]
        request = messages.SendCommandRequest(edge_ids=[edge.name], prewarm=messages.PrewarmSongs(song_ids=held))
        if held:
            await operator.ask(mesh, lambda stub, r=request: stub.SendCommand(r, metadata=metadata, timeout=40))


if __name__ == "__main__":
    main()
