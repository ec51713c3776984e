"""A release at its moment: nobody hears it before, everybody from then on, and what was preheated costs the origin nothing."""

import asyncio
import json
import struct
import time
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest

from reprise.balancer.v1.balancer_service_pb2 import SongRoute
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS
from reprise.cli import mesh_file
from reprise.cli.balancers import Balancers
from reprise.cli.folder import Folder
from reprise.errors import NotFound
from reprise.types.v1.types_pb2 import CODEC_OPUS
from tests.mesh.conftest import write_noise
from tests.mesh.crowd import ask
from tests.mesh.listener import edges_sum, listen, origins_sum, route
from tests.support.mesh import Metrics, TestMesh, scrape
from tests.support.wait import wait_until

# Little more than a prefix.
SONG_S = 35
TITLES = ("Preheated", "Surprise", "Near")
LISTENERS = 300
ARRIVE_S = 3.0
# A second of music at a time, as players take it.
PIECE_BYTES = 20 * 1024
PIECES = 3
# What a balancer remembers as unknown, it remembers for longer than this.
AT_THE_MOMENT_S_MAX = 1.5
FROM_ORIGIN = {"source": "origin"}


@dataclass(frozen=True)
class Release:
    """One album of one song, imported and held back."""

    title: str
    release_id: str
    song_id: str


@pytest.fixture(scope="module")
def releases(mesh: TestMesh, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Release]:
    """Albums that come out in three hours: balancers look one hour ahead."""
    folder = tmp_path_factory.mktemp("releases")
    for seed, title in enumerate(TITLES, 300):
        path = folder / f"{title}.wav"
        write_noise(path, SONG_S, seed)
        write_tags(path, INAM=f"{title} song", IART="Hiss & Friends", IPRD=title)
    mesh.reprise("import", str(folder), "--release-at", "+3h")
    coming = json.loads(mesh.reprise("release", "--list", "--json").stdout)
    return {one["title"]: Release(one["title"], one["release_id"], *one["songs"]) for one in coming}


def write_tags(path: Path, **texts: str) -> None:
    """Appends tags to a WAV file (RIFF INFO; IPRD is the album)."""
    chunks = b"INFO"
    for name, text in texts.items():
        data = text.encode() + b"\0" * (2 - len(text.encode()) % 2)
        chunks += name.encode() + struct.pack("<I", len(data)) + data
    wav = path.read_bytes() + b"LIST" + struct.pack("<I", len(chunks)) + chunks
    path.write_bytes(wav[:4] + struct.pack("<I", len(wav) - 8) + wav[8:])


def preheated(mesh: TestMesh) -> float:
    """Preheats that balancers have done."""
    pages: list[Metrics] = [scrape(balancer["http"]) for balancer in mesh.json["balancer"]]
    return sum(page.sum("reprise_balancer_preheats_total", outcome="done") for page in pages)


