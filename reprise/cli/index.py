"""The search index for operators: its state, and a rebuild with its progress."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import grpc
from rich.table import Table

from reprise import rpc
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import IndexServiceStub
from reprise.cli import mesh_file, operator
from reprise.cli.folder import Folder
from reprise.cli.narrator import Narrator

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import IndexServiceAsyncStub

DEADLINE_S = 10
# An operator's token is good for an hour; a rebuild that takes longer goes on without anybody looking.
REBUILD_S_MAX = 3600


@dataclass(frozen=True, slots=True)
class Status:
    """What the indexer says of the index."""

    writing: bool
    backend: str
    generation: str
    documents: int
    size_bytes: int
    changes_behind: int
    behind_ms: int
    normaliser_version: int


async def status(folder: Folder, *, as_json: bool) -> None:
    """Prints what the index holds."""
    async with _indexer(folder) as (stub, metadata):
        answer = await stub.GetIndexStatus(pb.GetIndexStatusRequest(), metadata=metadata, timeout=DEADLINE_S)
    found = Status(**{name: getattr(answer, name) for name in Status.__dataclass_fields__})
    if as_json:
        sys.stdout.write(json.dumps(asdict(found), indent=2) + "\n")
    else:
        Narrator().table(_table(found))


async def rebuild(folder: Folder, *, as_json: bool) -> None:
    """Rebuilds, telling the progress; with `as_json` a line for each step forward."""
    async with _indexer(folder) as (stub, metadata):
        told = stub.RebuildIndex(pb.RebuildIndexRequest(), metadata=metadata, timeout=REBUILD_S_MAX)
        if as_json:
            async for progress in told:
                line = {"step": progress.step, "done": progress.done, "total_estimate": progress.total_estimate}
                sys.stdout.write(json.dumps(line) + "\n")
                sys.stdout.flush()
            return
        narrator = Narrator()
        with narrator.progress("rebuilding the search index") as bar:
            async for progress in told:
                bar.at(progress.done, max(progress.total_estimate, progress.done))
        narrator.plain(f"rebuilt: {progress.done} documents")


@asynccontextmanager
async def _indexer(folder: Folder) -> "AsyncIterator[tuple[IndexServiceAsyncStub, tuple[tuple[str, str], ...]]]":
    """The mesh's indexer and what signs an operator in. Raises its errors by their meaning."""
    place = mesh_file.read(folder).indexer
    async with rpc.channel(place.grpc) as channel:
        try:
            yield IndexServiceStub(channel), rpc.bearer_metadata(operator.token(folder))
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, f"{place.name} {place.grpc}") from None


def _table(found: Status) -> Table:
    drawn = Table(box=None, show_header=False)
    behind = f"{found.changes_behind} changes, {found.behind_ms / 1000:.1f} s" if found.changes_behind else "nothing"
    rows = {
        "writes": "yes" if found.writing else "no, waits for its turn",
        "engine": found.backend,
        "generation": found.generation or "none yet",
        "documents": f"{found.documents:,}",
        "size": f"{found.size_bytes / 1e6:,.1f} MB",
        "behind by": behind,
        "normaliser": f"version {found.normaliser_version}",
    }
    for name, value in rows.items():
        drawn.add_row(f"[dim]{name}[/]", value)
    return drawn
