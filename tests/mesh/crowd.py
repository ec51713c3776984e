"""Listeners as `reprise play` makes them, many in one process: they take their songs slowly and go on when something dies.

Each has a connection to one edge at a time and asks it for a small range after the other, so nothing of a song that it has not
heard yet waits in the kernel when the edge dies.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from reprise.balancer.v1.balancer_service_pb2 import RouteRequest, SongRoute
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.cli import mesh_file
from reprise.cli.balancers import Balancers
from reprise.cli.doors import Wanted
from reprise.cli.failover import Attempt, Candidate
from reprise.cli.folder import Folder
from reprise.cli.play_command import candidates
from reprise.cli.player import Player
from reprise.errors import Unavailable
from tests.support.mesh import TestMesh

PIECE_BYTES = 8 * 1024


async def by_ranges(attempt: Attempt, wanted: Wanted) -> AsyncGenerator[bytes, None]:
    """A door: HTTP ranges of PIECE_BYTES over one connection."""
    host, _, path = attempt.candidate.media_url.removeprefix("http://").partition("/")
    try:
        reader, writer = await asyncio.open_connection(*host.split(":"))
    except OSError as error:
        raise Unavailable(str(error)) from None
    try:
        for start in range(attempt.offset, wanted.size_bytes, PIECE_BYTES):
            size = min(PIECE_BYTES, wanted.size_bytes - start)
            asked = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={start}-{start + size - 1}\r\n\r\n"
            writer.write(asked.encode())
            status, _, _ = (await reader.readuntil(b"\r\n\r\n")).partition(b"\r\n")
            if b" 206 " not in status:
                raise Unavailable(status.decode())
            yield await reader.readexactly(size)
    except (OSError, EOFError) as error:
        raise Unavailable(str(error)) from None
    finally:
        writer.close()


@dataclass
class Play:
    """One listener's play of one song, and what it noticed."""

    mesh: TestMesh
    song_id: str
    region: str = ""
    # How long the song is to take.
    seconds: float = 0.0
    # The edges that gave bytes so far, in order.
    edge_ids: list[str] = field(default_factory=list)
    start_s: float = 0.0
    longest_gap_s: float = 0.0
    rerouted: int = 0
    started: asyncio.Event = field(default_factory=asyncio.Event)
    _asking: str = ""
    _last_s: float = 0.0

    async def run(self) -> None:
        """Every byte, verified. Raises `reprise.errors`."""
        asked_s = self._last_s = time.monotonic()
        async with Balancers(mesh_file.read(Folder(self.mesh.data)).balancers) as balancers:
            route = await ask(balancers, self.song_id, self.region)

            async def reroute(failed: tuple[str, ...]) -> Sequence[Candidate]:
                self.rerouted += 1
                return candidates(await ask(balancers, self.song_id, self.region, failed))

            size = route.rendition.size_bytes
            player = Player(
                wanted=Wanted(self.song_id, route.rendition.rendition_id, size),
                door=self._door,
                reroute=reroute,
                sink=lambda _data: self._heard(asked_s),
                say=lambda _text: None,
                pace_bps=size / self.seconds if self.seconds else 0.0,
            )
            await player.play(candidates(route))

    def _door(self, attempt: Attempt, wanted: Wanted) -> AsyncGenerator[bytes, None]:
        self._asking = attempt.candidate.edge_id
        return by_ranges(attempt, wanted)

    def _heard(self, asked_s: float) -> None:
        now = time.monotonic()
        if self.started.is_set():
            self.longest_gap_s = max(self.longest_gap_s, now - self._last_s)
        else:
            self.start_s = now - asked_s
            self.started.set()
        self._last_s = now
        if self._asking not in self.edge_ids[-1:]:
            self.edge_ids.append(self._asking)


async def ask(balancers: Balancers, song_id: str, region: str = "", failed: tuple[str, ...] = ()) -> SongRoute:
    """The route that any balancer gives."""
    request = RouteRequest(song_ids=[song_id], region=region, failed_edge_ids=failed)
    answer = await balancers.ask(
        lambda channel, timeout_s: BalancerServiceStub(channel).Route(request, timeout=timeout_s), 5
    )
    return answer.routes[0]


async def routed_by(mesh: TestMesh, balancer: int, song_id: str, region: str = "") -> list[str]:
    """The edges that one balancer names for a song; none while it does not answer."""
    place = mesh_file.read(Folder(mesh.data)).balancers[balancer]
    async with Balancers([place]) as balancers:
        try:
            return [candidate.edge_id for candidate in (await ask(balancers, song_id, region)).candidates]
        except Unavailable:
            return []


async def wait_all_routed(mesh: TestMesh, song_id: str, deadline_s: float = 30.0) -> float:
    """Waits until every balancer routes to every edge; the seconds that it took."""
    began = time.monotonic()
    edges = len(mesh.json["edges"])
    async with asyncio.timeout(deadline_s):
        for balancer in range(len(mesh.json["balancer"])):
            while len(await routed_by(mesh, balancer, song_id)) < min(3, edges):
                await asyncio.sleep(0.05)
    return time.monotonic() - began


def p99(values: Sequence[float]) -> float:
    """The 99th percentile; of few values the largest."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]
