"""Two catalogs, PostgreSQL with a standby that confirms every commit, and Valkey: processes that are killed and come back.

What an operator does after a death is done here: promote, rebuild the old primary as a standby, start a process again.
"""

import secrets
import sys
import urllib.request
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg

from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2_grpc as pb_grpc
from reprise.engines.ports import free_ports
from reprise.engines.postgres import create_database, promote
from reprise.engines.process import Process, Spec
from reprise.engines.valkey import Valkey
from tests.support.engine import running
from tests.support.mesh import Metrics, parse_metrics
from tests.support.replication import Replicated, replicated
from tests.support.wait import eventually, wait_until

if TYPE_CHECKING:
    from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub

NAME = "catalog"
READY_S_MAX = 60.0
# A standby has everything, and shows it later than a read waits: without its token a listener would not see its own save.
SHOWS_LATE = "recovery_min_apply_delay=150ms"


@dataclass
class Catalog:
    """A catalog's process, on ports and a spool of its own."""

    spec: Spec
    grpc: str
    http: str
    process: Process

    def metrics(self) -> Metrics:
        """What it counts now; empty while it is away."""
        try:
            with urllib.request.urlopen(f"{self.http}/metrics", timeout=5) as answer:
                return parse_metrics(answer.read().decode())
        except OSError:
            return Metrics([])

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.http}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.stop()

    def restart(self) -> None:
        self.process = Process(self.spec)


class World:
    """All of it, running."""

    def __init__(self, folder: Path, servers: list[Replicated], valkey: Valkey, stack: ExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.primary, self.standby = servers
        self._valkey = valkey
        self._valkey_process = stack.enter_context(running(valkey))
        self.catalogs: list[Catalog] = []
        self.stubs: Sequence[CatalogServiceAsyncStub] = ()

    @property
    def dsn(self) -> str:
        return self.primary.dsn(NAME)

    async def confirm_commits(self) -> None:
        """As docs/operations.md tells operators to: a commit waits for the standby's disk."""
        for statement in (
            f"ALTER SYSTEM SET synchronous_standby_names = '{self.standby.server.name}'",
            "SELECT pg_reload_conf()",
        ):
            await self._tell(self.primary, statement)
        in_sync = "SELECT count(*) > 0 FROM pg_stat_replication WHERE sync_state = 'sync'"
        await eventually(lambda: self._tell(self.primary, in_sync), "the standby confirms commits", READY_S_MAX)

    def start_catalogs(self) -> None:
        self._stack.callback(self._stop_catalogs)
        for number in (1, 2):
            spec, grpc_port, http_port = self._catalog_spec(number)
            process = Process(spec)
            self.catalogs.append(Catalog(spec, f"127.0.0.1:{grpc_port}", f"http://127.0.0.1:{http_port}", process))

    def _stop_catalogs(self) -> None:
        for one in self.catalogs:
            one.process.stop()

    def restart_valkey(self) -> None:
        """Kills it, and starts it again with nothing in it."""
        self._valkey_process.kill()
        self._valkey_process.stop()
        (self._valkey.directory / "dump.rdb").unlink(missing_ok=True)
        self._valkey_process = self._stack.enter_context(running(self._valkey))

    async def promote(self) -> None:
        """The standby takes the place of a primary that is gone, and waits for nobody who is not there."""
        await promote(self.standby.dsn("postgres"))
        self.primary, self.standby = self.standby, self.primary

    async def rebuild(self) -> None:
        """The old primary becomes the standby of the new one."""
        self.standby.follow(self.primary)
        await self.confirm_commits()

    async def _tell(self, server: Replicated, statement: str) -> bool:
        connection = await asyncpg.connect(server.dsn("postgres"))
        try:
            return bool(await connection.fetchval(statement))
        finally:
            await connection.close()

    def _catalog_spec(self, number: int) -> tuple[Spec, int, int]:
        name = f"catalog-{number}"
        grpc_port, http_port = free_ports(2)
        keys = {which: self._folder / f"{which}.key" for which in ("mesh", "session")}
        for path in keys.values():
            path.write_text("ab" * 32 + "\n")
        fields = {
            "postgres_dsn": self.primary.dsn(NAME),
            "postgres_replicas": f"far={self.primary.dsn(NAME)},near={self.standby.dsn(NAME)}",
            "region": "near",
            "valkey_url": self._valkey.url,
            "spool_dir": self._folder / f"{name}-spool",
            "s3_endpoint": "http://127.0.0.1:1",
            "s3_bucket": "none",
            "s3_credentials_path": self._credentials(),
            "mesh_key_path": keys["mesh"],
            "session_key_path": keys["session"],
            "grpc_address": f"127.0.0.1:{grpc_port}",
            "http_address": f"127.0.0.1:{http_port}",
            "database_wait_s": "30",
        }
        env = {f"REPRISE_CATALOG_{field.upper()}": str(value) for field, value in fields.items()}
        argv = (sys.executable, "-m", "catalog")
        spec = Spec(name=name, argv=argv, cwd=Path.cwd(), log_path=self._folder / f"{name}.log", env=env)
        return spec, grpc_port, http_port

    def _credentials(self) -> Path:
        path = self._folder / "s3.credentials"
        path.write_text("nobody\nnothing\n")
        return path


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """A world whose catalogs are not started yet: whoever asks for it fills the database first."""
    with ExitStack() as stack:
        servers = stack.enter_context(replicated(folder, SHOWS_LATE))
        (port,) = free_ports(1)
        log_path = folder / "valkey.log"
        valkey = Valkey(directory=folder / "valkey", port=port, password=secrets.token_hex(16), log_path=log_path)
        one = World(folder, servers, valkey, stack)
        await create_database(one.primary.dsn("postgres"), NAME)
        await one.confirm_commits()
        yield one


@asynccontextmanager
async def started(one: World) -> AsyncIterator[World]:
    """Its catalogs are up, and `stubs` lead to them."""
    one.start_catalogs()
    async with AsyncExitStack() as channels:
        opened = [await channels.enter_async_context(rpc.channel(catalog.grpc)) for catalog in one.catalogs]
        one.stubs = [pb_grpc.CatalogServiceStub(channel) for channel in opened]  # of an aio channel: an async stub
        await ready(one.catalogs)
        yield one


async def ready(catalogs: Sequence[Catalog]) -> None:
    await wait_until(lambda: all(one.is_ready() for one in catalogs), "catalogs are ready", READY_S_MAX)
