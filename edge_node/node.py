"""What the doors, the reporter and the commands share: the readers that are open, the streams, the view of the mesh.

With several processes to an edge each worker has a Node of its own, over leases and errands instead of a store and fills.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from cachetools import TTLCache
from prometheus_client import CollectorRegistry

from edge_node.heat import FadingCounts
from edge_node.holding import Holding, Holdings
from edge_node.live import Live
from edge_node.metrics import EdgeMetrics
from edge_node.reader import WORKER, Reader
from edge_node.sessions import Sessions
from edge_node.sources import Own
from edge_node.views import View
from reprise.errors import NotFound, QuotaExceeded, Unavailable
from reprise.log import get_logger
from reprise.manifests import Manifest
from reprise.service import contained

log = get_logger()
NEGATIVE_S = 2.0
NEGATIVES_MAX = 10_000
WAITED_FOR_MAX = 64


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node is told once."""

    own: Own
    origins: tuple[str, ...]
    stream_limit: int


class Fills(Protocol):
    """Brings chunks. `start` returns what the reader that asked is to the fill: leader or peer."""

    def start(self, node: "Node", live: Live, fill_id: int, hops: int) -> str: ...


class Node:
    """See the module. Fills and first reads run in `group`, so none outlives the node."""

    def __init__(
        self,
        config: NodeConfig,
        store: Holdings,
        fills: Fills,
        group: asyncio.TaskGroup,
        registry: CollectorRegistry,
    ) -> None:
        self.config = config
        self.store = store
        self._view = View()
        # Told of every view that comes.
        self.on_view: Callable[[View], None] = lambda _view: None
        self.draining = asyncio.Event()
        # Set by the command to drain; without it the service's own deadline holds.
        self.drain_s_max: float | None = None
        self.metrics = EdgeMetrics(
            registry, lambda: self.streams, self._listeners, lambda: sum(x.waiting for x in self.lives.values())
        )
        self._uncounted = EdgeMetrics(CollectorRegistry(), int, int, int)
        self.lives: dict[str, Live] = {}
        self.streams = 0
        # Of the edge's other processes; `count_elsewhere` changes it.
        self.streams_elsewhere = 0
        self.sessions = Sessions()
        # Who came to wait for a fill, by rendition.
        self.waits = FadingCounts(WAITED_FOR_MAX)
        # Grows when somebody came to wait for another's; `on_follower` is told.
        self.followers = 0
        self.on_follower: Callable[[], None] = lambda: None
        self._fills = fills
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._absent: TTLCache[str, str] = TTLCache(NEGATIVES_MAX, NEGATIVE_S)

    @property
    def view(self) -> View:
        """The mesh as a balancer last told us."""
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        self.on_view(view)

    def begin(self, door: str) -> None:
        """Counts a stream, which its caller must `end`. Raises QuotaExceeded, Unavailable."""
        if self.draining.is_set() and door != "relay":
            raise Unavailable("this edge is draining: try the next candidate")
        if self.streams + self.streams_elsewhere >= self.config.stream_limit:
            self.metrics.requests[door, "refused"] += 1
            raise QuotaExceeded(f"this edge serves its {self.config.stream_limit} streams", retry_after_s=1)
        self.streams += 1
        self._check_empty()

    def end(self) -> None:
        """One stream less."""
        self.streams -= 1
        self._check_empty()

    def open(self, rendition_id: str, door: str, first_chunk: int = 0, hops: int = 0) -> Reader:
        """A reader that its caller must close. Raises NotFound (known to be absent), QuotaExceeded, Unavailable."""
        self.begin(door)
        absent = self._absent.get(rendition_id)
        if absent is not None:
            self.end()
            self.metrics.requests[door, "negative"] += 1
            raise NotFound(absent)
        return Reader(self._live(rendition_id), door, first_chunk, hops, self.metrics, self._closed)

    def errand(self, rendition_id: str, first_chunk: int, hops: int) -> Reader:
        """A reader for a worker process: no stream, and in no figure, because its worker counts who is behind it.

        Its caller must close it. Raises NotFound (known to be absent).
        """
        absent = self._absent.get(rendition_id)
        if absent is not None:
            raise NotFound(absent)
        reader = Reader(self._live(rendition_id), WORKER, first_chunk, hops, self._uncounted, self._remember_absent)
        reader.settle()
        return reader

    def count_elsewhere(self, streams: int) -> None:
        """How many streams the edge's other processes serve now."""
        self.streams_elsewhere = streams
        self._check_empty()

    async def purge(self, rendition_id: str) -> None:
        """Takes a rendition down: its readers end, its bytes go from RAM and disk."""
        live = self.lives.pop(rendition_id, None)
        if live is not None:
            live.purge()
        await self.store.purge(rendition_id)
        log.info("purged", rendition_id=rendition_id)

    async def drain(self) -> None:
        """Lame duck until the last stream has ended or `drain_s_max` is over; gRPC streams are told to go on elsewhere."""
        self.draining.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(self.drain_s_max):
                await self._empty.wait()

    def stop(self) -> None:
        """Ends every fill; its followers are told to go elsewhere."""
        for task in list(self._tasks):
            task.cancel()

    # For Live

    def start_fill(self, live: Live, fill_id: int, hops: int) -> str:
        """Starts a fill; returns what its leader is: see Fills."""
        return self._fills.start(self, live, fill_id, hops)

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(contained(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def call_later(self, delay_s: float, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_later(delay_s, call)

    def enter(self, manifest: Manifest) -> Holding:
        return self.store.entry(manifest)

    def may_discover(self) -> bool:
        return self.store.adopting

    async def discover(self, rendition_id: str) -> Holding | None:
        return await self.store.discover(rendition_id)

    def first_wait(self, rendition_id: str, *, follows: bool) -> None:
        self.waits.add(rendition_id, 1.0, time.monotonic())
        if follows:
            self.crowd_grew()

    def crowd_grew(self) -> None:
        """Somebody waits for what another brought about, here or in another process of the edge."""
        self.followers += 1
        self.on_follower()

    def unused(self, live: Live) -> None:
        if self.lives.get(live.rendition_id) is live:
            del self.lives[live.rendition_id]
            live.release()

    # Inside

    def _live(self, rendition_id: str) -> Live:
        live = self.lives.get(rendition_id)
        if live is None:
            live = self.lives[rendition_id] = Live(rendition_id, self, self.store.find(rendition_id))
        return live

    def _listeners(self) -> int:
        return sum(reader.door not in ("relay", WORKER) for live in self.lives.values() for reader in live.readers)

    def _closed(self, reader: Reader) -> None:
        self._remember_absent(reader)
        self.end()

    def _remember_absent(self, reader: Reader) -> None:
        if isinstance(reader.error, NotFound):
            self._absent[reader.rendition_id] = reader.error.message

    def _check_empty(self) -> None:
        if self.streams + self.streams_elsewhere:
            self._empty.clear()
        else:
            self._empty.set()
