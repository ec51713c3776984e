"""The listeners of `arrivals` on a real mesh: routed one by one, hearing HTTP ranges, moving on when their edge dies."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence

import grpc

from bench.balancer.catalog import CLASSES
from bench.balancer.workload import WARM_UP_S, Turn, Workload
from bench.balancer_real.arrivals import BEGIN_S, BITRATE_BPS, KILL_S, REGION, VICTIM, Outcome
from bench.report import say
from reprise import rpc
from reprise.balancer.v1.balancer_service_pb2 import Candidate, RouteRequest, SongRoute
from reprise.balancer.v1.balancer_service_pb2_grpc import BalancerServiceStub
from reprise.types.v1.types_pb2 import Codec

# Four seconds of music.
RANGE_BYTES = 48_000
ROUTE_S_MAX = 5.0
WARM_EDGES = 2
SAMPLE_S = 1.0


class Crowd:
    """Everybody, by number of listener."""

    def __init__(self, workload: Workload, song_ids: Sequence[str], balancer: str, edge_ids: Sequence[str]) -> None:
        self.outcome = Outcome()
        self.places: dict[int, str] = {}
        self.plays = 0
        self._workload = workload
        self._song_ids = song_ids
        self._edge_ids = edge_ids
        self._victim = f"edge-{VICTIM}"
        self._channel = rpc.channel(balancer)
        self._plays: dict[int, asyncio.Task[None]] = {}
        self._warm: dict[int, list[str]] = {}
        self._visits: Counter[int] = Counter()
        self._zero_s = 0.0

    async def run(self) -> None:
        """Plays the whole workload, in real time."""
        self._zero_s = time.monotonic() - BEGIN_S
        sampling = asyncio.create_task(self._sample())
        for turn in self._workload.turns:
            await self.wait_until(turn.at_s)
            self._turn(turn)
        await self.wait_until(self._workload.ends_at_s)
        for task in (sampling, *self._plays.values()):
            task.cancel()
        await asyncio.gather(*self._plays.values(), return_exceptions=True)
        await self._channel.close()

    async def wait_until(self, at_s: float) -> None:
        """Until this moment of the workload."""
        await asyncio.sleep(max(0.0, self._zero_s + at_s - time.monotonic()))

    def _turn(self, turn: Turn) -> None:
        listener = turn.listener
        if listener in self._plays:
            self._plays[listener].cancel()
        self.places.pop(listener, None)
        self.plays += 1
        if turn.new:
            self._visits[listener] += 1
            self._warm[listener] = []
        song_id = self._song_ids[turn.rendition // len(CLASSES)]
        self._plays[listener] = asyncio.create_task(self._play(listener, song_id))

    async def _play(self, listener: int, song_id: str) -> None:
        heard, left = 0, ""
        try:
            route = await self._route(listener, song_id)
            for candidate in route.candidates:
                if left == self._victim:
                    self.outcome.moved += 1
                elif left:
                    self.outcome.strays += 1
                heard = await self._listen(listener, candidate, heard, route.rendition.size_bytes)
                if heard == route.rendition.size_bytes:
                    return
                left = candidate.edge_id
        except grpc.aio.AioRpcError as failure:
            say(f"no route: {failure.details()}")
        self.places.pop(listener, None)
        self.outcome.failed += 1

    async def _route(self, listener: int, song_id: str) -> SongRoute:
        request = RouteRequest(
            song_ids=[song_id],
            codecs=[Codec.CODEC_OPUS],
            region=REGION,
            session_id=f"{listener}-{self._visits[listener]}",
            warm_edge_ids=self._warm[listener],
        )
        answer = await BalancerServiceStub(self._channel).Route(request, timeout=ROUTE_S_MAX)
        route: SongRoute = answer.routes[0]
        return route

    async def _listen(self, listener: int, candidate: Candidate, heard: int, size: int) -> int:
        """Takes ranges as they are heard; returns how far that went, less than `size` when the edge broke off."""
        host, _, path = candidate.media_url.removeprefix("http://").partition("/")
        writer, began = None, time.monotonic() - heard * 8 / BITRATE_BPS
        try:
            reader, writer = await asyncio.open_connection(*host.split(":"))
            while heard < size:
                end = min(heard + RANGE_BYTES, size)
                asked = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nRange: bytes={heard}-{end - 1}\r\n\r\n"
                writer.write(asked.encode())
                head = await reader.readuntil(b"\r\n\r\n")
                if b" 206 " not in head.partition(b"\r\n")[0]:
                    return heard
                await reader.readexactly(end - heard)
                heard = end
                self._arrived(listener, candidate.edge_id)
                await asyncio.sleep(max(0.0, began + heard * 8 / BITRATE_BPS - time.monotonic()))
        except (OSError, asyncio.IncompleteReadError):
            return heard
        finally:
            if writer is not None:
                writer.close()
        # It stays where it was until its next song, as in the simulator.
        return size

    def _arrived(self, listener: int, edge_id: str) -> None:
        self.places[listener] = edge_id
        warm = self._warm[listener]
        self._warm[listener] = [edge_id, *(other for other in warm if other != edge_id)][:WARM_EDGES]

    async def _sample(self) -> None:
        at_s = WARM_UP_S + SAMPLE_S / 2
        while at_s < KILL_S:
            await self.wait_until(at_s)
            counts = Counter(self.places.values())
            self.outcome.carried([counts[edge_id] for edge_id in self._edge_ids])
            at_s += SAMPLE_S
