"""What operators do to a running mesh, and what listeners notice of it: a takedown at once, a drain not at all."""

import asyncio
import hashlib
import json
import time
from pathlib import Path

import httpx
import pytest

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceStub
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS
from reprise.cli import operator
from reprise.cli.folder import Folder
from reprise.types.v1.types_pb2 import CODEC_OPUS
from tests.mesh.conftest import write_noise
from tests.mesh.listener import Listener, edge_metrics, edges_sum, listen, route
from tests.mesh.test_deaths import finish, held, prewarm_prefix
from tests.support.mesh import TestMesh
from tests.support.wait import wait_until

SECONDS = 70
PREFIX_BYTES = PREFIX_CHUNKS * CHUNK_BYTES
DOORS = ("http", "grpc", "grpc-web")


@pytest.fixture(scope="module")
def song_id(mesh: TestMesh, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A song longer than its prefix, so that it can be caught in the middle."""
    folder = tmp_path_factory.mktemp("tide")
    write_noise(folder / "tide.wav", SECONDS, seed=200)
    mesh.reprise("import", str(folder))
    (song,) = json.loads(mesh.reprise("search", "tide", "--json").stdout)
    found: str = song["song_id"]
    return found


async def purge(mesh: TestMesh, song_id: str) -> list[messages.SendCommandResponse.Answer]:
    """What the edges answer to a purge, sent as `reprise purge` sends it."""
    channel = rpc.channel(mesh.json["balancer"][0]["grpc"])
    request = messages.SendCommandRequest(purge=messages.PurgeSongs(song_ids=[song_id]))
    try:
        metadata = rpc.bearer_metadata(operator.token(Folder(mesh.data)))
        return list((await BalancerAdminServiceStub(channel).SendCommand(request, metadata=metadata)).answers)
    finally:
        await channel.close()


async def test_a_purge_is_gone_on_every_edge_within_a_second_and_cuts_live_streams(
    mesh: TestMesh, song_id: str
) -> None:
    await prewarm_prefix(mesh, song_id)
    wanted = await route(mesh, song_id, CODEC_OPUS)
    assert len(wanted.candidates) == len(mesh.json["edges"])
    listeners = [Listener(candidate) for candidate in wanted.candidates]
    with held(mesh, *(origin["pid"] for origin in mesh.json["origin"])):
        for listener in listeners:
            await listener.connect()
            listener.ask()
            await listener.first_byte()
        hearing = [asyncio.create_task(listener.rest()) for listener in listeners]
        await wait_until(
            lambda: edges_sum(mesh, "reprise_edge_waiting_readers") >= len(hearing), "all are in the middle"
        )
        before = {
            edge: metrics.sum("reprise_edge_store_bytes", tier="ram") for edge, metrics in edge_metrics(mesh).items()
        }
        started = time.monotonic()
        answers = await purge(mesh, song_id)
        heard = await asyncio.gather(*hearing, return_exceptions=True)
        seconds = time.monotonic() - started
    print(f"purged on {len(answers)} edges, streams cut: {seconds * 1000:.0f} ms")
    assert seconds < 1.0
    assert {(one.edge_id, one.ok) for one in answers} == {(edge["id"], True) for edge in mesh.json["edges"]}
    assert all(isinstance(one, ConnectionResetError) for one in heard), "no listener takes what it has for the song"
    for edge, metrics in edge_metrics(mesh).items():
        assert metrics.sum("reprise_edge_store_bytes", tier="ram") <= before[edge] - PREFIX_BYTES
    # Whoever was cut and asks again at once is told the same; what the catalog still has plays a moment later.
    assert (await listen(wanted.candidates[0])).status == 404
    async with asyncio.timeout(10):
        while (again := await listen(wanted.candidates[0])).status == 404:
            await asyncio.sleep(0.1)
    assert again.sha256 == wanted.rendition.rendition_id


async def test_listeners_of_a_drained_edge_hear_every_byte_by_every_door(
    mesh: TestMesh, song_id: str, tmp_path: Path
) -> None:
    await purge(mesh, song_id)
    await prewarm_prefix(mesh, song_id)
    wanted = await route(mesh, song_id, CODEC_OPUS)
    files = {door: tmp_path / f"{door}.mp4" for door in DOORS}
    with held(mesh, *(origin["pid"] for origin in mesh.json["origin"])):
        playing = {
            door: mesh.start_reprise("play", song_id, "-o", str(path), "--door", door) for door, path in files.items()
        }
        serving = await wait_until(lambda: edge_with_listeners(mesh, len(DOORS)), "one edge serves all doors", 20)
        draining = mesh.start_reprise("drain", serving, "--deadline", "30")
        await wait_until(lambda: "draining" in readiness(mesh, serving), "the edge drains")
        assert serving not in [c.edge_id for c in (await route(mesh, song_id)).candidates]
    said = {door: await asyncio.to_thread(finish, process) for door, process in playing.items()}
    await asyncio.to_thread(finish, draining)
    for path in files.values():
        assert hashlib.sha256(path.read_bytes()).hexdigest() == wanted.rendition.rendition_id
    print(said)
    await goes_and_comes_back(mesh, serving)


async def test_an_edge_that_nobody_listens_to_answers_before_it_goes(mesh: TestMesh) -> None:
    edge_id = next(edge["id"] for edge in mesh.json["edges"] if not was_drained(mesh, edge["id"]))
    assert f"{edge_id}: done" in (await asyncio.to_thread(mesh.reprise, "drain", edge_id)).stdout
    await goes_and_comes_back(mesh, edge_id)


def was_drained(mesh: TestMesh, edge_id: str) -> bool:
    """Whether the supervisor has seen this edge end after a drain."""
    return f"{edge_id} was drained and ended" in mesh.log("up")


async def goes_and_comes_back(mesh: TestMesh, edge_id: str) -> None:
    """A drained edge ends, stays away, and is back when it is wanted back."""
    # The log may tell of an earlier drain of this edge too.
    await wait_until(lambda: was_drained(mesh, edge_id) and edge_id not in edge_metrics(mesh), "the edge has ended")
    await asyncio.to_thread(mesh.reprise, "drain", edge_id, "--undo")
    await wait_until(lambda: edge_id in edge_metrics(mesh), "the edge is back", 30)


def readiness(mesh: TestMesh, edge_id: str) -> str:
    """What an edge says is missing for it to take listeners."""
    return httpx.get(f"{mesh.edge(edge_id)['http']}/readyz", trust_env=False).text


def edge_with_listeners(mesh: TestMesh, count: int) -> str:
    """The edge where so many listeners wait for their next byte; empty when there is none."""
    for edge_id, metrics in edge_metrics(mesh).items():
        if metrics.sum("reprise_edge_listeners") == count == metrics.sum("reprise_edge_waiting_readers"):
            return edge_id
    return ""
