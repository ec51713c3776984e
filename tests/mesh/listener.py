"""What stories do as listeners: ask for routes, open streams, wait for what edges say of themselves."""

import asyncio
import hashlib
import socket
import time
from dataclasses import dataclass

from reprise import rpc
from reprise.balancer.v1.balancer_service_pb2 import Candidate, RouteRequest, SongRoute
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.types.v1.types_pb2 import Codec
from tests.support.mesh import Metrics, TestMesh, scrape


@dataclass
class Library:
    """Song ids by title; a title is taken once, so that its story finds it cold."""

    songs: dict[str, str]

    def take(self, title: str = "") -> str:
        return self.songs.pop(title or min(name for name in self.songs if not name.startswith(("paced", "storm"))))


async def route(mesh: TestMesh, song_id: str, *codecs: Codec) -> SongRoute:
    """The balancer's answer for one song."""
    return (await routes(mesh, song_id, 1, *codecs))[0]


async def routes(mesh: TestMesh, song_id: str, count: int, *codecs: Codec) -> list[SongRoute]:
    """The balancer's answers to as many listeners of one song, each with grants of its own."""
    channel = rpc.channel(mesh.json["balancer"][0]["grpc"])
    request = RouteRequest(song_ids=[song_id], codecs=codecs)
    try:
        answers = [await BalancerServiceStub(channel).Route(request, timeout=10) for _ in range(count)]
    finally:
        await channel.close()
    return [answer.routes[0] for answer in answers]


@dataclass
class Heard:
    """What one listener got, and when its first byte came, in seconds of the monotonic clock."""

    status: int
    body: bytes
    first_byte_s: float

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


class Listener:
    """One HTTP listener on a raw connection, so that its own cost does not hide the edge's."""

    def __init__(self, candidate: Candidate) -> None:
        self._host, _, self._path = candidate.media_url.removeprefix("http://").partition("/")

    async def connect(self) -> None:
        host, _, port = self._host.partition(":")
        connection = socket.socket()
        # What a listener has not asked for yet stays with the edge.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
        self._reader, self._writer = await asyncio.open_connection(sock=connection, limit=64 * 1024)

    def ask(self) -> None:
        self._writer.write(f"GET /{self._path} HTTP/1.1\r\nHost: {self._host}\r\nConnection: close\r\n\r\n".encode())

    async def first_byte(self) -> None:
        """Returns when the first byte of the body is here."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        self._first = await self._reader.read(1)
        self._first_byte_s = time.monotonic()
        self._status = int(head.split(b" ", 2)[1])

    async def rest(self) -> Heard:
        """Everything from the first byte on."""
        body = [self._first]
        while part := await self._reader.read(1 << 18):
            body.append(part)
        self._writer.close()
        return Heard(self._status, b"".join(body), self._first_byte_s)


async def listen(candidate: Candidate) -> Heard:
    """One listener from connect to the last byte."""
    listener = Listener(candidate)
    await listener.connect()
    listener.ask()
    await listener.first_byte()
    return await listener.rest()


def edges_sum(mesh: TestMesh, name: str, **labels: str) -> float:
    """A metric over all edges that answer."""
    return sum(metrics.sum(name, **labels) for metrics in edge_metrics(mesh).values())


def edge_metrics(mesh: TestMesh) -> dict[str, Metrics]:
    """What each living edge says of itself."""
    found = {}
    for edge in mesh.json["edges"]:
        try:
            found[edge["id"]] = scrape(edge["http"])
        except OSError:
            continue
    return found


def origins_sum(mesh: TestMesh, name: str, **labels: str) -> float:
    """A metric over all origins."""
    return sum(scrape(origin["http"]).sum(name, **labels) for origin in mesh.json["origin"])
