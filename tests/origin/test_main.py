"""The origin as it is started: settings to ports, readiness, metrics."""

import asyncio
import time
import urllib.request
from pathlib import Path

import pytest

from origin.__main__ import build
from origin.settings import Settings
from reprise import rpc, s3
from reprise.config import ConfigError
from reprise.grants import Claims, derive_key, mint
from reprise.origin.v1 import origin_service_pb2 as pb
from reprise.origin.v1.origin_service_pb2_grpc import OriginServiceStub
from reprise.service import listening
from tests.origin.fakes import audio, manifest_of, signed_manifest
from tests.support.s3_access import S3Access
from tests.support.wait import wait_until

SONG = audio(150_000)
SONG_ID = manifest_of(SONG).rendition_id
MESH_KEY = bytes(range(32))


def settings(bucket: s3.Bucket, tmp_path: Path, mesh_key: str = MESH_KEY.hex()) -> Settings:
    key_path = tmp_path / "mesh.key"
    key_path.write_text(mesh_key + "\n")
    return Settings(
        s3_endpoint=bucket.endpoint,
        s3_bucket=bucket.name,
        s3_credentials_path=bucket.credentials_path,
        mesh_key_path=key_path,
    )


async def get(url: str) -> str:
    def fetch() -> str:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(fetch)


async def test_an_origin_is_ready_when_s3_answers_and_many_edges_cost_one_read(
    s3_bucket: s3.Bucket, s3_access: S3Access, tmp_path: Path
) -> None:
    async with s3.client(s3_bucket) as client:
        await client.put_object(Bucket=s3_bucket.name, Key=s3.rendition_key(SONG_ID), Body=SONG)
        manifest = signed_manifest(SONG).SerializeToString()
        await client.put_object(Bucket=s3_bucket.name, Key=s3.manifest_key(SONG_ID), Body=manifest)
    async with build(settings(s3_bucket, tmp_path)) as app, listening(app) as ports:
        assert app.ready() == "S3 has not answered yet"
        watch = asyncio.create_task(app.background[0]())
        await wait_until(lambda: app.ready() == "", "S3 answers")
        claims = Claims("origin", "e1", "origin", "e1", "t", int(time.time()) + 60)
        metadata = rpc.bearer_metadata(mint(claims, "e1", derive_key(MESH_KEY, "e1")))
        async with rpc.channel(f"127.0.0.1:{ports.grpc_port}") as channel:
            stub = OriginServiceStub(channel)

            async def read() -> bytes:
                stream = stub.ReadChunks(pb.ReadChunksRequest(rendition_id=SONG_ID), metadata=metadata)
                return b"".join([message.chunk async for message in stream])

            assert set(await asyncio.gather(*(read() for _ in range(30)))) == {SONG}
        page = await get(f"http://127.0.0.1:{ports.http_port}/metrics")
        assert f"reprise_origin_s3_read_bytes_total {float(len(SONG))}" in page
        assert 'reprise_origin_s3_requests_total{op="get_range"} 1.0' in page
        await wait_until(lambda: s3_access.gets(s3_bucket.name, s3.rendition_key(SONG_ID)), "S3 logs the read")
        assert [access.status for access in s3_access.gets(s3_bucket.name, s3.rendition_key(SONG_ID))] == [206]
        watch.cancel()


async def test_a_mesh_key_that_is_not_hex_is_one_clear_line(tmp_path: Path) -> None:
    nowhere = s3.Bucket("http://127.0.0.1:1", "none", tmp_path / "none")
    with pytest.raises(ConfigError, match=r"mesh_key_path: .* must hold 64 hex digits"):
        async with build(settings(nowhere, tmp_path, "not a key")):
            pass


@pytest.mark.parametrize(("field", "value"), [("window_bytes_max", 10), ("s3_reads_max", 0), ("s3_patience_s", -1.0)])
def test_a_limit_that_makes_no_sense_is_named(field: str, value: float) -> None:
    required = {"s3_endpoint": "", "s3_bucket": "", "s3_credentials_path": Path(), "mesh_key_path": Path()}
    with pytest.raises(ConfigError, match=f"{field} must be"):
        Settings(**required, **{field: value})  # type: ignore[arg-type]
