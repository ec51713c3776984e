"""Real engines for every test that asks: started once per run, on free loopback ports, gone with the run.

Nothing starts until a fixture is asked for. Each module gets its own database and each test its own bucket, so tests never
see each other's rows and objects.
"""

import asyncio
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from reprise import s3
from reprise.engines.bucket import create_bucket
from reprise.engines.ports import free_ports
from reprise.engines.postgres import Postgres, create_database
from reprise.engines.seaweedfs import PORT_NAMES, Seaweedfs
from reprise.engines.valkey import Valkey
from tests.support.engine import running
from tests.support.s3_access import S3Access

# Children of the tests start threads and gRPC; forks of this process must not meet gRPC's own fork handlers.
os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.fixture(scope="session")
def engine_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run's engines live."""
    return tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="session")
def postgres(engine_folder: Path) -> Iterator[Postgres]:
    """A running PostgreSQL server."""
    (port,) = free_ports(1)
    log_path = engine_folder / "postgres.log"
    folder = engine_folder / "postgres"
    server = Postgres(directory=folder, port=port, password=secrets.token_hex(16), log_path=log_path, durable=False)
    with running(server):
        yield server


@pytest.fixture(scope="session")
def postgres_dsn(postgres: Postgres) -> str:
    """The server's maintenance database; tests take `database_dsn`."""
    return postgres.dsn("postgres")


@pytest.fixture(scope="module")
def database_dsn(postgres: Postgres) -> str:
    """A fresh, empty database for this test module."""
    name = f"test_{secrets.token_hex(6)}"
    asyncio.run(create_database(postgres.dsn("postgres"), name))
    return postgres.dsn(name)


@pytest.fixture(scope="session")
def valkey_url(engine_folder: Path) -> Iterator[str]:
    """A running Valkey server."""
    (port,) = free_ports(1)
    log_path = engine_folder / "valkey.log"
    server = Valkey(directory=engine_folder / "valkey", port=port, password=secrets.token_hex(16), log_path=log_path)
    with running(server):
        yield server.url


@pytest.fixture(scope="session")
def s3_access() -> Iterator[S3Access]:
    """What the S3 server itself recorded about every access of this run."""
    with S3Access.listening() as access:
        yield access


@pytest.fixture(scope="session")
def seaweedfs(engine_folder: Path, s3_access: S3Access) -> Iterator[Seaweedfs]:
    """A running SeaweedFS with S3."""
    server = Seaweedfs(
        directory=engine_folder / "seaweedfs",
        ports=dict(zip(PORT_NAMES, free_ports(len(PORT_NAMES)), strict=True)),
        access_key="test",
        secret_key=secrets.token_hex(16),
        log_path=engine_folder / "seaweedfs.log",
        audit_port=s3_access.port,
    )
    with running(server):
        yield server


@pytest.fixture
def s3_bucket(seaweedfs: Seaweedfs, tmp_path: Path) -> Iterator[s3.Bucket]:
    """A fresh, empty bucket for this test."""
    credentials_path = tmp_path / "s3.credentials"
    credentials_path.write_text(f"{seaweedfs.access_key}\n{seaweedfs.secret_key}\n")
    bucket = s3.Bucket(seaweedfs.endpoint, f"test-{secrets.token_hex(6)}", credentials_path)
    asyncio.run(create_bucket(bucket))
    yield bucket
    # Each bucket has volumes of its own, and the server has only so many for a whole run.
    asyncio.run(_delete_bucket(bucket))


async def _delete_bucket(bucket: s3.Bucket) -> None:
    async with s3.client(bucket, connections_max=1) as client:
        await client.delete_bucket(Bucket=bucket.name)
