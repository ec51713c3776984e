"""The servers of a benchmark as processes on loopback: nginx, Varnish, our edge and balancer, and the origin behind them all.

They live in one folder and end with `Servers`. A server is told its core, and what it used is read from /proc, its children
included.
"""

import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from bench.origin import Counts, read_counts
from bench.songs import MESH_KEY, SIGNING_KEY
from reprise import grants
from reprise.engines.ports import LOOPBACK, free_ports
from reprise.engines.probe import http_get
from reprise.engines.process import Process, Spec, outcome

READY_S_MAX = 30.0
POLL_S = 0.02
REGION = "here"
_TICKS = os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))
# One core for what is measured, another for what measures; all that is behind them takes what is free.
SERVER_CORE, CLIENT_CORE = _CORES[0], _CORES[-1]
ROOT = Path(__file__).parents[1]

NGINX = """
daemon off;
{user}
worker_processes 1;
worker_rlimit_nofile 20000;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 8192; }}
http {{
  access_log {folder}/access.log;
  sendfile on;
  # On, it holds the last packet of a range back until a delayed ACK: 40 ms a request, and no fair rival.
  tcp_nopush off;
  keepalive_requests 100000000;
  open_file_cache max=1000 inactive=600s;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
  proxy_cache_path {folder}/cache keys_zone=songs:16m max_size=4g inactive=1d;
  upstream origin {{ {origins} }}
  server {{
    listen {host}:{port} backlog=4096;
    location /healthz {{ return 200 ok; }}
    location / {{
      proxy_pass http://origin;
      proxy_cache songs;
      proxy_cache_lock on;
      proxy_cache_valid 200 1d;
    }}
  }}
}}
"""

VARNISH = """
vcl 4.1;
{backends}
sub vcl_recv {{
  if (req.url == "/healthz") {{ return (synth(200)); }}
  return (hash);
}}
sub vcl_backend_fetch {{
  if (bereq.retries > 0) {{ set bereq.backend = {last}; }}
}}
sub vcl_backend_error {{
  if (bereq.retries == 0) {{ return (retry); }}
}}
"""


class Missing(Exception):
    """A program that a benchmark needs is not installed; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server. `grpc_port` is 0 where there is none."""

    name: str
    process: Process
    http_port: int
    grpc_port: int = 0

    @property
    def pids(self) -> list[int]:
        return _tree(self.process.pid)

    def cpu_s(self) -> float:
        """User and system seconds of the process and its children so far."""
        return sum(sum(map(int, _stat(pid)[11:13])) for pid in self.pids) / _TICKS

    def rss_bytes(self) -> int:
        return sum(int(_stat(pid)[21]) for pid in self.pids) * os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Origin:
    """A running origin."""

    grpc_address: str
    http_address: str
    counts_path: Path

    def counts(self) -> Counts:
        return read_counts(self.counts_path)


def installed(program: str) -> bool:
    return shutil.which(program) is not None


def need(program: str, package: str) -> None:
    """Raises Missing."""
    if not installed(program):
        raise Missing(f"{program} is not installed: sudo apt install {package}")


def pinned(core: int, *argv: str) -> tuple[str, ...]:
    """`argv` on one core."""
    return ("taskset", "-c", str(core), *argv)


