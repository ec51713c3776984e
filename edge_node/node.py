"""The edge as a whole: opens readers, starts fills, obeys commands. Everything that the doors and the reporter share."""

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from cachetools import TTLCache
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import CollectorRegistry

from edge_node.fill import Fill
from edge_node.live import MANIFEST, Live
from edge_node.metrics import EdgeMetrics
from edge_node.reader import Reader
from edge_node.sources import Peer, PeerSource, Source, live_ids, order
from edge_node.store import Entry, Store
from edge_node.upstream import Upstream
from reprise.chunks import PREFIX_CHUNKS, chunk_count
from reprise.errors import NotFound, QuotaExceeded, Unavailable
from reprise.log import get_logger
from reprise.manifests import Manifest
from reprise.service import contained

log = get_logger()
NEGATIVE_S = 2.0
NEGATIVES_MAX = 10_000


@dataclass(frozen=True, slots=True)
class View:
    """The live edges of our region without ourselves, as a balancer last told us."""

    epoch: int = 0
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """What a node is told once."""

    edge_id: str
    origins: tuple[str, ...]
    stream_limit: int


class Node:
    """See the module. Fills and first reads run in `group`, so none outlives the node."""

    def __init__(
        self,
        config: NodeConfig,
        store: Store,
        upstream: Upstream,
        keys: Mapping[str, Ed25519PublicKey],
        group: asyncio.TaskGroup,
        registry: CollectorRegistry,
    ) -> None:
        self.config = config
        self.store = store
        self._view = View()
        self.draining = asyncio.Event()
        # Set by the command to drain; without it the service's own deadline holds.
        self.drain_s_max: float | None = None
        self.metrics = EdgeMetrics(
            registry, lambda: self.streams, self._listeners, lambda: sum(x.waiting for x in self.lives.values())
        )
        self.lives: dict[str, Live] = {}
        self.streams = 0
        self.committed_bps = 0
        self._upstream = upstream
        self._keys = keys
        self._group = group
        self._tasks: set[asyncio.Task[None]] = set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._absent: TTLCache[str, str] = TTLCache(NEGATIVES_MAX, NEGATIVE_S)
        self._bitrates: dict[Reader, int] = {}

    @property
    def view(self) -> View:
        return self._view

    @view.setter
    def view(self, view: View) -> None:
        self._view = view
        self.store.homes.settle(self.config.edge_id, live_ids(view.peers))

    def open(self, rendition_id: str, door: str, first_chunk: int = 0, hops: int = 0) -> Reader:
        """A reader that its caller must close. Raises NotFound (known to be absent), QuotaExceeded, Unavailable."""
        if self.draining.is_set() and door != "relay":
            raise Unavailable("this edge is draining: try the next candidate")
        if self.streams >= self.config.stream_limit:
            self.metrics.requests[door, "refused"] += 1
            raise QuotaExceeded(f"this edge serves its {self.config.stream_limit} streams", retry_after_s=1)
        absent = self._absent.get(rendition_id)
        if absent is not None:
            self.metrics.requests[door, "negative"] += 1
            raise NotFound(absent)
        live = self.lives.get(rendition_id)
        if live is None:
            live = self.lives[rendition_id] = Live(rendition_id, self, self.store.find(rendition_id))
        self.streams += 1
        self._empty.clear()
        return Reader(live, door, first_chunk, hops, self.metrics, self._closed)

    def playing(self, reader: Reader) -> None:
        """The manifest is known: the stream's bitrate counts as committed from now on."""
        if reader not in self._bitrates and reader.manifest is not None:
            self._bitrates[reader] = reader.manifest.rendition.bitrate_bps
            self.committed_bps += self._bitrates[reader]

    async def prewarm(self, rendition_id: str, *, prefix_only: bool) -> None:
        """Returns when the chunks are here. Raises what the fill ended with."""
        reader = self.open(rendition_id, "prewarm")
        try:
            await reader.ready(MANIFEST, PREFIX_CHUNKS if prefix_only else None)
            assert reader.manifest is not None
            count = chunk_count(reader.manifest.size_bytes)
            count = min(count, PREFIX_CHUNKS) if prefix_only else count
            for chunk in range(count):
                await reader.ready(chunk, count)
            reader.settle()
            self.store.keep(rendition_id)
        finally:
            reader.close()

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
        """Starts a fill; returns "peer" when its first source is another edge, else "leader"."""
        sources = self._sources(live.rendition_id, hops)
        fill = Fill(
            self._upstream,
            self.metrics,
            self._keys,
            lambda: self._sources(live.rendition_id, hops),
            lambda: self.view.epoch,
        )
        self.start_task(fill.run(live, fill_id), f"fill.{live.rendition_id[:8]}.{fill_id}")
        return "peer" if sources and isinstance(sources[0], PeerSource) else "leader"

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(contained(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def enter(self, manifest: Manifest) -> Entry:
        return self.store.entry(manifest)

    def may_discover(self) -> bool:
        return self.store.adopting

    async def discover(self, rendition_id: str) -> Entry | None:
        return await self.store.discover(rendition_id)

    def unused(self, live: Live) -> None:
        if self.lives.get(live.rendition_id) is live:
            del self.lives[live.rendition_id]
            live.release()

    # Inside

    def _sources(self, rendition_id: str, hops: int) -> list[Source]:
        return order(rendition_id, self.config.edge_id, list(self.view.peers), self.config.origins, hops)

    def _listeners(self) -> int:
        return sum(reader.door != "relay" for live in self.lives.values() for reader in live.readers)

    def _closed(self, reader: Reader) -> None:
        self.streams -= 1
        self.committed_bps -= self._bitrates.pop(reader, 0)
        if isinstance(reader.error, NotFound):
            self._absent[reader.rendition_id] = reader.error.message
        if self.streams == 0:
            self._empty.set()
