"""mesh.json: what runs where, for the other commands, for tools and for tests. Holds engine passwords, so it is 0600.

It exists while the mesh runs: written whole at every start of a service, removed at a clean stop.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from reprise.cli import keys, lock
from reprise.cli.folder import Folder, write_whole
from reprise.cli.plan import BUCKET, Backends, Service
from reprise.errors import NotReady


@dataclass(frozen=True, slots=True)
class Place:
    """Where one service is: grpc as "host:port", http as a URL. Edges have an id and a region."""

    name: str
    grpc: str
    http: str
    pid: int
    region: str = ""


@dataclass(frozen=True, slots=True)
class Mesh:
    """Everything that runs."""

    catalog: Place
    balancers: tuple[Place, ...]
    origins: tuple[Place, ...]
    edges: tuple[Place, ...]
    s3_endpoint: str
    indexer: Place

    @property
    def services(self) -> tuple[Place, ...]:
        """All but the edges."""
        return (self.catalog, self.indexer, *self.origins, *self.balancers)


def write(folder: Folder, services: Sequence[Service], pids: Mapping[str, int], backends: Backends) -> None:
    """Writes what runs now; a service that is down keeps its last pid, or 0."""

    def entries(module: str) -> list[dict[str, object]]:
        return [_entry(service, pids.get(service.name, 0)) for service in services if service.module == module]

    secret_key = keys.read(folder, keys.S3_CREDENTIALS).split()[1]
    value = {
        "catalog": entries("catalog")[0],
        "indexer": entries("catalog.indexer")[0],
        "balancer": entries("balancer"),
        "origin": entries("origin"),
        "edges": entries("edge_node"),
        "postgres": backends.postgres_dsn,
        "valkey": backends.valkey_url,
        "s3": {
            "endpoint": backends.s3_endpoint,
            "bucket": BUCKET,
            "access_key": keys.S3_ACCESS_KEY,
            "secret_key": secret_key,
        },
    }
    write_whole(folder.mesh_file, json.dumps(value, indent=2) + "\n")


def read(folder: Folder) -> Mesh:
    """The mesh that runs in this folder. Raises NotReady when none does, saying what to type."""
    if lock.holder(folder) is None:
        raise NotReady(f"no mesh runs in {folder.path}: start one with `reprise up`, or name its folder with --data")
    try:
        value = json.loads(folder.mesh_file.read_text())
    except FileNotFoundError:
        raise NotReady(f"the mesh in {folder.path} is still starting: try again in a few seconds") from None
    return Mesh(
        catalog=_place("catalog", value["catalog"]),
        balancers=_places("balancer", value["balancer"]),
        origins=_places("origin", value["origin"]),
        edges=tuple(_place(entry["id"], entry) for entry in value["edges"]),
        s3_endpoint=value["s3"]["endpoint"],
        indexer=_place("indexer", value["indexer"]),
    )


def _entry(service: Service, pid: int) -> dict[str, object]:
    identity = {"id": service.name, "region": service.region} if service.module == "edge_node" else {}
    return {**identity, "grpc": service.grpc, "http": service.http, "pid": pid}


def _places(name: str, entries: Sequence[dict[str, Any]]) -> tuple[Place, ...]:
    names = [name] if len(entries) == 1 else [f"{name}-{number}" for number in range(1, len(entries) + 1)]
    return tuple(_place(name, entry) for name, entry in zip(names, entries, strict=True))


def _place(name: str, entry: dict[str, Any]) -> Place:
    return Place(name, entry["grpc"], entry["http"], entry["pid"], entry.get("region", ""))
