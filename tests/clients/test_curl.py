"""curl against an edge: ranges, conditions, resumed and repeated transfers, byte for byte."""

import hashlib
import os
from pathlib import Path

import pytest

from reprise.chunks import CHUNK_BYTES
from tests.clients.command import Done, free_within, run, started
from tests.edge_node.edges import Audio, Edge, ScriptedOrigin, make_audio
from tests.support.wait import wait_until

SIZE = 20 * CHUNK_BYTES + 1234
# Neither a user's settings nor a proxy of the surroundings belong to the test.
PLAIN = ("-q", "--silent", "--show-error", "--noproxy", "*", "--max-time", "25")


@pytest.fixture
def audio(origin: ScriptedOrigin) -> Audio:
    return origin.add(make_audio(SIZE))


async def fetch(curl: str, *arguments: str) -> Done:
    return await run(curl, *PLAIN, *arguments)


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("0-0", 0, 1),
        ("0-65535", 0, 65_536),
        ("65535-65536", 65_535, 65_537),
        ("1000000-", 1_000_000, SIZE),
        ("-100", SIZE - 100, SIZE),
        (f"{SIZE - 1}-{SIZE + 5}", SIZE - 1, SIZE),
    ],
)
async def test_a_range_is_exactly_those_bytes(
    curl: str, edge: Edge, audio: Audio, asked: str, start: int, end: int
) -> None:
    done = await fetch(curl, "--fail", "--range", asked, edge.media_url(audio), "--write-out", "%{stderr}%{http_code}")
    assert (done.code, done.err) == (0, "206")
    assert done.out == audio.data[start:end]


async def test_a_whole_song_has_the_digest_that_is_its_name(curl: str, edge: Edge, audio: Audio) -> None:
    done = await fetch(curl, "--fail", edge.media_url(audio))
    assert hashlib.sha256(done.out).hexdigest() == audio.rendition_id


async def test_head_says_what_get_would_and_sends_nothing(curl: str, edge: Edge, audio: Audio) -> None:
    done = await fetch(curl, "--head", edge.media_url(audio))
    head = done.out.decode().lower().splitlines()
    assert head[0].startswith("http/1.1 200")
    assert f"content-length: {SIZE}" in head
    assert f'etag: "{audio.rendition_id}"' in head
    assert "accept-ranges: bytes" in head


async def test_what_curl_has_already_is_not_sent_again(curl: str, edge: Edge, audio: Audio, tmp_path: Path) -> None:
    etag, url, song = tmp_path / "etag", edge.media_url(audio), tmp_path / "song"
    both = (
        "--etag-save",
        str(etag),
        "--etag-compare",
        str(etag),
        "--write-out",
        "%{stderr}%{http_code} %{size_download}",
    )
    etag.write_text("")
    first = await fetch(curl, *both, "--output", str(song), url)
    assert first.err.endswith(f"200 {SIZE}")
    assert etag.read_text().strip() == f'"{audio.rendition_id}"'
    assert (await fetch(curl, *both, "--output", str(song), url)).err == "304 0"


async def test_a_transfer_that_broke_off_is_resumed_at_its_byte(
    curl: str, origin: ScriptedOrigin, edge: Edge, audio: Audio, tmp_path: Path
) -> None:
    origin.hold_before = 10
    song, url = tmp_path / "song", edge.media_url(audio)
    done = await fetch(curl, "--max-time", "0.7", "--output", str(song), url)
    assert done.code == 28, "curl gave up in the middle"
    had = song.stat().st_size
    assert 0 < had <= 10 * CHUNK_BYTES
    origin.go.set()
    done = await fetch(
        curl, "--fail", "--continue-at", "-", "--output", str(song), url, "-w", "%{http_code} %{size_download}"
    )
    assert done.out.decode() == f"206 {SIZE - had}"
    assert hashlib.sha256(song.read_bytes()).hexdigest() == audio.rendition_id
    assert set(origin.given_of(audio)) == {1}


async def test_an_offer_of_http2_is_declined_and_the_song_comes_by_http1(curl: str, edge: Edge, audio: Audio) -> None:
    done = await fetch(curl, "--fail", "--http2", edge.media_url(audio), "--write-out", "%{stderr}%{http_version}")
    assert done.err == "1.1"
    assert done.out == audio.data


async def test_many_urls_come_over_one_connection(
    curl: str, origin: ScriptedOrigin, edge: Edge, audio: Audio, tmp_path: Path
) -> None:
    other = origin.add(make_audio(SIZE, seed=2))
    urls = [edge.media_url(one) for one in (audio, other, audio)]
    outputs = [argument for n in range(3) for argument in ("--output", str(tmp_path / f"song {n}"))]
    done = await fetch(curl, "--fail", *outputs, *urls, "--write-out", "%{num_connects} ")
    assert done.out.decode().split() == ["1", "0", "0"]
    assert [(tmp_path / f"song {n}").read_bytes() for n in range(3)] == [audio.data, other.data, audio.data]


async def test_a_refusal_is_a_status_and_one_line(curl: str, edge: Edge, audio: Audio) -> None:
    for url, status in ((f"{edge.http_url}/p/forged/x/{audio.rendition_id}", "401"), (f"{edge.http_url}/p/", "404")):
        done = await fetch(curl, url, "--write-out", "%{stderr}%{http_code}")
        assert done.err == status
        assert done.out.count(b"\n") == 1
    done = await fetch(curl, "--range", f"{SIZE}-", edge.media_url(audio), "--write-out", "%{stderr}%{http_code}")
    assert done.err == "416"


async def test_a_curl_that_is_killed_in_the_middle_leaves_no_stream_behind(
    curl: str, origin: ScriptedOrigin, edge: Edge, audio: Audio
) -> None:
    origin.hold_before = 10
    async with started(curl, *PLAIN, "--output", os.devnull, edge.media_url(audio)) as process:
        await wait_until(lambda: sum(origin.given_of(audio)) == 10, "the fill is held")
        assert edge.node.streams == 1
        process.kill()
        await free_within(edge, 1.0)
    origin.go.set()
