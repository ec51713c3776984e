"""From a folder of music to exact bytes at a listener, by every door, on a whole mesh."""

import asyncio
import hashlib
import json
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from reprise.types.v1.types_pb2 import CODEC_AAC, CODEC_OPUS
from tests.mesh.conftest import SONGS
from tests.mesh.listener import Library, listen, route
from tests.origin.sound import decoded_s
from tests.support.mesh import TestMesh, scrape


@pytest.mark.parametrize("door", ["http", "grpc", "grpc-web"])
def test_play_gives_exactly_the_rendition_and_it_decodes_to_the_sources_length(
    mesh: TestMesh, library: Library, tmp_path: Path, door: str
) -> None:
    song_id = library.take()
    wanted = asyncio.run(route(mesh, song_id)).rendition
    path = tmp_path / "song.mp4"
    mesh.reprise("play", song_id, "-o", str(path), "--door", door)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == wanted.rendition_id
    assert decoded_s(path) == pytest.approx(20, abs=0.05)
    assert wanted.duration_ms == pytest.approx(20_000, abs=50)


@pytest.mark.parametrize(("codec", "name"), [(CODEC_OPUS, "opus"), (CODEC_AAC, "aac")])
def test_any_player_that_follows_a_redirect_gets_the_codec_it_asked_for(
    mesh: TestMesh, library: Library, tmp_path: Path, codec: int, name: str
) -> None:
    song_id = next(iter(library.songs.values()))
    wanted = asyncio.run(route(mesh, song_id, codec)).rendition  # type: ignore[arg-type]
    url = f"{mesh.json['balancer'][0]['http']}/play/{song_id}?codec={name}"
    with urllib.request.urlopen(url, timeout=20) as answer:
        body = answer.read()
        assert answer.headers["content-type"] == wanted.mime_type
    assert hashlib.sha256(body).hexdigest() == wanted.rendition_id
    path = tmp_path / "song.mp4"
    path.write_bytes(body)
    assert decoded_s(path) == pytest.approx(20, abs=0.05)


def test_search_finds_across_typos_and_import_named_the_broken_file(mesh: TestMesh, music: Path) -> None:
    found = json.loads(mesh.reprise("search", "nosie 3", "--json").stdout)
    assert found[0]["title"] == "noise 3"
    lines = [json.loads(line) for line in mesh.reprise("import", str(music), "--json", check=False).stdout.splitlines()]
    outcomes = {Path(line["path"]).name: line["outcome"] for line in lines if "path" in line}
    assert outcomes.pop("broken.ogg") == "failed"
    assert set(outcomes.values()) == {"known"}, "a second import changes nothing"
    assert len(outcomes) == len(SONGS)
    assert "broken.ogg" in mesh.log("up")
    noises = json.loads(mesh.reprise("search", "noise", "--json", "--limit", "100").stdout)
    assert sorted(song["title"] for song in noises) == sorted(title for title in SONGS if "noise" in title)


def test_status_names_every_service_and_edge(mesh: TestMesh) -> None:
    rows = json.loads(mesh.reprise("status", "--json").stdout)
    names = {row["name"] for row in rows}
    assert {"catalog", "balancer-1", "balancer-2", "origin-1", "origin-2", "edge-1", "edge-2", "edge-3"} <= names


async def test_a_song_whose_renditions_were_purged_plays_again_from_the_origin(
    mesh: TestMesh, library: Library
) -> None:
    song_id = library.take()
    first = await route(mesh, song_id)
    assert (await listen(first.candidates[0])).sha256 == first.rendition.rendition_id
    await asyncio.to_thread(mesh.reprise, "purge", song_id)
    before = scrape(first.candidates[0].http_url).sum("reprise_edge_fills_total", outcome="stored")
    assert (await listen(first.candidates[0])).sha256 == first.rendition.rendition_id
    after = scrape(first.candidates[0].http_url).sum("reprise_edge_fills_total", outcome="stored")
    assert after > before


async def test_a_prewarmed_song_is_a_hit_on_every_edge(mesh: TestMesh, library: Library) -> None:
    song_id = library.take()
    await asyncio.to_thread(mesh.reprise, "prewarm", song_id)
    wanted = await route(mesh, song_id)
    for candidate in wanted.candidates:
        before = scrape(candidate.http_url).sum("reprise_edge_requests_total", result="hit_ram")
        assert (await listen(candidate)).sha256 == wanted.rendition.rendition_id
        assert scrape(candidate.http_url).sum("reprise_edge_requests_total", result="hit_ram") == before + 1


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/play/0190c7a2-0000-7000-8000-000000000000", 404),
        ("/play/not-a-song", 400),
        ("/play/0190c7a2-0000-7000-8000-000000000000?codec=mp3", 400),
        ("/nothing", 404),
    ],
)
def test_what_the_balancer_cannot_route_is_a_status_and_a_line(mesh: TestMesh, path: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as failure:
        urllib.request.urlopen(mesh.json["balancer"][0]["http"] + path, timeout=10)
    text = failure.value.read().decode()
    assert failure.value.code == status
    assert len(text.splitlines()) == 1
    assert "Traceback" not in text


def test_garbage_on_any_port_ends_that_connection_and_nothing_else(mesh: TestMesh) -> None:
    services = [mesh.json["catalog"], *mesh.json["balancer"], *mesh.json["origin"], *mesh.json["edges"]]
    for service in services:
        for address in (service["grpc"], service["http"].removeprefix("http://")):
            host, _, port = address.partition(":")
            with socket.create_connection((host, int(port)), timeout=10) as connection:
                connection.sendall(b"\x00\xffGARBAGE" * 500 + b"\r\n\r\n")
                connection.settimeout(10)
                heard = b""
                try:
                    while part := connection.recv(65536):
                        heard += part
                except ConnectionResetError:
                    pass
                assert b"Traceback" not in heard
        with urllib.request.urlopen(f"{service['http']}/readyz", timeout=10) as answer:
            assert answer.status == 200


def test_commands_that_cannot_work_say_why_in_one_line(mesh: TestMesh, tmp_path: Path) -> None:
    for arguments in (
        ("play", "no such song at all", "-o", str(tmp_path / "x")),
        ("drain", "edge-99"),
        ("purge", "zzzz"),
    ):
        done = mesh.reprise(*arguments, check=False)
        assert done.returncode == 1
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
        assert "Traceback" not in done.stderr
    nowhere = [sys.executable, "-m", "reprise.cli", "search", "--data", str(tmp_path / "nowhere"), "x"]
    done = subprocess.run(nowhere, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "reprise up" in done.stderr
