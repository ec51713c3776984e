"""An import from files to S3 and catalog: what arrives, what is reported, and what a second one changes."""

import hashlib
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from origin.ingest.importer import Importer
from origin.ingest.publish import Objects, Publisher
from origin.ingest.report import JsonReport, Outcome, Summary
from origin.ingest.scan import find_audio
from origin.ingest.worker_process import WorkerProcess
from origin.patience import Patience
from reprise import manifests, rpc, s3
from reprise.chunks import CHUNK_BYTES
from reprise.types.v1.types_pb2 import CODEC_AAC, CODEC_FLAC, CODEC_OPUS, Manifest, SignedManifest
from tests.origin.fake_catalog import OPERATOR_KEY, FakeCatalog, served
from tests.origin.fakes import SIGNING_KEY
from tests.origin.sound import picture, write_song

COVER = picture(200, 100)
BRIEF = Patience(attempts_max=4, pause_s_max=0.05)


class Mesh:
    """A real bucket, a fake catalog, and imports into them."""

    def __init__(self, client: Any, bucket: str, catalog: FakeCatalog, channel: Any) -> None:
        self.client = client
        self.bucket = bucket
        self.catalog = catalog
        objects = Objects(client, bucket)
        self.publisher = Publisher(objects, channel, operator_key=OPERATOR_KEY, signing_key=SIGNING_KEY, patience=BRIEF)
        self.lines: list[dict[str, Any]] = []

    async def run(self, *paths: Path) -> Summary:
        out = io.StringIO()
        importer = Importer(self.publisher, JsonReport(out), 2, lambda: WorkerProcess(60, 60))
        summary = await importer.run(find_audio(paths))
        self.lines = [json.loads(line) for line in out.getvalue().splitlines()]
        return summary

    def told(self, name: str) -> dict[str, Any]:
        return next(line for line in self.lines if line.get("path", "").endswith(name))

    async def object(self, key: str) -> bytes:
        response = await self.client.get_object(Bucket=self.bucket, Key=key)
        async with response["Body"] as body:
            return bytes(await body.read())

    async def objects(self) -> dict[str, Any]:
        listing = await self.client.list_objects_v2(Bucket=self.bucket)
        return {entry["Key"]: entry["LastModified"] for entry in listing.get("Contents", ())}


@pytest.fixture
async def mesh(s3_bucket: s3.Bucket) -> AsyncIterator[Mesh]:
    catalog = FakeCatalog()
    async with s3.client(s3_bucket) as client, served(catalog) as address, rpc.channel(address) as channel:
        yield Mesh(client, s3_bucket.name, catalog, channel)


@pytest.fixture
def music(tmp_path: Path) -> Path:
    folder = tmp_path / "music"
    folder.mkdir()
    write_song(
        folder / "1.flac", 8.0, title="One", artist="A feat. B", album="Album", track="1", genre="Rock", tone_hz=300
    )
    write_song(folder / "2.mp3", 1.0, title="Two", artist="C", tone_hz=400)
    (folder / "3 broken.mp3").write_bytes(b"this is not music")
    (folder / "cover.png").write_bytes(COVER)
    return folder


async def test_songs_arrive_with_verified_renditions_manifests_and_cover(mesh: Mesh, music: Path) -> None:
    assert (await mesh.run(music)).exit_code == 0
    song = mesh.catalog.song("One")
    assert song.source_sha256 == hashlib.sha256((music / "1.flac").read_bytes()).hexdigest()
    assert [(artist.name, artist.join_phrase) for artist in song.artists] == [("A", " feat. "), ("B", "")]
    assert (song.album, song.track_number, list(song.genres), song.duration_ms) == ("Album", 1, ["Rock"], 8000)
    assert [rendition.codec for rendition in song.renditions] == [CODEC_OPUS, CODEC_OPUS, CODEC_AAC, CODEC_FLAC]
    assert await mesh.object(s3.cover_key(song.cover_sha256)) == COVER
    assert song.cover_mime_type == "image/png"
    assert list(song.cover_sizes_px) == [96]
    assert await mesh.object(s3.cover_size_key(song.cover_sha256, 96))
    assert song.loudness.integrated_lufs == pytest.approx(-12, abs=1)
    keys = {manifests.key_id_of(SIGNING_KEY.public_key()): SIGNING_KEY.public_key()}
    for rendition in song.renditions:
        data = await mesh.object(s3.rendition_key(rendition.rendition_id))
        assert hashlib.sha256(data).hexdigest() == rendition.rendition_id
        signed = SignedManifest.FromString(await mesh.object(s3.manifest_key(rendition.rendition_id)))
        manifest = manifests.verify(signed, keys, rendition.rendition_id)
        assert manifest.rendition == rendition
        assert manifest.digests[0] == hashlib.sha256(data[:CHUNK_BYTES]).digest()
        assert (rendition.samples, rendition.delay_samples < 1100) == (8 * rendition.sample_rate_hz, True)
        segments = Manifest.FromString(signed.manifest).segments
        assert segments.init_bytes + sum(segments.segment_bytes) == len(data)
        assert sum(segments.segment_ticks) == rendition.delay_samples + rendition.samples
        assert rendition.bitrate_bps == pytest.approx(len(data) * 8 / 8.0, rel=0.01)


