"""One fill: reads a span of chunks from the first source that gives them, and from the next one where that stops.

The fill resumes at the first chunk that is missing, so a dying source costs at most the chunk under way. A round over all
sources that brings nothing new counts against the budget; progress refills it. Listeners notice nothing but a pause until the
budget is gone.
"""

import asyncio
import random
from collections.abc import Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_node.coalescing import UNKNOWN_COUNT, Outcome
from edge_node.live import Live
from edge_node.metrics import EdgeMetrics
from edge_node.sources import OriginSource, PeerSource, Source
from edge_node.upstream import Span, Upstream
from reprise import manifests, tracing
from reprise.errors import DataCorrupt, NotFound, QuotaExceeded, RepriseError
from reprise.log import get_logger
from reprise.types.v1.types_pb2 import SignedManifest

log = get_logger()
ROUNDS_MAX = 3
_BACKOFF_S = 0.1


class _NoRoomError(Exception):
    """The store refused the chunk."""


class Fill:
    """Runs one fill of one Live to its outcome."""

    def __init__(
        self,
        upstream: Upstream,
        metrics: EdgeMetrics,
        keys: Mapping[str, Ed25519PublicKey],
        sources: Callable[[], list[Source]],
        view_epoch: Callable[[], int],
    ) -> None:
        self._upstream = upstream
        self._metrics = metrics
        self._keys = keys
        self._sources = sources
        self._view_epoch = view_epoch
        self._failures: list[RepriseError] = []

    async def run(self, live: Live, fill_id: int) -> None:
        """Never raises but for cancellation: whatever happens has an outcome, and `live` is told."""
        outcome, reason = Outcome.STOPPED, "this edge is stopping: try the next candidate"
        try:
            with tracing.span("edge.fill", rendition_id=live.rendition_id):
                outcome, reason = await self._rounds(live, fill_id)
        finally:
            self._metrics.fills[outcome.value] += 1
            if outcome not in (Outcome.STORED, Outcome.ABSENT):
                log.warning("fill_ended", rendition_id=live.rendition_id, outcome=outcome.value, reason=reason)
            live.ended(fill_id, outcome, reason)

    async def _rounds(self, live: Live, fill_id: int) -> tuple[Outcome, str]:
        idle_rounds = 0
        while idle_rounds < ROUNDS_MAX:
            before = live.position(fill_id)
            for source in self._sources():
                ended = await self._try(live, fill_id, source)
                if ended is not None:
                    return ended
            idle_rounds = idle_rounds + 1 if live.position(fill_id) == before else 0
            # Full jitter: all edges that lost the same source come back at different moments.
            await asyncio.sleep(random.uniform(0, _BACKOFF_S * 2**idle_rounds))  # noqa: S311
        return self._given_up(live)

    async def _try(self, live: Live, fill_id: int, source: Source) -> tuple[Outcome, str] | None:
        """One source; None when the next one should go on."""
        try:
            await self._read(live, fill_id, source)
        except _NoRoomError as error:
            return Outcome.REFUSED, str(error)
        except NotFound as error:
            # An origin's word is final. A peer's may rest on a moment that has passed.
            if isinstance(source, OriginSource):
                return Outcome.ABSENT, error.message
            self._failed(source, error, live)
        except RepriseError as error:
            self._failed(source, error, live)
        if live.purged:
            return Outcome.PURGED, "this song is no longer available"
        return (Outcome.STORED, "") if live.entry is not None and live.remaining(fill_id) <= 0 else None

    async def _read(self, live: Live, fill_id: int, source: Source) -> None:
        remaining = live.remaining(fill_id)
        count = remaining if remaining < UNKNOWN_COUNT // 2 else 0
        span = Span(live.rendition_id, live.position(fill_id), count)
        items = self._upstream.read(source, span, self._view_epoch())
        kind = "peer" if isinstance(source, PeerSource) else "origin"
        try:
            async for item in items:
                if live.purged:
                    return
                if isinstance(item, SignedManifest):
                    self._open(live, item)
                    if live.remaining(fill_id) <= 0:
                        return
                elif not self._store(live, fill_id, item, kind):
                    return
        finally:
            await items.aclose()

    def _open(self, live: Live, signed: SignedManifest) -> None:
        manifest = manifests.verify(signed, self._keys, live.rendition_id)
        try:
            live.opened(manifest)
        except QuotaExceeded as error:
            raise _NoRoomError(error.message) from None

    def _store(self, live: Live, fill_id: int, data: bytes, kind: str) -> bool:
        if live.entry is None:
            raise DataCorrupt("a source sent chunks before the manifest")
        try:
            more = live.arrived(fill_id, data)
        except QuotaExceeded as error:
            raise _NoRoomError(error.message) from None
        live.brought[kind] += len(data)
        self._metrics.fill_bytes[kind] += len(data)
        return more

    def _failed(self, source: Source, error: RepriseError, live: Live) -> None:
        kind = "peer" if isinstance(source, PeerSource) else "origin"
        self._metrics.source_failures[kind] += 1
        if isinstance(error, DataCorrupt):
            self._metrics.corrupt_upstream += 1
        self._failures = [*self._failures[-3:], error]
        log.info("source_failed", rendition_id=live.rendition_id, source=source.address, reason=error.message)

    def _given_up(self, live: Live) -> tuple[Outcome, str]:
        if self._failures and all(isinstance(f, DataCorrupt) for f in self._failures):
            return Outcome.CORRUPT, f"every source sent wrong bytes for {live.rendition_id}"
        last = self._failures[-1].message if self._failures else "no source is known"
        return Outcome.UNREACHABLE, f"no source has the bytes now: {last}"