class Servers:
    """Starts servers and ends them all with its context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        (folder / "manifest.pub").write_text(SIGNING_KEY.public_key().public_bytes_raw().hex())
        (folder / "mesh.key").write_text(MESH_KEY.hex())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def origin(
        self,
        songs: int,
        song_bytes: int,
        *,
        name: str = "origin",
        first_byte_s: float = 0,
        rate_bps: float = 0,
        die_at: int = 0,
        ports: Sequence[int] = (),
    ) -> Origin:
        """An origin that has the songs of `bench.songs.make_songs`."""
        grpc_port, http_port = ports or free_ports(2)
        counts_path = self._folder / f"{name}.counts"
        numbers = {"grpc-port": grpc_port, "http-port": http_port, "songs": songs, "song-bytes": song_bytes}
        numbers |= {"die-at": die_at}
        argv = [sys.executable, "-m", "bench.origin", "--counts", str(counts_path)]
        argv += [f"--{option}={value}" for option, value in numbers.items()]
        argv += [f"--first-byte-s={first_byte_s}", f"--rate-bps={rate_bps}"]
        self._start(name, tuple(argv), http_port, "/")
        return Origin(f"{LOOPBACK}:{grpc_port}", f"{LOOPBACK}:{http_port}", counts_path)

    def nginx(self, origins: Sequence[Origin], *, name: str = "nginx", core: int | None = None) -> Server:
        """One worker, its cache on disk and so in the page cache; it turns to the second origin when the first fails."""
        need("nginx", "nginx-light")
        folder, (port,) = self._home(name), free_ports(1)
        upstreams = [f"server {origin.http_address}{' backup' if n else ''};" for n, origin in enumerate(origins)]
        user = "user root;" if os.geteuid() == 0 else ""
        config = NGINX.format(user=user, folder=folder, host=LOOPBACK, port=port, origins=" ".join(upstreams))
        (folder / "nginx.conf").write_text(config)
        argv = ("nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"))
        return Server(name, self._start(name, _on(core, argv), port, "/healthz"), port)

    def varnish(self, origins: Sequence[Origin], *, core: int | None = None) -> Server:
        """Storage is malloc; a failed fetch is tried once more, at the last origin."""
        need("varnishd", "varnish")
        folder, (port,) = self._home("varnish"), free_ports(1)
        backends = [
            f'backend b{n} {{ .host = "{LOOPBACK}"; .port = "{origin.http_address.rpartition(":")[2]}"; }}'
            for n, origin in enumerate(origins)
        ]
        (folder / "songs.vcl").write_text(VARNISH.format(backends="\n".join(backends), last=f"b{len(origins) - 1}"))
        argv = ["varnishd", "-F", "-j", "none", "-n", str(folder), "-a", f"{LOOPBACK}:{port}", "-T", "none"]
        argv += ["-f", str(folder / "songs.vcl"), "-s", "malloc,1g"]
        return Server("varnish", self._start("varnish", _on(core, argv), port, "/healthz"), port)

    def balancer(self) -> Server:
        """Tells edges of each other. Nobody asks it for a route, so there is no catalog."""
        grpc_port, http_port, catalog_port = free_ports(3)
        settings = {
            "balancer_id": "balancer-1",
            "catalog_address": f"{LOOPBACK}:{catalog_port}",
            "mesh_key_path": self._folder / "mesh.key",
            "default_region": REGION,
        }
        process = self._start_ours("balancer", "balancer", settings, grpc_port, http_port, None, "/healthz")
        return Server("balancer", process, http_port, grpc_port)

    def wait_reported(self, balancer: Server, edges: int) -> None:
        """Returns when the balancer has heard of this many edges. Raises Missing."""
        deadline = time.monotonic() + READY_S_MAX
        while _metric(balancer.http_port, 'reprise_balancer_edges{state="ready"}') < edges:
            if time.monotonic() > deadline:
                raise Missing(f"the balancer did not hear of {edges} edges within {READY_S_MAX:.0f} s")
            time.sleep(POLL_S)

    def edge(
        self,
        origins: Sequence[Origin],
        *,
        edge_id: str = "reprise",
        balancer: Server | None = None,
        core: int | None = None,
        **settings: object,
    ) -> Server:
        """A real edge process with its RAM and disk tiers."""
        folder = self._home(edge_id)
        (folder / "edge.key").write_text(grants.derive_key(MESH_KEY, edge_id).hex())
        grpc_port, http_port = free_ports(2)
        values: dict[str, object] = {
            "edge_id": edge_id,
            "region": REGION,
            "edge_key_path": folder / "edge.key",
            "manifest_keys_path": self._folder / "manifest.pub",
            "cache_dir": folder / "cache",
            "origins": ",".join(origin.grpc_address for origin in origins),
            "balancers": f"{LOOPBACK}:{balancer.grpc_port}" if balancer else "",
        }
        process = self._start_ours(edge_id, "edge_node", values | settings, grpc_port, http_port, core, "/readyz")
        return Server(edge_id, process, http_port, grpc_port)

    def bare(self, argv: Sequence[str], port: int, *, core: int | None = None) -> Server:
        """The bare grpc.aio server."""
        process = self._start("bare", _on(core, (sys.executable, "-m", *argv, f"--port={port}")), port, "")
        return Server("bare", process, 0, port)

    def _start_ours(
        self,
        name: str,
        module: str,
        settings: Mapping[str, object],
        grpc_port: int,
        http_port: int,
        core: int | None,
        ready: str,
    ) -> Process:
        addresses = {"grpc_address": f"{LOOPBACK}:{grpc_port}", "http_address": f"{LOOPBACK}:{http_port}"}
        values = {**settings, **addresses}
        env = {f"REPRISE_{module}_{field}".upper(): str(value) for field, value in values.items()}
        return self._start(name, _on(core, (sys.executable, "-m", module)), http_port, ready, env)

    def _start(
        self, name: str, argv: tuple[str, ...], port: int, ready: str, env: Mapping[str, str] | None = None
    ) -> Process:
        log_path = self._folder / f"{name}.log"
        env = {"PYTHONPATH": str(ROOT), **(env or {})}
        process = Process(Spec(name=name, argv=argv, cwd=self._folder, log_path=log_path, env=env))
        self._stack.callback(process.stop)
        deadline = time.monotonic() + READY_S_MAX
        while not _answers(port, ready):
            code = process.exit_code()
            if code is not None or time.monotonic() > deadline:
                said = "\n".join(log_path.read_text(errors="replace").splitlines()[-10:])
                state = f"not ready after {READY_S_MAX:.0f} s" if code is None else f"ended with {outcome(code)}"
                raise Missing(f"{name} does not come up: {state}\n{said}")
            time.sleep(POLL_S)
        return process

    def _home(self, name: str) -> Path:
        folder = self._folder / name
        folder.mkdir()
        return folder


def _answers(port: int, path: str) -> bool:
    """Whether a server takes connections, and where a `path` is given, says there that it takes work."""
    if path:
        answer = http_get(LOOPBACK, port, path)
        return answer is not None and answer.status != 503
    try:
        socket.create_connection((LOOPBACK, port), 1).close()
    except OSError:
        return False
    return True


def _metric(port: int, name: str) -> float:
    """A figure of a service's metrics page, 0 where it is not."""
    answer = http_get(LOOPBACK, port, "/metrics")
    lines = answer.body.decode().splitlines() if answer else []
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)


def _on(core: int | None, argv: Sequence[str]) -> tuple[str, ...]:
    return tuple(argv) if core is None else pinned(core, *argv)


def _tree(pid: int) -> list[int]:
    """`pid` and all that it started, the dead left out."""
    try:
        children = [
            int(c) for task in Path(f"/proc/{pid}/task").iterdir() for c in (task / "children").read_text().split()
        ]
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in _tree(child))]


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the third on: the second may contain anything."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
