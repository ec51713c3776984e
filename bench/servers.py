"""The servers of a benchmark on loopback: our edge and balancer, the origin behind them all, and the others' servers.

They live in one folder and end with `Servers`. None is told of a certificate but the one of the run.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

from bench import envoy, rivals
from bench.certificate import Certificate, make_certificate
from bench.launch import POLL_S, READY_S_MAX, Launcher, Missing, Server, quiet_ports
from bench.origin import Counts, read_counts
from bench.songs import MESH_KEY, SIGNING_KEY
from reprise import grants
from reprise.engines.ports import LOOPBACK
from reprise.engines.probe import http_get
from reprise.engines.process import Process

REGION = "here"


@dataclass(frozen=True, slots=True)
class Origin:
    """A running origin."""

    grpc_address: str
    http_address: str
    counts_path: Path

    def counts(self) -> Counts:
        return read_counts(self.counts_path)


class Servers:
    """Starts servers and ends them all with its context."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._launcher = Launcher(folder)
        (folder / "manifest.pub").write_text(SIGNING_KEY.public_key().public_bytes_raw().hex())
        (folder / "mesh.key").write_text(MESH_KEY.hex())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ended: object) -> None:
        self._launcher.__exit__(*ended)

    @cached_property
    def _certificate(self) -> Certificate:
        return make_certificate(self._folder)

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
        grpc_port, http_port = ports or quiet_ports(2)
        counts_path = self._folder / f"{name}.counts"
        numbers = {"grpc-port": grpc_port, "http-port": http_port, "songs": songs, "song-bytes": song_bytes}
        numbers |= {"die-at": die_at}
        argv = [sys.executable, "-m", "bench.origin", "--counts", str(counts_path)]
        argv += [f"--{option}={value}" for option, value in numbers.items()]
        argv += [f"--first-byte-s={first_byte_s}", f"--rate-bps={rate_bps}"]
        self._launcher.start(name, argv, http_port, ready="/")
        return Origin(f"{LOOPBACK}:{grpc_port}", f"{LOOPBACK}:{http_port}", counts_path)

    def nginx(
        self, origins: Sequence[Origin], *, name: str = "nginx", core: int | None = None, tls: bool = False
    ) -> Server:
        addresses = [origin.http_address for origin in origins]
        certificate = self._certificate if tls else None
        return rivals.start_nginx(self._launcher, addresses, name=name, core=core, certificate=certificate)

    def varnish(self, origins: Sequence[Origin], *, core: int | None = None) -> Server:
        return rivals.start_varnish(self._launcher, [origin.http_address for origin in origins], core=core)

    def envoy(self, program: str, bare: Server, *, core: int | None = None, tls: bool = False) -> Server:
        name, certificate = ("envoy-tls", self._certificate) if tls else ("envoy", None)
        return envoy.start_envoy(self._launcher, program, bare, name=name, core=core, certificate=certificate)

    def balancer(self) -> Server:
        """Tells edges of each other. Nobody asks it for a route, so there is no catalog."""
        grpc_port, http_port, catalog_port = quiet_ports(3)
        return self._balancer(grpc_port, http_port, catalog_port)

    def routed_balancer(self, edges: int, *, core: int, world_core: int) -> Server:
        """A balancer with a catalog that knows every song and so many edges that report, all of them in one other process."""
        grpc_port, http_port, catalog_port = quiet_ports(3)
        argv = [sys.executable, "-m", "bench.routed_world", f"--port={catalog_port}", f"--edges={edges}"]
        argv.append(f"--balancer={LOOPBACK}:{grpc_port}")
        self._launcher.start("world", argv, catalog_port, core=world_core)
        return self._balancer(grpc_port, http_port, catalog_port, core)

    def _balancer(self, grpc_port: int, http_port: int, catalog_port: int, core: int | None = None) -> Server:
        settings = {
            "balancer_id": "balancer-1",
            "catalog_address": f"{LOOPBACK}:{catalog_port}",
            "mesh_key_path": self._folder / "mesh.key",
            "default_region": REGION,
        }
        process = self._start_ours("balancer", "balancer", settings, grpc_port, http_port, "/healthz", core)
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
        tls: bool = False,
        paced: bool = False,
        **settings: object,
    ) -> Server:
        """A real edge process with its RAM and disk tiers and an access log. What it is compared with paces nothing either."""
        folder = self._launcher.home(edge_id)
        (folder / "edge.key").write_text(grants.derive_key(MESH_KEY, edge_id).hex())
        grpc_port, http_port = quiet_ports(2)
        values: dict[str, object] = {
            "edge_id": edge_id,
            "region": REGION,
            "edge_key_path": folder / "edge.key",
            "manifest_keys_path": self._folder / "manifest.pub",
            "cache_dir": folder / "cache",
            "access_log_path": folder / "access.log",
            "origins": ",".join(origin.grpc_address for origin in origins),
            "balancers": f"{LOOPBACK}:{balancer.grpc_port}" if balancer else "",
        }
        if not paced:
            values["pacing_factor"] = 0
        shown = self._certificate if tls else None
        if shown:
            values |= {"tls_certificate_path": shown.certificate_path, "tls_key_path": shown.key_path}
        process = self._start_ours(edge_id, "edge_node", values | settings, grpc_port, http_port, "/readyz", core, tls)
        return Server(edge_id, process, http_port, grpc_port, shown, wants_grant=True)

    def bare(
        self, songs: int, song_bytes: int, *, name: str = "bare", core: int | None = None, tls: bool = False
    ) -> Server:
        """The bare grpc.aio server, with grpc's own defaults: not with those that `reprise` sets for its processes."""
        (port,) = quiet_ports(1)
        argv = [sys.executable, "-m", "bench.bare_grpc", f"--songs={songs}", f"--song-bytes={song_bytes}"]
        argv.append(f"--port={port}")
        shown = self._certificate if tls else None
        if shown:
            argv += ["--tls", str(shown.certificate_path), str(shown.key_path)]
        process = self._launcher.start(name, argv, port, core=core, env={"GRPC_EXPERIMENTS": ""})
        return Server(name, process, 0, port, shown)

    def _start_ours(
        self,
        name: str,
        module: str,
        settings: Mapping[str, object],
        grpc_port: int,
        http_port: int,
        ready: str,
        core: int | None = None,
        tls: bool = False,
    ) -> Process:
        addresses = {"grpc_address": f"{LOOPBACK}:{grpc_port}", "http_address": f"{LOOPBACK}:{http_port}"}
        values = {**settings, **addresses}
        env = {f"REPRISE_{module}_{field}".upper(): str(value) for field, value in values.items()}
        argv = (sys.executable, "-m", module)
        return self._launcher.start(name, argv, http_port, ready=ready, tls=tls, core=core, env=env)


def _metric(port: int, name: str) -> float:
    """A figure of a service's metrics page, 0 where it is not."""
    answer = http_get(LOOPBACK, port, "/metrics")
    lines = answer.body.decode().splitlines() if answer else []
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)