async def listen_to_the_beginning(song: SongRoute, delay_s: float) -> tuple[float, bytes]:
    """Comes after `delay_s` and plays three seconds; when the first byte came after being asked for, and the bytes."""
    await asyncio.sleep(delay_s)
    host, _, path = song.candidates[0].media_url.removeprefix("http://").partition("/")
    reader, writer = await asyncio.open_connection(*host.split(":"))
    data, first_s, began = b"", 0.0, time.monotonic()
    for piece in range(PIECES):
        first = piece * PIECE_BYTES
        asked = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={first}-{first + PIECE_BYTES - 1}\r\n\r\n"
        writer.write(asked.encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 206 " in head.partition(b"\r\n")[0], head
        data += await reader.readexactly(PIECE_BYTES)
        first_s = first_s or time.monotonic() - began
        await asyncio.sleep(max(0.0, began + piece + 1 - time.monotonic()))
    writer.close()
    return first_s, data


async def test_a_preheated_release_plays_at_its_moment_and_its_crowd_costs_the_origin_nothing(
    mesh: TestMesh, releases: dict[str, Release]
) -> None:
    before = preheated(mesh)
    release = releases["Preheated"]
    assert json.loads(mesh.reprise("search", "Preheated song", "--json").stdout) == []
    # Both balancers find it in the calendar; the moment is moved close when it is preheated, as nobody can wait that long.
    mesh.reprise("release", release.title, "--at", "+50s")
    await wait_until(lambda: preheated(mesh) >= before + 2, "both balancers have preheated it", 30)
    told = json.loads(mesh.reprise("release", release.title, "--at", "+6s", "--json").stdout)
    moment = told["at_unix_ms"] / 1000
    read_before = origins_sum(mesh, "reprise_origin_s3_read_bytes_total")
    filled_before = edges_sum(mesh, "reprise_edge_fill_bytes_total", **FROM_ORIGIN)
    async with Balancers(mesh_file.read(Folder(mesh.data)).balancers) as balancers:
        asked_at = time.time()
        await wait_routed(balancers, release.song_id)
        out_at = time.time()
        assert out_at - moment >= 0
        assert out_at - max(moment, asked_at) < AT_THE_MOMENT_S_MAX
        regions = sorted({edge["region"] for edge in mesh.json["edges"]})
        songs = [await ask(balancers, release.song_id, regions[n % len(regions)]) for n in range(LISTENERS)]
    crowd = [
        asyncio.create_task(listen_to_the_beginning(song, n * ARRIVE_S / LISTENERS)) for n, song in enumerate(songs)
    ]
    heard = await asyncio.gather(*crowd)
    assert len({data for _, data in heard}) == 1
    assert origins_sum(mesh, "reprise_origin_s3_read_bytes_total") == read_before
    assert edges_sum(mesh, "reprise_edge_fill_bytes_total", **FROM_ORIGIN) == filled_before
    firsts = sorted(first_s for first_s, _ in heard)
    print(
        f"out {1000 * (out_at - moment):.0f} ms after its moment; {LISTENERS} listeners in {ARRIVE_S:g} s on"
        f" {len({song.candidates[0].edge_id for song in songs})} edges: first byte p50 {1000 * firsts[LISTENERS // 2]:.0f} ms,"
        f" p99 {1000 * firsts[LISTENERS * 99 // 100]:.0f} ms, origin reads 0"
    )
    found = json.loads(mesh.reprise("search", "Preheated song", "--json").stdout)
    assert [song["song_id"] for song in found] == [release.song_id]


async def test_a_release_that_nobody_preheated_is_read_once_in_each_region(
    mesh: TestMesh, releases: dict[str, Release]
) -> None:
    release = releases["Surprise"]
    with pytest.raises(grpc.aio.AioRpcError) as unknown:
        await route(mesh, release.song_id)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    mesh.reprise("release", release.release_id, "--at", "now")
    filled_before = edges_sum(mesh, "reprise_edge_fill_bytes_total", **FROM_ORIGIN)
    async with Balancers(mesh_file.read(Folder(mesh.data)).balancers) as balancers:
        regions = sorted({edge["region"] for edge in mesh.json["edges"]})
        # Who asked too early is remembered for two seconds.
        songs = [await wait_routed(balancers, release.song_id, regions[n % len(regions)]) for n in range(60)]
    heard = await asyncio.gather(*(listen(song.candidates[0]) for song in songs))
    wanted = songs[0].rendition
    assert wanted.codec == CODEC_OPUS
    assert {(one.status, one.sha256) for one in heard} == {(200, wanted.rendition_id)}
    read = edges_sum(mesh, "reprise_edge_fill_bytes_total", **FROM_ORIGIN) - filled_before
    assert read == len(regions) * wanted.size_bytes


async def test_an_operator_has_the_beginning_of_a_release_on_every_edge_before_it_is_out(
    mesh: TestMesh, releases: dict[str, Release]
) -> None:
    release = releases["Near"]
    filled_before = edges_sum(mesh, "reprise_edge_fill_bytes_total")
    told = json.loads(mesh.reprise("prewarm", release.title, "--at", "now", "--json").stdout)
    edges = {edge["id"] for edge in mesh.json["edges"]}
    assert {answer["edge_id"] for answer in told["answers"] if answer["ok"]} == edges
    mesh.reprise("release", release.title, "--at", "now")
    async with Balancers(mesh_file.read(Folder(mesh.data)).balancers) as balancers:
        wanted = (await wait_routed(balancers, release.song_id)).rendition
    prefix = min(wanted.size_bytes, PREFIX_CHUNKS * CHUNK_BYTES)
    assert edges_sum(mesh, "reprise_edge_fill_bytes_total") - filled_before >= prefix * len(edges)
    assert edges_sum(mesh, "reprise_edge_prewarmed_bytes_total", source="peer") > 0


async def wait_routed(balancers: Balancers, song_id: str, region: str = "") -> SongRoute:
    """The route of a song that is just coming out."""
    async with asyncio.timeout(20):
        while True:
            try:
                return await ask(balancers, song_id, region)
            except NotFound:
                await asyncio.sleep(0.01)
