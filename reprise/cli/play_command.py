"""`reprise play`: finds the song, asks a balancer for edges, plays, and keeps the file only when it is whole."""

import os
import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc

from reprise import rpc, tracing
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.cli import songs
from reprise.cli.doors import DOORS, Wanted
from reprise.cli.failover import Candidate
from reprise.cli.mesh_file import Mesh
from reprise.cli.player import Player
from reprise.errors import NotFound, NotReady, RepriseError, Unavailable

ROUTE_DEADLINE_S = 5


async def run(mesh: Mesh, text: str, output: Path | None, *, pace: float, door: str) -> None:
    """Plays the song that `text` names to `output`, or to standard output. `pace` is in times real time."""
    song = await songs.resolve(mesh, text)
    say(f"{song.name} ({song.song_id})")
    with tracing.span("play", song_id=song.song_id, door=door):
        route = await ask_route(mesh, song.song_id)
        rendition = route.rendition

        async def reroute(failed_edge_ids: tuple[str, ...]) -> list[Candidate]:
            again = await ask_route(mesh, song.song_id, failed_edge_ids)
            if again.rendition.rendition_id != rendition.rendition_id:
                raise Unavailable("the song was replaced while it played: start it again")
            return candidates(again)

        with _sink(output) as sink:
            player = Player(
                wanted=Wanted(song.song_id, rendition.rendition_id, rendition.size_bytes),
                door=DOORS[door],
                reroute=reroute,
                sink=sink,
                say=say,
                pace_bps=pace * rendition.size_bytes * 1000 / rendition.duration_ms if rendition.duration_ms else 0.0,
            )
            journey = await player.play(candidates(route))
    say(f"{journey.size_bytes} bytes from {', '.join(journey.edge_ids)} in {journey.seconds:.2f} s, verified")


async def ask_route(mesh: Mesh, song_id: str, failed_edge_ids: tuple[str, ...] = ()) -> pb.SongRoute:
    """A route from the first balancer that gives one. Raises NotFound, or what the last balancer said."""
    request = pb.RouteRequest(song_ids=[song_id], failed_edge_ids=failed_edge_ids)
    last: RepriseError = Unavailable("this mesh has no balancer")
    for balancer in random.sample(mesh.balancers, len(mesh.balancers)):
        async with rpc.channel(balancer.grpc) as channel:
            try:
                stub = BalancerServiceStub(channel)
                answer = await stub.Route(request, metadata=tracing.outgoing(), timeout=ROUTE_DEADLINE_S)
            except grpc.aio.AioRpcError as error:
                last = rpc.error_of(error, f"{balancer.name} {balancer.grpc}")
                continue
        if not answer.routes:
            raise NotFound(f"song {song_id} has no rendition to play")
        return answer.routes[0]
    raise last


def candidates(route: pb.SongRoute) -> list[Candidate]:
    """A route's edges, best first."""
    return [Candidate(c.edge_id, c.grpc_address, c.http_url, c.media_url, c.grant) for c in route.candidates]


def say(text: str) -> None:
    """One line for people; standard output belongs to the audio."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def _sink(output: Path | None) -> Iterator[Callable[[bytes], object]]:
    """Where the bytes go. A file has its name only when it is whole; before, and after a failure, it is FILE.part."""
    if output is None:
        yield sys.stdout.buffer.write
        sys.stdout.buffer.flush()
        return
    part = output.with_name(output.name + ".part")
    try:
        with part.open("wb") as file:
            yield file.write
            file.flush()
            os.fsync(file.fileno())
        part.replace(output)
    except OSError as error:
        raise NotReady(f"cannot write {part}: {error.strerror}") from None