async def test_every_file_is_reported_and_a_broken_one_is_named_with_its_reason(mesh: Mesh, music: Path) -> None:
    summary = await mesh.run(music)
    assert mesh.lines[0] == {"event": "start", "total": 3}
    assert mesh.lines[-1] == {"event": "summary", "imported": 2, "known": 0, "skipped": 0, "failed": 1, "error": ""}
    assert mesh.told("2.mp3")["outcome"] == "imported"
    assert (mesh.told("2.mp3")["title"], mesh.told("2.mp3")["artists"]) == ("Two", ["C"])
    assert mesh.told("3 broken.mp3")["outcome"] == "failed"
    assert mesh.told("3 broken.mp3")["reason"].startswith("cannot transcode it: Invalid data")
    assert summary.exit_code == 0


async def test_a_second_import_changes_nothing(mesh: Mesh, music: Path) -> None:
    await mesh.run(music)
    objects, songs = await mesh.objects(), dict(mesh.catalog.songs)
    summary = await mesh.run(music)
    assert summary.outcomes == {Outcome.KNOWN: 2, Outcome.FAILED: 1}
    assert mesh.told("1.flac")["song_id"].startswith("song-")
    assert mesh.catalog.publishes == 2, "what is known is not prepared again"
    assert await mesh.objects() == objects
    assert mesh.catalog.songs == songs


async def test_an_import_that_was_interrupted_before_the_catalog_goes_on_with_the_same_objects(
    mesh: Mesh, music: Path
) -> None:
    await mesh.run(music)
    objects = await mesh.objects()
    mesh.catalog.songs.clear()
    assert (await mesh.run(music)).outcomes[Outcome.IMPORTED] == 2
    assert await mesh.objects() == objects


async def test_the_same_bytes_twice_are_one_song(mesh: Mesh, music: Path) -> None:
    (music / "9 copy.mp3").write_bytes((music / "2.mp3").read_bytes())
    await mesh.run(music)
    assert mesh.told("9 copy.mp3")["outcome"] == "skipped"
    assert mesh.told("9 copy.mp3")["reason"].endswith("2.mp3")
    assert len(mesh.catalog.songs) == 2


async def test_a_song_that_the_catalog_refuses_is_named_and_the_rest_goes_on(mesh: Mesh, music: Path) -> None:
    mesh.catalog.refused = {"One"}
    summary = await mesh.run(music)
    assert summary.outcomes == {Outcome.IMPORTED: 1, Outcome.FAILED: 2}
    assert mesh.told("1.flac")["reason"] == "the catalog refused it: title 'One' is not for us"


async def test_a_short_outage_of_the_catalog_is_waited_out(mesh: Mesh, music: Path) -> None:
    mesh.catalog.failures = 2
    assert (await mesh.run(music)).outcomes[Outcome.IMPORTED] == 2


async def test_a_catalog_that_stays_away_ends_the_import_with_one_clear_line(mesh: Mesh, music: Path) -> None:
    mesh.catalog.failures = 1_000
    summary = await mesh.run(music)
    assert summary.exit_code == 1
    assert summary.error == "catalog: the database does not answer"
    assert mesh.lines[-1]["error"] == summary.error


async def test_a_folder_of_nothing_but_broken_files_is_a_failure(mesh: Mesh, tmp_path: Path) -> None:
    (tmp_path / "a.mp3").write_bytes(b"no")
    assert (await mesh.run(tmp_path / "a.mp3")).exit_code == 1


async def test_an_empty_folder_is_no_failure(mesh: Mesh, tmp_path: Path) -> None:
    assert (await mesh.run(tmp_path)).exit_code == 0
