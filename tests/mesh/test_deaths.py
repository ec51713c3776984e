"""Machines that die in the middle of a song, and listeners who do not notice."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import RedisError

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as messages
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceStub
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS
from reprise.cli import operator
from reprise.cli.folder import Folder
from reprise.types.v1.types_pb2 import CODEC_OPUS
from tests.mesh.conftest import every_http, is_ready, write_noise
from tests.mesh.crowd import routed_by
from tests.mesh.listener import Library, edge_metrics, edges_sum, listen, route
from tests.support.mesh import TestMesh, scrape
from tests.support.wait import wait_until

SECONDS = 70
OUT_OF_ROUTING_S_MAX = 6.0


@contextmanager
def held(mesh: TestMesh, *pids: int) -> Iterator[None]:
    """Processes that stand still inside the context."""
    for pid in pids:
        mesh.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            try:
                os.kill(pid, signal.SIGCONT)
            except ProcessLookupError:
                continue


@pytest.fixture(scope="module")
def songs(mesh: TestMesh, tmp_path_factory: pytest.TempPathFactory) -> Library:
    """Songs longer than their prefix, so that they can be caught in the middle."""
    folder = tmp_path_factory.mktemp("long")
    titles = [f"drone {n}" for n in range(5)]
    for number, title in enumerate(titles):
        write_noise(folder / f"{title}.wav", SECONDS, seed=100 + number)
    mesh.reprise("import", str(folder))
    found = json.loads(mesh.reprise("search", "drone", "--json", "--limit", "50").stdout)
    return Library({song["title"]: song["song_id"] for song in found})


@pytest.mark.parametrize("door", ["http", "grpc", "grpc-web"])
async def test_a_play_survives_the_death_of_its_edge_and_the_edge_comes_back(
    mesh: TestMesh, songs: Library, tmp_path: Path, door: str
) -> None:
    song_id = songs.take()
    wanted = await route(mesh, song_id, CODEC_OPUS)
    assert wanted.rendition.size_bytes > (PREFIX_CHUNKS + 2) * CHUNK_BYTES
    await prewarm_prefix(mesh, song_id)
    output = tmp_path / "song.mp4"
    origins = [origin["pid"] for origin in mesh.json["origin"]]
    with held(mesh, *origins):
        playing = mesh.start_reprise("play", song_id, "-o", str(output), "--door", door)
        part = tmp_path / "song.mp4.part"
        # All but the last few bytes, which the player may not have flushed yet.
        prefix_is_there = lambda: part.exists() and part.stat().st_size >= (PREFIX_CHUNKS - 1) * CHUNK_BYTES  # noqa: E731
        await wait_until(prefix_is_there, "the prefix has been played", 15)
        serving = await wait_until(lambda: serving_edge(mesh), "an edge says that it streams")
        mesh.kill(mesh.edge(serving)["pid"])
        await wait_until(lambda: serving not in edge_metrics(mesh), "the edge is dead")
        assert serving not in [c.edge_id for c in (await route(mesh, song_id)).candidates]
    said = await asyncio.to_thread(finish, playing)
    assert hashlib.sha256(output.read_bytes()).hexdigest() == wanted.rendition.rendition_id
    assert serving in said, "the listener was told which edge broke off"

    async def routed() -> bool:
        return serving in [c.edge_id for c in (await route(mesh, song_id)).candidates]

    async with asyncio.timeout(40):
        while not await routed():
            await asyncio.sleep(0.1)
    again = next(c for c in (await route(mesh, song_id)).candidates if c.edge_id == serving)
    assert (await listen(again)).status == 200


async def test_an_edge_that_stands_still_is_out_of_every_routing_within_six_seconds_and_comes_back(
    mesh: TestMesh, songs: Library
) -> None:
    song_id = next(iter(songs.songs.values()))
    first = (await route(mesh, song_id)).candidates[0].edge_id

    async def named() -> list[bool]:
        return [first in await routed_by(mesh, balancer, song_id) for balancer in range(len(mesh.json["balancer"]))]

    with held(mesh, mesh.edge(first)["pid"]):
        began = time.monotonic()
        async with asyncio.timeout(OUT_OF_ROUTING_S_MAX):
            while any(await named()):
                await asyncio.sleep(0.05)
        print(f"out of routing after {time.monotonic() - began:.1f} s")
    async with asyncio.timeout(20):
        while not all(await named()):
            await asyncio.sleep(0.05)


async def test_no_listener_notices_an_origin_that_dies_in_the_middle_of_a_fill(mesh: TestMesh, songs: Library) -> None:
    song_id = songs.take()
    wanted = await route(mesh, song_id, CODEC_OPUS)
    await prewarm_prefix(mesh, song_id)
    with held(mesh, mesh.pid_of("seaweedfs")):
        # A grant allows eight streams at once.
        hearing = [asyncio.create_task(listen(c)) for c in wanted.candidates for _ in range(8)]
        await wait_until(lambda: edges_sum(mesh, "reprise_edge_waiting_readers") >= len(hearing), "all wait")
        reading = [o for o in mesh.json["origin"] if scrape(o["http"]).sum("reprise_origin_live_reads") > 0]
        assert reading, "an origin is in the middle of a read"
        mesh.kill(reading[0]["pid"])
    heard = await asyncio.gather(*hearing)
    assert {(one.status, one.sha256) for one in heard} == {(200, wanted.rendition.rendition_id)}


async def test_nobody_notices_that_valkey_died_and_the_directory_comes_back(mesh: TestMesh, songs: Library) -> None:
    song_id = songs.take()
    mesh.kill(mesh.pid_of("valkey"))
    balancers = mesh.json["balancer"]
    for _ in range(2):
        wanted = await route(mesh, song_id, CODEC_OPUS)
        heard = await asyncio.gather(*(listen(candidate) for candidate in wanted.candidates))
        assert {(one.status, one.sha256) for one in heard} == {(200, wanted.rendition.rendition_id)}
    for balancer in range(len(balancers)):
        assert len(await routed_by(mesh, balancer, song_id)) == len(mesh.json["edges"]), "reports go on"
    assert all(is_ready(http) for http in every_http(mesh))
    with Redis.from_url(mesh.json["valkey"], decode_responses=True) as valkey:
        await wait_until(lambda: remembered(valkey) == {edge["id"] for edge in mesh.json["edges"]}, "a directory", 30)


def remembered(valkey: Redis) -> set[str]:
    """The edges in Valkey's directory; none while it does not answer."""
    try:
        keys = list(valkey.scan_iter("reprise:balancer:edges:*"))
        return {edge_id for key in keys for edge_id in valkey.hkeys(key)}
    except RedisError:
        return set()


async def prewarm_prefix(mesh: TestMesh, song_id: str) -> None:
    """Only the prefix is in the edges' caches: the rest has to be fetched while it plays."""
    channel = rpc.channel(mesh.json["balancer"][0]["grpc"])
    request = messages.SendCommandRequest(prewarm=messages.PrewarmSongs(song_ids=[song_id], prefix_only=True))
    try:
        metadata = rpc.bearer_metadata(operator.token(Folder(mesh.data)))
        answer = await BalancerAdminServiceStub(channel).SendCommand(request, metadata=metadata, timeout=40)
    finally:
        await channel.close()
    assert all(one.ok for one in answer.answers), answer


def serving_edge(mesh: TestMesh) -> str:
    """The edge that streams to a listener; others may relay."""
    for edge_id, metrics in edge_metrics(mesh).items():
        if metrics.sum("reprise_edge_listeners") > 0:
            return edge_id
    return ""


def finish(process: "subprocess.Popen[str]") -> str:
    """Waits for a command; what it said on standard error."""
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return said
