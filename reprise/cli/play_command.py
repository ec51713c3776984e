"""`reprise play`: finds songs, asks a balancer for edges, plays, and keeps a file only when it is whole."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from reprise import tracing
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.cli import songs
from reprise.cli.balancers import Balancers
from reprise.cli.doors import DOORS, Wanted
from reprise.cli.failover import Candidate
from reprise.cli.login import Login
from reprise.cli.mesh_file import Mesh
from reprise.cli.play_reports import PlayReports
from reprise.cli.player import Journey, Player
from reprise.cli.routes import Routes
from reprise.cli.songs import FoundSong
from reprise.errors import InvalidRequest, NotReady, Unavailable


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How the songs are wanted."""

    # A file, or a folder for a file of each song; None is standard output.
    output: Path | None
    # In times real time; 0 is as fast as it comes.
    pace: float
    door: str


async def run(mesh: Mesh, login: Login, texts: Sequence[str], wish: Wish) -> None:
    """Plays the songs that `texts` name, one after the other."""
    if len(texts) > 1 and wish.output is not None and not wish.output.is_dir():
        raise InvalidRequest(f"{wish.output} is no folder: several songs need one, each becomes a file in it")
    found = [await songs.resolve(mesh, text) for text in texts]
    async with Balancers(mesh.balancers) as balancers:
        routes = Routes(balancers, login.metadata, [song.song_id for song in found], lambda: time.time() * 1000)
        reports = PlayReports(balancers, login.metadata)
        for index, song in enumerate(found):
            say(f"{song.name} ({song.song_id})")
            with tracing.span("play", song_id=song.song_id, door=wish.door):
                journey = await _play(song, index, routes, wish, reports)
            say(f"{journey.size_bytes} bytes from {', '.join(journey.edge_ids)} in {journey.seconds:.2f} s, verified")


async def _play(song: FoundSong, index: int, routes: Routes, wish: Wish, reports: PlayReports) -> Journey:
    route = await routes.begin(index)
    rendition = route.rendition

    async def reroute(failed_edge_ids: tuple[str, ...]) -> list[Candidate]:
        again = await routes.again(song.song_id, failed_edge_ids)
        if again.rendition.rendition_id != rendition.rendition_id:
            raise Unavailable("the song was replaced while it played: start it again")
        return candidates(again)

    with _sink(_path(wish.output, index, song)) as sink:
        player = Player(
            wanted=Wanted(song.song_id, rendition.rendition_id, rendition.size_bytes),
            door=DOORS[wish.door],
            reroute=reroute,
            sink=sink,
            say=say,
            tell=reports.add,
            pace_bps=wish.pace * rendition.size_bytes * 1000 / rendition.duration_ms if rendition.duration_ms else 0.0,
        )
        try:
            return await player.play(candidates(route))
        finally:
            await reports.send()


def _path(output: Path | None, index: int, song: FoundSong) -> Path | None:
    return output / f"{index + 1:02}-{song.song_id}.mp4" if output is not None and output.is_dir() else output


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
