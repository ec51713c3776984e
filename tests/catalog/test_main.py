"""The catalog as a process: starts from its settings alone, serves every door, stops cleanly."""

import asyncio
import hashlib
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import sqlalchemy as sa

from reprise import rpc, s3
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.engines.ports import free_ports
from tests.support.wait import wait_until

PNG = b"\x89PNG\r\n\x1a\npicture"


@pytest.fixture
def settings(database_dsn: str, s3_bucket: s3.Bucket, tmp_path: Path) -> dict[str, str]:
    """The environment of a catalog on the real engines."""
    mesh_key_path = tmp_path / "mesh.key"
    mesh_key_path.write_text("ab" * 32 + "\n")
    session_key_path = tmp_path / "session.key"
    session_key_path.write_text("cd" * 32 + "\n")
    grpc_port, http_port = free_ports(2)
    fields = {
        "postgres_dsn": database_dsn,
        "s3_endpoint": s3_bucket.endpoint,
        "s3_bucket": s3_bucket.name,
        "s3_credentials_path": str(s3_bucket.credentials_path),
        "mesh_key_path": str(mesh_key_path),
        "session_key_path": str(session_key_path),
        "grpc_address": f"127.0.0.1:{grpc_port}",
        "http_address": f"127.0.0.1:{http_port}",
        "database_wait_s": "0",
    }
    return {f"REPRISE_CATALOG_{name.upper()}": value for name, value in fields.items()}


@asynccontextmanager
async def catalog(settings: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A catalog process; killed at the end if it is still there."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "catalog", env=os.environ | settings, stderr=asyncio.subprocess.PIPE
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def http(settings: dict[str, str], path: str) -> tuple[int, bytes]:
    """Status and body of a GET; (0, b"") while nobody listens."""
    try:
        with urllib.request.urlopen(f"http://{settings['REPRISE_CATALOG_HTTP_ADDRESS']}{path}", timeout=5) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
    except OSError:
        return 0, b""


async def test_a_process_serves_every_door_and_stops_cleanly(settings: dict[str, str], s3_bucket: s3.Bucket) -> None:
    cover_id = hashlib.sha256(PNG).hexdigest()
    async with s3.client(s3_bucket) as client:
        await client.put_object(Bucket=s3_bucket.name, Key=s3.cover_key(cover_id), Body=PNG)
    async with catalog(settings) as process:
        await wait_until(lambda: http(settings, "/readyz")[0] == 200, "readiness", 30)
        assert http(settings, f"/covers/{cover_id}") == (200, PNG)
        assert http(settings, "/covers/nonsense")[0] == 400
        async with rpc.channel(settings["REPRISE_CATALOG_GRPC_ADDRESS"]) as channel:
            stub = pb_grpc.CatalogServiceStub(channel)
            assert list((await stub.Search(pb.SearchRequest(query="anything"))).songs) == []
            with pytest.raises(grpc.aio.AioRpcError):
                await pb_grpc.CatalogAdminServiceStub(channel).PublishSong(pb.PublishSongRequest())
        page = http(settings, "/metrics")[1].decode()
        assert 'reprise_catalog_searches_total{backend="database",tier="none"} 1.0' in page
        assert 'reprise_catalog_covers_total{result="invalid"} 1.0' in page
        process.send_signal(signal.SIGTERM)
        _, log = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 0
        assert all(json.loads(line) for line in log.splitlines())


@pytest.mark.parametrize(
    ("field", "value", "line"),
    [
        ("POSTGRES_DSN", "postgresql://postgres@127.0.0.1:1/x", "catalog: postgres_dsn: the database cannot be used: "),
        ("MESH_KEY_PATH", "/nowhere/mesh.key", "catalog: mesh_key_path: cannot read /nowhere/mesh.key"),
        ("COVER_CACHE_BYTES_MAX", "much", "catalog: REPRISE_CATALOG_COVER_CACHE_BYTES_MAX must be int, not 'much'"),
    ],
)
async def test_a_wrong_setting_ends_the_start_in_one_clear_line(
    settings: dict[str, str], field: str, value: str, line: str
) -> None:
    async with catalog(settings | {f"REPRISE_CATALOG_{field}": value}) as process:
        _, log = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode == 1
        assert log.decode().startswith(line)
        assert log.count(b"\n") == 1


async def test_no_secret_is_logged(settings: dict[str, str], database_dsn: str) -> None:
    password = sa.make_url(database_dsn).password
    assert password
    async with catalog(settings) as process:
        await wait_until(lambda: http(settings, "/readyz")[0] == 200, "readiness", 30)
        process.terminate()
        _, log = await asyncio.wait_for(process.communicate(), 30)
        assert str(password).encode() not in log
