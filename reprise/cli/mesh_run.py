"""A whole mesh in one supervisor: engines, services, music; from nothing to ready, and down again in order."""

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from reprise import s3
from reprise.cli import demo_music, index, keys, mesh_file, plan
from reprise.cli.folder import Folder, write_whole
from reprise.cli.narrator import Narrator
from reprise.cli.plan import Backends, Shape
from reprise.cli.songs_import import Tally, events
from reprise.cli.supervisor import Supervisor
from reprise.cli.unit import ServiceUnit, Unit
from reprise.engines import ports
from reprise.engines.bucket import create_bucket
from reprise.engines.postgres import Postgres, create_database
from reprise.engines.seaweedfs import PORT_NAMES, Seaweedfs
from reprise.engines.valkey import Valkey
from reprise.errors import Unavailable


@dataclass(frozen=True, kw_only=True)
class Engines:
    """The three engines of one mesh."""

    postgres: Postgres
    valkey: Valkey
    seaweedfs: Seaweedfs

    def units(self) -> list[Unit]:
        return [self.postgres, self.valkey, self.seaweedfs]

    def backends(self) -> Backends:
        return Backends(self.postgres.dsn(plan.DATABASE), self.valkey.url, self.seaweedfs.endpoint)

    async def prepare(self, s3_credentials_path: Path) -> None:
        """Makes what services expect to find: a database and a bucket."""
        await create_database(self.postgres.dsn("postgres"), plan.DATABASE)
        await create_bucket(s3.Bucket(self.seaweedfs.endpoint, plan.BUCKET, s3_credentials_path))


@dataclass(kw_only=True)
class MeshRun:
    """The mesh of one folder, while its supervisor runs."""

    folder: Folder
    shape: Shape
    narrator: Narrator
    port_base: int = 0
    s3_audit_port: int = 0
    _services: tuple[plan.Service, ...] = ()
    _backends: Backends | None = None
    _supervisor: Supervisor = field(init=False)

    def __post_init__(self) -> None:
        self._supervisor = Supervisor(
            say=self.narrator.say,
            on_start=self._write_mesh_file,
            stays_down=lambda name: (self.folder.drained / name).exists(),
        )

    async def start(self) -> None:
        """Brings everything up; returns when all is ready."""
        keys.create(self.folder, self.shape.edge_names)
        for name in self.shape.edge_names:
            (self.folder.drained / name).unlink(missing_ok=True)
        assigned = ports.assign(self.shape.port_names(), ports.load(self.folder.ports), self.port_base)
        write_whole(self.folder.ports, json.dumps(assigned, indent=2) + "\n")
        engines = self._engines(assigned)
        self._backends = engines.backends()
        self._services = plan.services(self.shape, self.folder, assigned, self._backends)
        services = [ServiceUnit(service, self.folder) for service in self._services]
        if self.folder.prepared.exists():
            # Services wait for their engines by themselves; loading them meanwhile saves seconds.
            await self._supervisor.start([*engines.units(), *services])
        else:
            await self._supervisor.start(engines.units())
            await engines.prepare(self.folder.secret(keys.S3_CREDENTIALS))
            self.folder.prepared.touch()
            await self._supervisor.start(services)
        self._write_mesh_file(complete=True)

    async def import_music(self, given: Path | None) -> Tally:
        """Imports the given folder, or once the demo music. Files that fail are named; they stop nothing."""
        if given is None and self.folder.demo_imported.exists():
            return Tally()
        source = given or self.folder.music
        if given is None:
            await demo_music.ensure(source, self.folder.log("demo-music"), self.narrator.say)
        tally = await self._import([source])
        if tally.titles:
            write_whole(self.folder.example, tally.titles[0])
        if given is None and not tally.failed:
            self.folder.demo_imported.touch()
        return tally

    async def stop(self) -> None:
        """Ends everything, in the reverse order of its start."""
        self.folder.mesh_file.unlink(missing_ok=True)
        self._services = ()
        await self._supervisor.stop(tuple(reversed(self.shape.stages())))

    def kill(self) -> None:
        """Ends everything at once."""
        self._supervisor.kill()

    def _engines(self, assigned: dict[str, int]) -> "Engines":
        folder, log = self.folder, self.folder.log
        access_key, secret_key = keys.read(folder, keys.S3_CREDENTIALS).split()
        return Engines(
            postgres=Postgres(
                directory=folder.state("postgres"),
                port=assigned["postgres"],
                password=keys.read(folder, keys.POSTGRES_PASSWORD),
                log_path=log("postgres"),
            ),
            valkey=Valkey(
                directory=folder.state("valkey"),
                port=assigned["valkey"],
                password=keys.read(folder, keys.VALKEY_PASSWORD),
                log_path=log("valkey"),
            ),
            seaweedfs=Seaweedfs(
                directory=folder.state("seaweedfs"),
                ports={name: assigned[f"seaweedfs.{name}"] for name in PORT_NAMES},
                access_key=access_key,
                secret_key=secret_key,
                log_path=log("seaweedfs"),
                audit_port=self.s3_audit_port,
            ),
        )

    async def _import(self, paths: Sequence[Path]) -> Tally:
        assert self._backends is not None
        catalog = self._services[0]
        environment = plan.ingest_environment(self.folder, catalog.grpc, self._backends.s3_endpoint)
        tally = Tally()
        told = events(paths, environment, self.folder.log("import"))
        with self.narrator.progress("importing music") as bar:
            async with contextlib.aclosing(told):
                async for event in told:
                    tally.add(event)
                    if event["event"] == "start":
                        bar.total(event["total"])
                    elif event["event"] == "file":
                        bar.advance()
                        if event["outcome"] == "failed":
                            self.narrator.say(f"not imported: {event['path']}: {event['reason']}")
        await index.wait_found(self.folder)
        if tally.error:
            raise Unavailable(f"the import stopped early: {tally.error}")
        self.narrator.say(f"music: {tally.text}")
        return tally

    def _write_mesh_file(self, *, complete: bool = False) -> None:
        # Until all is ready there is no file, so that nobody takes half a mesh for a whole one.
        if complete or self.folder.mesh_file.exists():
            assert self._backends is not None
            mesh_file.write(self.folder, self._services, self._supervisor.pids(), self._backends)
