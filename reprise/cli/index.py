"""The search index for operators: its state, and a rebuild with its progress."""

import asyncio
import contextlib
import json
import re
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
from reprise.cli.mesh_file import Place
from reprise.cli.narrator import Narrator
from reprise.engines.probe import http_get
from reprise.errors import RepriseError

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import IndexServiceAsyncStub

DEADLINE_S = 10
# What was imported is found within a second or two, on a busy machine a little later.
FOUND_S_MAX = 10.0
FOUND_POLL_S = 0.1
PUBLICATION_METRIC = "reprise_catalog_index_publication"
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
    publication: int


async def status(folder: Folder, *, as_json: bool) -> None:
    """Prints what the index holds."""
    async with _indexer(folder) as (stub, metadata):
        found = await _status(stub, metadata)
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


async def wait_found(folder: Folder) -> None:
    """Returns when search knows all that the database knew, or after a while: then it will know soon."""
    catalog = mesh_file.read(folder).catalog
    with contextlib.suppress(RepriseError, TimeoutError):
        async with asyncio.timeout(FOUND_S_MAX), _indexer(folder) as (stub, metadata):
            # Other processes are asked: nothing here could wake us.
            while (found := await _status(stub, metadata)).changes_behind or not found.writing:  # noqa: ASYNC110
                await asyncio.sleep(FOUND_POLL_S)
            while await asyncio.to_thread(_publication, catalog) < found.publication:  # noqa: ASYNC110
                await asyncio.sleep(FOUND_POLL_S)


def _publication(catalog: Place) -> int:
    """Which publication a catalog answers from."""
    host, _, port = catalog.http.removeprefix("http://").rpartition(":")
    page = http_get(host, int(port), "/metrics")
    value = re.search(rf"^{PUBLICATION_METRIC} (\S+)$", page.body.decode() if page else "", re.MULTILINE)
    return int(float(value[1])) if value else 0


async def _status(stub: "IndexServiceAsyncStub", metadata: tuple[tuple[str, str], ...]) -> Status:
    answer = await stub.GetIndexStatus(pb.GetIndexStatusRequest(), metadata=metadata, timeout=DEADLINE_S)
    return Status(**{name: getattr(answer, name) for name in Status.__dataclass_fields__})


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
