"""The indexer as a process: killed at any moment nothing is lost, and the next one goes on."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import pytest

from catalog.publish import Publisher
from reprise import grants, rpc, s3
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import IndexServiceStub
from reprise.engines.ports import free_ports
from tests.catalog.indexer.conftest import Site
from tests.catalog.songbook import publication

MESH_KEY = bytes.fromhex("ab" * 32)
# None of them is within two edits of another.
TITLES = ("Apricot", "Bulldozer", "Cinnamon", "Dragonfly", "Eiderdown", "Flamingo", "Gingerbread", "Hovercraft")


@pytest.fixture
def settings(catalog_dsn: str, s3_bucket: s3.Bucket, tmp_path: Path) -> dict[str, str]:
    """The environment of an indexer on the real engines; ports and folder are each one's own."""
    mesh_key_path = tmp_path / "mesh.key"
    mesh_key_path.write_text(MESH_KEY.hex())
    fields = {
        "postgres_dsn": catalog_dsn,
        "s3_endpoint": s3_bucket.endpoint,
        "s3_bucket": s3_bucket.name,
        "s3_credentials_path": str(s3_bucket.credentials_path),
        "mesh_key_path": str(mesh_key_path),
    }
    return {f"REPRISE_INDEXER_{name.upper()}": value for name, value in fields.items()}


@asynccontextmanager
async def indexer(settings: dict[str, str], folder: Path, port: int = 0) -> AsyncIterator[asyncio.subprocess.Process]:
    """An indexer process; killed at the end."""
    own = {"REPRISE_INDEXER_INDEX_DIR": str(folder), "REPRISE_INDEXER_GRPC_ADDRESS": f"127.0.0.1:{port}"}
    command = (sys.executable, "-m", "catalog.indexer")
    process = await asyncio.create_subprocess_exec(
        *command, env=os.environ | settings | own, stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_killed_at_any_moment_nothing_that_was_published_is_missing(
    site: Site, settings: dict[str, str], publisher: Publisher, tmp_path: Path
) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng, titles = random.Random(seed), iter(TITLES)
    async with site.replica() as reader, AsyncExitStack() as stack:
        first = await stack.enter_async_context(indexer(settings, tmp_path / "first"))
        await publisher.publish(publication("Zeppelin"))
        await reader.wait_finds("zeppelin")
        second = await stack.enter_async_context(indexer(settings, tmp_path / "second"))
        for writing in (first, second):
            fatal = rng.randrange(4)
            for number in range(4):
                if number == fatal:
                    await asyncio.sleep(rng.uniform(0, 0.3))
                    writing.kill()
                await publisher.publish(publication(next(titles)))
            if writing is first:
                await stack.enter_async_context(indexer(settings, tmp_path / "third"))
        for title in TITLES:
            await reader.wait_finds(title)
    published = await site.store.current()
    assert published
    assert published.manifest.epoch >= 2, "another one took over"


async def test_operators_rebuild_and_ask_by_their_token_only(
    site: Site, settings: dict[str, str], publisher: Publisher, tmp_path: Path
) -> None:
    await publisher.publish(publication("Cornerstone"))
    (port,) = free_ports(1)
    claims = grants.Claims(
        scope="operator", issuer="operator", audience="mesh", subject="operator", grant_id="g", expires_unix_s=2**40
    )
    token = grants.mint(claims, "operator", grants.derive_key(MESH_KEY, "operator"))
    async with site.replica() as reader, indexer(settings, tmp_path / "index", port):
        await reader.wait_finds("cornerstone")
        async with rpc.channel(f"127.0.0.1:{port}") as channel:
            stub, signed = IndexServiceStub(channel), rpc.bearer_metadata(token)
            before = await stub.GetIndexStatus(pb.GetIndexStatusRequest(), metadata=signed, timeout=10)
            assert before.writing
            assert (before.backend, before.changes_behind) == ("tantivy", 0)
            steps = [p.step async for p in stub.RebuildIndex(pb.RebuildIndexRequest(), metadata=signed, timeout=30)]
            assert steps[-1] == "done"
            after = await stub.GetIndexStatus(pb.GetIndexStatusRequest(), metadata=signed, timeout=10)
            assert after.generation != before.generation
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetIndexStatus(pb.GetIndexStatusRequest(), timeout=10)
            assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert await reader.finds("cornerstone")
