"""What operators tell the edges, through a balancer: drain, prewarm, purge. Signs in with the mesh's operator key."""

import asyncio
import secrets
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import grpc

from reprise import grants, rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceStub
from reprise.cli import keys, mesh_file, songs
from reprise.cli.folder import Folder
from reprise.cli.mesh_file import Mesh
from reprise.errors import NotFound, RepriseError, Unavailable

if TYPE_CHECKING:  # the generated class exists for type checkers only
    from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerAdminServiceAsyncStub

TOKEN_TTL_S = 3600
# The balancer waits up to 30 s for the edges.
DEADLINE_S = 40
T = TypeVar("T")


def token(folder: Folder) -> str:
    """An operator's token for any service of this mesh."""
    claims = grants.Claims(
        scope="operator",
        issuer="operator",
        audience="mesh",
        subject="operator",
        grant_id=secrets.token_urlsafe(9),
        expires_unix_s=int(time.time()) + TOKEN_TTL_S,
    )
    return grants.mint(claims, "operator", bytes.fromhex(keys.read(folder, keys.OPERATOR_KEY)))


async def ask(mesh: Mesh, call: "Callable[[BalancerAdminServiceAsyncStub], Awaitable[T]]") -> T:
    """The answer of the first balancer that gives one. Raises its error, or Unavailable when none answers."""
    last: RepriseError = Unavailable("this mesh has no balancer")
    for balancer in mesh.balancers:
        async with rpc.channel(balancer.grpc) as channel:
            try:
                return await call(BalancerAdminServiceStub(channel))
            except grpc.aio.AioRpcError as error:
                last = rpc.error_of(error, f"{balancer.name} {balancer.grpc}")
                if not isinstance(last, Unavailable):
                    raise last from None
    raise last


def drain(folder: Folder, edge: str, deadline_s: int, *, undo: bool) -> None:
    """Drains an edge and keeps it down, or brings it back."""
    mesh = mesh_file.read(folder)
    if edge not in {place.name for place in mesh.edges}:
        raise NotFound(f"no edge {edge!r} here: there are {', '.join(place.name for place in mesh.edges)}")
    mark = folder.drained / edge
    if undo:
        mark.unlink(missing_ok=True)
        sys.stdout.write(f"{edge} is coming back\n")
        return
    # Before the command: an edge without listeners ends at once, and must not be started again.
    mark.touch()
    try:
        asyncio.run(_send(folder, mesh, pb.SendCommandRequest(edge_ids=[edge], drain=pb.Drain(deadline_s=deadline_s))))
    except BaseException:
        mark.unlink(missing_ok=True)
        raise


async def prewarm(folder: Folder, texts: Sequence[str]) -> None:
    """Brings songs into the edges' caches."""
    mesh = mesh_file.read(folder)
    action = pb.PrewarmSongs(song_ids=await _song_ids(mesh, texts))
    await _send(folder, mesh, pb.SendCommandRequest(prewarm=action))


async def purge(folder: Folder, texts: Sequence[str]) -> None:
    """Drops songs from the edges' caches."""
    mesh = mesh_file.read(folder)
    await _send(folder, mesh, pb.SendCommandRequest(purge=pb.PurgeSongs(song_ids=await _song_ids(mesh, texts))))


async def _song_ids(mesh: Mesh, texts: Sequence[str]) -> list[str]:
    found = [await songs.resolve(mesh, text) for text in texts]
    for song in found:
        sys.stderr.write(f"{song.name} ({song.song_id})\n")
    return [song.song_id for song in found]


async def _send(folder: Folder, mesh: Mesh, request: pb.SendCommandRequest) -> None:
    metadata = rpc.bearer_metadata(token(folder))
    answer = await ask(mesh, lambda stub: stub.SendCommand(request, metadata=metadata, timeout=DEADLINE_S))
    report(answer.answers)


def report(answers: "Sequence[pb.SendCommandResponse.Answer]", *, quiet: bool = False) -> None:
    """Prints a line for each edge unless `quiet`. Raises Unavailable when one did not do it."""
    for edge in answers if not quiet else ():
        sys.stdout.write(
            f"{edge.edge_id}: {'done' if edge.ok else 'failed'}{': ' + edge.detail if edge.detail else ''}\n"
        )
    failed = [edge.edge_id or "any edge" for edge in answers if not edge.ok]
    if failed:
        raise Unavailable(f"not done by {', '.join(failed)}")
