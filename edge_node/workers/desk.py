"""A worker's end of its link: asks the node process, and does what it says."""

import asyncio
import socket
import time
from collections import Counter
from collections.abc import Callable

from prometheus_client import CollectorRegistry

from edge_node.access import Gate
from edge_node.eviction import Key
from edge_node.meter import tally_of
from edge_node.node import Node
from edge_node.workers.asks import Asks
from edge_node.workers.errands import Errands
from edge_node.workers.figures import samples_of
from edge_node.workers.lease import LeasedStore
from edge_node.workers.link import Link
from edge_node.workers.messages import (
    Answer,
    AskPage,
    Crowd,
    Drain,
    Elsewhere,
    Failed,
    Figures,
    Find,
    Forgotten,
    Listening,
    Manifested,
    Message,
    Page,
    PartState,
    Playing,
    Progress,
    Pull,
    Purge,
    Stop,
    Streams,
    Touched,
    Unuse,
    Use,
    Verify,
)
from reprise.http_message import Request, Response, text_response
from reprise.log import get_logger
from reprise.metrics import LoopLag

log = get_logger()
PAGE_S_MAX = 5.0
# A little longer than the node process waits for its disk.
ANSWER_S_MAX = 6.0
# A crowd is told of once in this time; balancers hear of it no more often.
CROWD_S = 0.2


class Desk:
    """The worker's `lease.Landlord`, and its source of pages."""

    def __init__(self, sock: socket.socket) -> None:
        # Set when the worker has to end: told to, or the node process is gone.
        self.stopped = asyncio.Event()
        self.alone = False
        self._link = Link(sock, self._forward, self._lost)
        self._take: Callable[[Message, int | None], None] | None = None
        self._yes_or_no: Asks[bool] = Asks()
        self._pages: Asks[Response] = Asks()
        self._streams: Counter[str] = Counter()
        self._playing: dict[str, tuple[str, int] | None] = {}
        self._crowd_at = -CROWD_S

    def open(self, take: Callable[[Message, int | None], None], gate: Gate, node: Node) -> None:
        """`take` gets what is for the store, the fills and the node."""
        self._take = take
        gate.on_stream = self._count
        node.sessions.on_change = self._plays
        node.on_follower = self._crowd

    def send(self, message: Message) -> None:
        """To the node process."""
        self._link.send(message)

    async def page(self, request: Request) -> Response:
        """A page that only the node process can write."""
        try:
            async with asyncio.timeout(PAGE_S_MAX):
                return await self._pages.ask(lambda number: self.send(AskPage(number, request.path)))
        except TimeoutError:
            return text_response(503, "the node process does not answer")

    def close(self) -> None:
        self._link.close()

    # For the leased store

    async def find(self, rendition_id: str) -> bool:
        """Whether the node has any of a rendition, which is then leased."""
        return await self._ask(lambda number: self.send(Find(number, rendition_id)))

    async def verify(self, rendition_id: str, chunk: int) -> bool:
        """Whether a chunk on disk is good."""
        return await self._ask(lambda number: self.send(Verify(number, rendition_id, chunk)))

    def use(self, rendition_id: str) -> None:
        self.send(Use(rendition_id))

    def unuse(self, rendition_id: str) -> None:
        self.send(Unuse(rendition_id))

    def touched(self, express: Counter[Key], readers: Counter[Key]) -> None:
        self.send(Touched(_plain(express), _plain(readers)))

    # Inside

    async def _ask(self, send: Callable[[int], None]) -> bool:
        """No answer is a no: then what was asked for is wanted as something that is missing."""
        try:
            async with asyncio.timeout(ANSWER_S_MAX):
                return await self._yes_or_no.ask(send)
        except TimeoutError:
            log.warning("node_process_silent", waited_s=ANSWER_S_MAX)
            return False

    def _forward(self, message: Message, fd: int | None) -> None:
        match message:
            case Answer():
                self._yes_or_no.answer(message.ask, message.ok)
            case Page():
                headers = (("content-type", message.content_type),)
                self._pages.answer(message.ask, Response(message.status, headers, message.body))
            case Stop():
                self.stopped.set()
            case _:
                assert self._take is not None
                self._take(message, fd)

    def _count(self, grant_id: str, change: int) -> None:
        """All changes of one turn of the loop go together."""
        if not self._streams:
            asyncio.get_running_loop().call_soon(self._tell_streams)
        self._streams[grant_id] += change

    def _tell_streams(self) -> None:
        changes = {grant_id: change for grant_id, change in self._streams.items() if change}
        self._streams.clear()
        if changes:
            self.send(Streams(changes))

    def _plays(self, grant_id: str, plays: tuple[str, int] | None) -> None:
        if not self._playing:
            asyncio.get_running_loop().call_soon(self._tell_playing)
        self._playing[grant_id] = plays

    def _tell_playing(self) -> None:
        changes, self._playing = self._playing, {}
        playing = {(grant_id, plays[0]): plays[1] for grant_id, plays in changes.items() if plays}
        self.send(Playing(playing, [grant_id for grant_id, plays in changes.items() if not plays]))

    def _crowd(self) -> None:
        now = time.monotonic()
        if now - self._crowd_at >= CROWD_S:
            self._crowd_at = now
            self.send(Crowd())

    def _lost(self, reason: str) -> None:
        log.error("node_process_lost", reason=reason)
        self.alone = True
        self._yes_or_no.close(value=False)
        self.stopped.set()


class Clerk:
    """Does in a worker what the node process says."""

    def __init__(
        self,
        desk: Desk,
        node: Node,
        store: LeasedStore,
        errands: Errands,
        gate: Gate,
        lag: LoopLag,
        registry: CollectorRegistry,
    ) -> None:
        self._desk = desk
        self._node = node
        self._store = store
        self._errands = errands
        self._gate = gate
        self._lag = lag
        self._registry = registry

    def take(self, message: Message, fd: int | None) -> None:
        match message:
            case PartState():
                self._store.take(message, fd)
            case Progress():
                self._errands.progress(message)
            case Failed():
                self._errands.failed(message)
            case Manifested():
                self._store.lease(message.rendition_id, message.signed)
            case Forgotten():
                self._store.forget(message.rendition_id)
            case Elsewhere():
                self._node.count_elsewhere(message.streams)
                self._gate.count_elsewhere(message.grants)
            case Pull():
                self._desk.send(self._figures(message.ask))
            case Purge():
                self._node.start_task(self._purge(message), "purge")
            case Drain():
                self._node.draining.set()

    def listening(self) -> None:
        """The worker takes connections."""
        self._desk.send(Listening())

    async def _purge(self, purge: Purge) -> None:
        await self._node.purge(purge.rendition_id)
        self._desk.send(Answer(purge.ask, ok=True))

    def _figures(self, ask: int) -> Figures:
        self._store.ram.policy.flush()
        self._node.sessions.settle(time.monotonic())
        tally = tally_of(self._node, self._lag)
        return Figures(ask, tally.as_list(), samples_of(self._registry), self._gate.take_seen())


def _plain(counts: Counter[Key]) -> dict[tuple[str, str], int]:
    return {(key.rendition_id, key.part.value): count for key, count in counts.items()}
