"""What a catalog needs around it: PostgreSQL, Valkey and S3 from their wheels, an indexer and a catalog, in one folder.

The catalog and PostgreSQL share one core, for the bars are meant of one; the client has another, and so have the engines that a
question does not touch.
"""

import asyncio
import secrets
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, Self

from bench.launch import (
    CLIENT_CORE,
    POLL_S,
    READY_S_MAX,
    SERVER_CORE,
    Launcher,
    Missing,
    Server,
    pinned,
    quiet_ports,
    tree,
)
from bench.songs import MESH_KEY
from reprise import s3
from reprise.engines.bucket import create_bucket
from reprise.engines.ports import LOOPBACK
from reprise.engines.postgres import Postgres, create_database
from reprise.engines.process import Process, Spec
from reprise.engines.seaweedfs import PORT_NAMES, Seaweedfs
from reprise.engines.valkey import Valkey

BUCKET = "bench"
REGION = "here"


class Engine(Protocol):
    """What `reprise.engines` classes have in common."""

    @property
    def log_path(self) -> Path: ...
    def prepare(self) -> None: ...
    def spec(self) -> Spec: ...
    def missing(self, pid: int) -> str: ...


class World:
    """The engines, started with the context; services on demand. All end with it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._launcher = Launcher(folder)
        self._engines: list[Process] = []
        ports = quiet_ports(2 + len(PORT_NAMES))
        self._postgres = Postgres(
            directory=folder / "postgres",
            port=ports[0],
            password=secrets.token_hex(8),
            log_path=folder / "postgres.log",
        )
        self._valkey = Valkey(
            directory=folder / "valkey", port=ports[1], password=secrets.token_hex(8), log_path=folder / "valkey.log"
        )
        self._store = Seaweedfs(
            directory=folder / "seaweedfs",
            ports=dict(zip(PORT_NAMES, ports[2:], strict=True)),
            access_key="bench",
            secret_key=secrets.token_hex(8),
            log_path=folder / "seaweedfs.log",
        )
        self.bucket = s3.Bucket(self._store.endpoint, BUCKET, folder / "s3.credentials")
        self.dsn = self._postgres.dsn("catalog")
        self.rival_dsn = self._postgres.dsn("rival")
        self.postgres_pid = 0

    def __enter__(self) -> Self:
        self.postgres_pid = self._start(self._postgres, SERVER_CORE).pid
        self._start(self._valkey, CLIENT_CORE)
        self._start(self._store, CLIENT_CORE)
        (self.folder / "s3.credentials").write_text(f"{self._store.access_key}\n{self._store.secret_key}\n")
        (self.folder / "mesh.key").write_text(MESH_KEY.hex())
        (self.folder / "session.key").write_text(MESH_KEY.hex())
        asyncio.run(self._prepare())
        return self

    def __exit__(self, *ended: object) -> None:
        self._launcher.__exit__(*ended)
        for process in reversed(self._engines):
            process.stop()

    async def _prepare(self) -> None:
        await create_database(self._postgres.dsn("postgres"), "catalog")
        await create_database(self._postgres.dsn("postgres"), "rival")
        await create_bucket(self.bucket)

    def _start(self, engine: Engine, core: int) -> Process:
        engine.prepare()
        spec = engine.spec()
        process = Process(replace(spec, argv=pinned(core, *spec.argv)))
        self._engines.append(process)
        deadline = time.monotonic() + READY_S_MAX
        while missing := engine.missing(process.pid):
            if process.exit_code() is not None or time.monotonic() > deadline:
                raise Missing(f"{spec.name} does not come up: {missing}; see {spec.log_path}")
            time.sleep(POLL_S)
        return process

    def postgres_bytes(self) -> int:
        """What PostgreSQL's processes hold together; pages that several map are divided among them (PSS)."""
        rollups = (Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() for pid in tree(self.postgres_pid))
        return sum(int(line.split()[1]) << 10 for lines in rollups for line in lines if line.startswith("Pss:"))

    def catalog(self) -> Server:
        """A catalog on the core that is measured."""
        settings = {
            "session_key_path": str(self.folder / "session.key"),
            "valkey_url": self._valkey.url,
            "spool_dir": str(self.folder / "spool"),
            "region": REGION,
            "index_dir": str(self.folder / "index-read"),
        }
        return self._service("catalog", "catalog", SERVER_CORE, settings)

    def indexer(self) -> Server:
        """The writer of the search index, on the other core."""
        return self._service(
            "indexer", "catalog.indexer", CLIENT_CORE, {"index_dir": str(self.folder / "index-written")}
        )

    def _service(self, name: str, module: str, core: int, settings: Mapping[str, str]) -> Server:
        grpc_port, http_port = quiet_ports(2)
        values = {
            "grpc_address": f"{LOOPBACK}:{grpc_port}",
            "http_address": f"{LOOPBACK}:{http_port}",
            "postgres_dsn": self.dsn,
            "s3_endpoint": self._store.endpoint,
            "s3_bucket": BUCKET,
            "s3_credentials_path": str(self.folder / "s3.credentials"),
            "mesh_key_path": str(self.folder / "mesh.key"),
            **settings,
        }
        env = {f"REPRISE_{name.upper()}_{key.upper()}": value for key, value in values.items()}
        argv = [sys.executable, "-m", module]
        process = self._launcher.start(name, argv, http_port, ready="/readyz", core=core, env=env)
        return Server(name, process, http_port, grpc_port)
