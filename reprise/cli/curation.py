"""What operators do to what is published: take down, merge, name otherwise."""

import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as balancer_pb
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceStub
from reprise.cli import mesh_file, operator, songs
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh
from reprise.errors import RepriseError, Unavailable

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceAsyncStub

DEADLINE_S = 10
# Moves the resume points of every listener of a song.
MERGE_S_MAX = 600
# The balancer waits up to 30 s for the edges.
PURGE_S_MAX = 40
# Of one command.
RENDITIONS_MAX = 500
_KINDS = {"song": pb.ENTITY_KIND_SONG, "artist": pb.ENTITY_KIND_ARTIST, "release": pb.ENTITY_KIND_RELEASE}


@dataclass(frozen=True, slots=True)
class Takedown:
    """Either a song, by id or text, or a release; either a reason, or to be restored."""

    song: str
    release_id: str
    reason: str
    restore: bool


async def take_down(folder: Folder, wish: Takedown, *, as_json: bool) -> None:
    """Takes it out of the catalog, then out of the edges' caches; or puts it back."""
    mesh = mesh_file.read(folder)
    request = pb.TakeDownRequest(reason=wish.reason, restore=wish.restore)
    if wish.release_id:
        request.release_id = wish.release_id
    else:
        # What is down is found by its id alone.
        request.song_id = wish.song if songs.is_id(wish.song) else (await songs.resolve(mesh, wish.song)).song_id
    async with _catalog(folder, mesh) as (stub, metadata):
        taken = await stub.TakeDown(request, timeout=DEADLINE_S, metadata=metadata)
    edges = 0 if wish.restore else await _purge(folder, mesh, taken.rendition_ids)
    state = "restored" if wish.restore else "taken down"
    if as_json:
        outcome = {"state": state, "song_ids": list(taken.song_ids), "edges_purged": edges}
        sys.stdout.write(json.dumps(outcome) + "\n")
    else:
        count = len(taken.song_ids)
        what = f"song {taken.song_ids[0]}" if count == 1 else f"{count} songs"
        sys.stdout.write(f"{state}: {what}{'' if wish.restore else f', purged from {edges} edges'}\n")


async def merge(folder: Folder, kind: str, from_id: str, into_id: str, *, as_json: bool) -> None:
    """Merges one into the other."""
    request = pb.MergeRequest(kind=_KINDS[kind], from_id=from_id, into_id=into_id)
    async with _catalog(folder, mesh_file.read(folder)) as (stub, metadata):
        answer = await stub.Merge(request, timeout=MERGE_S_MAX, metadata=metadata)
    if as_json:
        sys.stdout.write(json.dumps({"id": into_id, "songs": answer.songs}) + "\n")
    else:
        songs_now = "" if kind == "song" else f", which has {answer.songs} songs now"
        sys.stdout.write(f"{kind} {from_id} is {into_id}{songs_now}\n")


async def set_aliases(folder: Folder, artist_id: str, aliases: Sequence[str]) -> None:
    """Replaces an artist's other names."""
    request = pb.SetArtistAliasesRequest(artist_id=artist_id, aliases=aliases)
    async with _catalog(folder, mesh_file.read(folder)) as (stub, metadata):
        _ = await stub.SetArtistAliases(request, timeout=DEADLINE_S, metadata=metadata)
    sys.stdout.write(f"artist {artist_id} is also found as {', '.join(aliases) or 'nothing else'}\n")


async def _purge(folder: Folder, mesh: Mesh, rendition_ids: Sequence[str]) -> int:
    """Drops renditions from every edge; from how many. Raises Unavailable when it is not sure that all did."""
    metadata = rpc.bearer_metadata(operator.token(folder))
    edges: set[str] = set()
    for first in range(0, len(rendition_ids), RENDITIONS_MAX):
        action = balancer_pb.PurgeSongs(rendition_ids=rendition_ids[first : first + RENDITIONS_MAX])
        request = balancer_pb.SendCommandRequest(purge=action)

        async def send(stub: Any, request: balancer_pb.SendCommandRequest = request) -> balancer_pb.SendCommandResponse:
            answer: balancer_pb.SendCommandResponse = await stub.SendCommand(
                request, metadata=metadata, timeout=PURGE_S_MAX
            )
            return answer

        try:
            answers = (await operator.ask(mesh, send)).answers
            operator.report(answers, quiet=True)
        except RepriseError as error:
            raise Unavailable(
                f"taken down, so nobody finds it, but not purged from every edge: {error.message}; "
                "what is away is purged when it is back, else run this again"
            ) from None
        edges |= {answer.edge_id for answer in answers}
    return len(edges)


@asynccontextmanager
async def _catalog(
    folder: Folder, mesh: Mesh
) -> "AsyncIterator[tuple[CatalogAdminServiceAsyncStub, tuple[tuple[str, str], ...]]]":
    """The mesh's catalog and what signs an operator in. Raises its errors by their meaning."""
    async with rpc.channel(mesh.catalog.grpc) as channel:
        try:
            yield CatalogAdminServiceStub(channel), rpc.bearer_metadata(operator.token(folder))
        except grpc.aio.AioRpcError as error:
            raise rpc.error_of(error, f"catalog {mesh.catalog.grpc}") from None
