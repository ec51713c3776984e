"""What the origin knows of renditions: their manifests, kept in memory, and their chunks, through `origin.reads`.

Manifests are handed on as they were signed; edges verify the signature, the origin only needs size and digests. What S3
does not have is remembered for two seconds, so a storm on an unknown id costs one S3 request.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable

from cachetools import LRUCache, TTLCache
from google.protobuf.message import DecodeError

from origin.gate import Gate
from origin.metrics import OriginMetrics
from origin.reads import Reads
from origin.store import Store
from reprise import manifests
from reprise.errors import DataCorrupt, NotFound, OutOfRange
from reprise.ids import check_sha256
from reprise.manifests import Manifest
from reprise.types.v1.types_pb2 import SignedManifest

MANIFEST_BYTES_MAX = 32 << 20
ABSENT_MAX = 4096
ABSENT_S = 2.0


class Library:
    """Manifests and chunks by rendition id."""

    def __init__(
        self, store: Store, reads: Reads, gate: Gate, metrics: OriginMetrics, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._reads = reads
        self._gate = gate
        self._metrics = metrics
        self._manifests: LRUCache[str, Manifest] = LRUCache(MANIFEST_BYTES_MAX, getsizeof=_bytes_of)
        self._absent: TTLCache[str, str] = TTLCache(ABSENT_MAX, ABSENT_S, timer=clock)
        self._fetching: dict[str, asyncio.Task[Manifest]] = {}

    async def manifest(self, rendition_id: str) -> Manifest:
        """The manifest of a rendition. Raises InvalidRequest, NotFound, DataCorrupt, QuotaExceeded or Unavailable."""
        check_sha256(rendition_id, "rendition_id")
        if (message := self._absent.get(rendition_id)) is not None:
            self._metrics.manifests.labels("absent").inc()
            raise NotFound(message)
        if (manifest := self._manifests.get(rendition_id)) is not None:
            self._metrics.manifests.labels("held").inc()
            return manifest
        return await self._shared_fetch(rendition_id)

    async def chunks(self, rendition_id: str, first: int, count: int) -> AsyncGenerator[bytes, None]:
        """`count` chunks from `first` on (0 means to the end). Raises as `manifest` does, and OutOfRange."""
        manifest = await self.manifest(rendition_id)
        chunks = len(manifest.digests)
        if first >= chunks:
            raise OutOfRange(f"rendition {rendition_id} has {chunks} chunks, none at {first}")
        try:
            async for chunk in self._reads.chunks(manifest, first, min(first + count, chunks) if count else chunks):
                yield chunk
        except NotFound as absence:
            self._forget(rendition_id, absence)
            raise

    async def close(self) -> None:
        """Ends what is being fetched."""
        for task in self._fetching.values():
            task.cancel()
        await asyncio.gather(*self._fetching.values(), return_exceptions=True)

    async def _shared_fetch(self, rendition_id: str) -> Manifest:
        task = self._fetching.get(rendition_id)
        self._metrics.manifests.labels("joined" if task else "fetched").inc()
        if task is None:
            task = asyncio.create_task(self._fetch(rendition_id), name=f"manifest-{rendition_id[:8]}")
            self._fetching[rendition_id] = task
            task.add_done_callback(lambda ended: self._fetched(rendition_id, ended))
        # Shielded: the fetch goes on for the others when this caller leaves.
        return await asyncio.shield(task)

    async def _fetch(self, rendition_id: str) -> Manifest:
        async with self._gate.place():
            data = await self._store.fetch_manifest(rendition_id)
        try:
            signed = SignedManifest.FromString(data)
        except DecodeError:
            raise DataCorrupt(f"manifest of {rendition_id} is not a signed manifest") from None
        return manifests.parse(signed, rendition_id)

    def _fetched(self, rendition_id: str, task: asyncio.Task[Manifest]) -> None:
        del self._fetching[rendition_id]
        if task.cancelled():
            return
        failure = task.exception()
        if failure is None:
            self._manifests[rendition_id] = task.result()
        elif isinstance(failure, NotFound):
            self._forget(rendition_id, failure)

    def _forget(self, rendition_id: str, absence: NotFound) -> None:
        self._manifests.pop(rendition_id, None)
        self._absent[rendition_id] = absence.message


def _bytes_of(manifest: Manifest) -> int:
    """About what a manifest takes in memory: its message, and its digests once more as objects."""
    return len(manifest.signed.manifest) + 80 * len(manifest.digests)
