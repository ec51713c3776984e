"""What a mesh on one machine consists of: which services, in which order, told what. Pure.

Stopping goes through `Shape.stages` backwards, so that nothing loses what it stands on while it has work to finish.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from reprise.cli import keys
from reprise.cli.folder import Folder
from reprise.engines.ports import LOOPBACK
from reprise.engines.seaweedfs import PORT_NAMES
from reprise.errors import InvalidRequest

COUNT_MAX = 64
NIC_BPS_MIN, NIC_BPS_MAX = 1_000_000, 10**12
PACING_MAX = 1000
BUCKET = "reprise"
DATABASE = "reprise"
# A laptop's share: enough to see both tiers at work, small enough to forget about.
EDGE_RAM_BYTES = 256 << 20
EDGE_DISK_BYTES = 2 << 30
EDGE_STREAMS = 2_000
DRAIN_DEADLINE_S = 3
_REGION = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


@dataclass(frozen=True, slots=True)
class Shape:
    """How many of each, and where. Checked when made."""

    edges: int = 3
    regions: tuple[str, ...] = ("north", "south")
    origins: int = 1
    balancers: int = 1
    # Of each edge. Nobody shares a loopback: `reprise play` may take a song as fast as it comes.
    nic_bps: int = 1_000_000_000
    pacing: float = 0.0

    def __post_init__(self) -> None:
        for what, count in (("edges", self.edges), ("origins", self.origins), ("balancers", self.balancers)):
            if not 1 <= count <= COUNT_MAX:
                raise InvalidRequest(f"--{what} {count} is out of range: use 1 to {COUNT_MAX}")
        if not self.regions or len(set(self.regions)) < len(self.regions):
            raise InvalidRequest(f"--regions needs different names, comma-separated, not {','.join(self.regions)!r}")
        for region in self.regions:
            if not _REGION.match(region):
                raise InvalidRequest(f"region {region!r} is malformed: use 1 to 64 of A-Z a-z 0-9 _ -")
        if not NIC_BPS_MIN <= self.nic_bps <= NIC_BPS_MAX:
            raise InvalidRequest(f"--nic-bps {self.nic_bps} is out of range: use {NIC_BPS_MIN} to {NIC_BPS_MAX}")
        if self.pacing != 0 and not 1 <= self.pacing <= PACING_MAX:
            raise InvalidRequest(f"--pacing {self.pacing:g} is out of range: use 0, which is off, or 1 to {PACING_MAX}")

    @property
    def balancer_names(self) -> tuple[str, ...]:
        return _numbered("balancer", self.balancers)

    @property
    def origin_names(self) -> tuple[str, ...]:
        return _numbered("origin", self.origins)

    @property
    def edge_names(self) -> tuple[str, ...]:
        return tuple(f"edge-{number}" for number in range(1, self.edges + 1))

    def region_of(self, edge_name: str) -> str:
        """Regions take turns."""
        return self.regions[self.edge_names.index(edge_name) % len(self.regions)]

    def stages(self) -> tuple[tuple[str, ...], ...]:
        """The services in layers; each stands on the ones before."""
        return (("catalog", "indexer", *self.origin_names), self.balancer_names, self.edge_names)

    def port_names(self) -> tuple[str, ...]:
        """Everything that needs a port, services first: these are the ones people type."""
        services = [f"{name}.{door}" for stage in self.stages() for name in stage for door in ("http", "grpc")]
        return (*services, "postgres", "valkey", *(f"seaweedfs.{name}" for name in PORT_NAMES))


@dataclass(frozen=True, slots=True)
class Service:
    """One process of ours: `python -m <module>` with these settings."""

    name: str
    module: str
    grpc_port: int
    http_port: int
    env: Mapping[str, str]
    region: str = ""

    @property
    def grpc(self) -> str:
        return f"{LOOPBACK}:{self.grpc_port}"

    @property
    def http(self) -> str:
        return f"http://{LOOPBACK}:{self.http_port}"


@dataclass(frozen=True, slots=True)
class Backends:
    """Where the engines are."""

    postgres_dsn: str
    valkey_url: str
    s3_endpoint: str


def services(shape: Shape, folder: Folder, ports: Mapping[str, int], backends: Backends) -> tuple[Service, ...]:
    """Every service of the mesh, in the order of starting."""
    s3 = {
        "s3_endpoint": backends.s3_endpoint,
        "s3_bucket": BUCKET,
        "s3_credentials_path": str(folder.secret(keys.S3_CREDENTIALS)),
    }
    mesh_key = {"mesh_key_path": str(folder.secret(keys.MESH_KEY))}
    database = {"postgres_dsn": backends.postgres_dsn}

    def index_dir(name: str) -> dict[str, str]:
        return {"index_dir": str(folder.state(f"{name}-index"))}

    def address(name: str) -> str:
        return f"{LOOPBACK}:{ports[name + '.grpc']}"

    def service(name: str, module: str, settings: Mapping[str, str], region: str = "") -> Service:
        grpc_port, http_port = ports[f"{name}.grpc"], ports[f"{name}.http"]
        fixed = {
            "grpc_address": f"{LOOPBACK}:{grpc_port}",
            "http_address": f"{LOOPBACK}:{http_port}",
            "drain_deadline_s": str(DRAIN_DEADLINE_S),
        }
        return Service(name, module, grpc_port, http_port, _environment(module, {**fixed, **settings}), region)

    def balancer(name: str) -> Service:
        own = {"balancer_id": name, "catalog_address": address("catalog"), "valkey_url": backends.valkey_url}
        return service(name, "balancer", {**own, **mesh_key, "default_region": shape.regions[0]})

    def edge(name: str) -> Service:
        upstream = {
            "balancers": _addresses(shape.balancer_names, address),
            "origins": _addresses(shape.origin_names, address),
        }
        return service(name, "edge_node", {**_edge_settings(name, shape, folder), **upstream}, shape.region_of(name))

    catalog = {
        **database,
        **index_dir("catalog"),
        "valkey_url": backends.valkey_url,
        "spool_dir": str(folder.state("catalog-spool")),
        "session_key_path": str(folder.secret(keys.SESSION_KEY)),
        "session_keys_path": str(folder.secret(keys.SESSION_PUBLIC)),
    }
    return (
        service("catalog", "catalog", {**catalog, **s3, **mesh_key}),
        service("indexer", "catalog.indexer", {**database, **index_dir("indexer"), **s3, **mesh_key}),
        *(service(name, "origin", {**s3, **mesh_key}) for name in shape.origin_names),
        *(balancer(name) for name in shape.balancer_names),
        *(edge(name) for name in shape.edge_names),
    )


def ingest_environment(folder: Folder, catalog_address: str, s3_endpoint: str) -> dict[str, str]:
    """What an import into this mesh is told."""
    settings = {
        "catalog_address": catalog_address,
        "s3_endpoint": s3_endpoint,
        "s3_bucket": BUCKET,
        "s3_credentials_path": str(folder.secret(keys.S3_CREDENTIALS)),
        "manifest_key_path": str(folder.secret(keys.MANIFEST_KEY)),
        "operator_key_path": str(folder.secret(keys.OPERATOR_KEY)),
    }
    return _environment("ingest", settings)


def _edge_settings(name: str, shape: Shape, folder: Folder) -> dict[str, str]:
    return {
        "edge_id": name,
        "region": shape.region_of(name),
        "edge_key_path": str(folder.secret(keys.edge_key_name(name))),
        "manifest_keys_path": str(folder.secret(keys.MANIFEST_PUBLIC)),
        "cache_dir": str(folder.state(name)),
        "ram_bytes_max": str(EDGE_RAM_BYTES),
        "disk_bytes_max": str(EDGE_DISK_BYTES),
        "nic_capacity_bps": str(shape.nic_bps),
        "stream_limit": str(EDGE_STREAMS),
        "pacing_factor": f"{shape.pacing:g}",
    }


def _environment(module: str, settings: Mapping[str, str]) -> dict[str, str]:
    """The variables of a module's settings; of a service within a package, its own name counts."""
    service = module.rpartition(".")[2].upper()
    return {f"REPRISE_{service}_{name.upper()}": value for name, value in settings.items()}


def _numbered(name: str, count: int) -> tuple[str, ...]:
    return (name,) if count == 1 else tuple(f"{name}-{number}" for number in range(1, count + 1))


def _addresses(names: Sequence[str], address: Callable[[str], str]) -> str:
    return ",".join(address(name) for name in names)
