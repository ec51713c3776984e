"""ffprobe and ffmpeg read songs from an edge over HTTP: whole, and from the middle of a cold one."""

import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from origin.ingest import ladder
from origin.ingest.encoding import Encoded
from origin.ingest.transcode import transcode
from tests.clients.command import free_within, run
from tests.edge_node.edges import Edge, ScriptedOrigin, audio_of
from tests.mesh.conftest import write_noise

SECONDS = 40
LADDER = "opus:96,aac:128,flac"
QUIET = ("-hide_banner", "-v", "error")


@dataclass(frozen=True)
class Song:
    """A rendition in a file, as ffmpeg finds it without any network."""

    codec: str
    path: Path
    mime_type: str


@pytest.fixture(scope="module")
def renditions(tmp_path_factory: pytest.TempPathFactory) -> list[Encoded]:
    folder = tmp_path_factory.mktemp("renditions")
    write_noise(folder / "noise.wav", SECONDS, seed=1)
    return list(transcode(folder / "noise.wav", folder, ladder.parse(LADDER), song_s_max=60.0).renditions)


@pytest.fixture(params=["opus", "aac", "flac"])
def song(request: pytest.FixtureRequest, renditions: list[Encoded]) -> Song:
    (found,) = [one for one in renditions if one.codec == request.param]
    return Song(found.codec, Path(found.path), found.mime_type)


@pytest.fixture
def url(origin: ScriptedOrigin, edge: Edge, song: Song) -> str:
    """Where the song is, cold."""
    return edge.media_url(origin.add(audio_of(song.path.read_bytes(), song.mime_type)))


async def decoded(ffmpeg: str, source: str, *seek: str) -> str:
    """The digest of every sample that ffmpeg decodes; it says nothing, so nothing was skipped or concealed."""
    done = await run(ffmpeg, *QUIET, "-nostdin", *seek, "-i", source, "-f", "md5", "-")
    assert (done.code, done.err) == (0, "")
    return done.out.decode()


async def test_ffprobe_names_codec_and_length(ffprobe: str, edge: Edge, url: str, song: Song) -> None:
    done = await run(ffprobe, *QUIET, "-show_streams", "-show_format", "-of", "json", url)
    assert (done.code, done.err) == (0, "")
    said = json.loads(done.out)
    assert [stream["codec_name"] for stream in said["streams"]] == [song.codec]
    assert float(said["format"]["duration"]) == pytest.approx(SECONDS, abs=0.05)
    assert int(said["format"]["size"]) == song.path.stat().st_size
    await free_within(edge, 1.0)


@pytest.mark.parametrize("seek_s", [0, SECONDS - 7])
async def test_ffmpeg_decodes_the_same_samples_as_from_a_file(
    ffmpeg: str, origin: ScriptedOrigin, edge: Edge, url: str, song: Song, seek_s: int
) -> None:
    seek = ("-ss", str(seek_s)) if seek_s else ()
    assert await decoded(ffmpeg, url, *seek) == await decoded(ffmpeg, str(song.path), *seek)
    # To seek in FLAC, which has no index, ffmpeg leaves one answer after another: what was on its way to the edge may be
    # asked for again.
    assert max(origin.given.values()) <= (2 if song.codec == "flac" else 1), "the origin is read twice"
    await free_within(edge, 1.0)
