"""Signed manifests from the store, exactly as ingest signed them: players verify them, the catalog does not.

A manifest is named by the digest of what it describes, so it never changes and is kept in memory up to a number of bytes. Any
number of listeners that want the same one cause one read.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from cachetools import LRUCache
from google.protobuf.message import DecodeError
from prometheus_client import CollectorRegistry, Counter, Gauge

from reprise.errors import DataCorrupt, Unavailable
from reprise.log import get_logger
from reprise.s3 import manifest_key
from reprise.types.v1.types_pb2 import SignedManifest

log = get_logger()

# Of a rendition of 4 GiB, the largest there is, with room for its segments.
MANIFEST_BYTES_MAX = 3 << 20
READS_MAX = 32
WAITING_MAX = 512
READ_S_MAX = 5.0
_MISSING = ("NoSuchKey", "404")


class ManifestMetrics:
    """Counters and gauges of one catalog's manifests, in the registry given."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.manifests = Counter(
            "reprise_catalog_manifests_total",
            "Manifests asked for by result: held, joined, read, missing, corrupt, unavailable, refused",
            ["result"],
            registry=registry,
        )
        self.bytes = Gauge("reprise_catalog_manifest_cache_bytes", "Bytes of manifests in memory", registry=registry)


class SignedManifests:
    """Manifests of one bucket. `s3` is an aiobotocore client."""

    def __init__(self, s3: Any, bucket: str, cache_bytes_max: int, metrics: ManifestMetrics) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._held: LRUCache[str, SignedManifest] = LRUCache(cache_bytes_max, getsizeof=SignedManifest.ByteSize)
        self._reads: dict[str, asyncio.Task[SignedManifest]] = {}
        self._places = asyncio.Semaphore(READS_MAX)
        self._count = metrics.manifests.labels
        metrics.bytes.set_function(lambda: self._held.currsize)

    async def get(self, rendition_ids: Sequence[str]) -> list[SignedManifest]:
        """The manifests in that order. Raises DataCorrupt for one that is missing or damaged, or Unavailable."""
        return await asyncio.gather(*map(self._get, rendition_ids))

    async def close(self) -> None:
        """Ends what is being read."""
        reads = list(self._reads.values())
        for read in reads:
            read.cancel()
        await asyncio.gather(*reads, return_exceptions=True)

    async def _get(self, rendition_id: str) -> SignedManifest:
        held = self._held.get(rendition_id)
        if held is not None:
            self._count("held").inc()
            return held
        read = self._reads.get(rendition_id)
        if read is not None:
            self._count("joined").inc()
        elif len(self._reads) >= WAITING_MAX:
            self._count("refused").inc()
            raise Unavailable(f"{WAITING_MAX} manifests are being read: try again", retry_after_s=1)
        else:
            read = self._reads[rendition_id] = asyncio.create_task(self._read(rendition_id))
            read.add_done_callback(lambda ended: self._ended(rendition_id, ended))
        # Shielded: who hangs up leaves the read to those who wait for the same manifest.
        return await asyncio.shield(read)

    def _ended(self, rendition_id: str, read: asyncio.Task[SignedManifest]) -> None:
        del self._reads[rendition_id]
        if not read.cancelled():
            # Known to whoever still waits; else there is nobody to tell.
            read.exception()

    async def _read(self, rendition_id: str) -> SignedManifest:
        try:
            async with asyncio.timeout(READ_S_MAX), self._places:
                body = await self._fetch(rendition_id)
            signed = SignedManifest.FromString(body)
        except (ClientError, BotoCoreError, OSError, DecodeError) as failure:
            raise self._lost(rendition_id, failure) from None
        if len(body) > MANIFEST_BYTES_MAX:
            raise self._lost(rendition_id, DecodeError("too long"))
        self._count("read").inc()
        if signed.ByteSize() <= self._held.maxsize:
            self._held[rendition_id] = signed
        return signed

    async def _fetch(self, rendition_id: str) -> bytes:
        answer = await self._s3.get_object(Bucket=self._bucket, Key=manifest_key(rendition_id))
        body = bytearray()
        async with answer["Body"] as stream:
            # One read may give less than is there.
            while len(body) <= MANIFEST_BYTES_MAX and (part := await stream.read(MANIFEST_BYTES_MAX)):
                body += part
        return bytes(body)

    def _lost(self, rendition_id: str, failure: Exception) -> DataCorrupt | Unavailable:
        if isinstance(failure, DecodeError):
            self._count("corrupt").inc()
            log.error("manifest_corrupt", rendition_id=rendition_id)
            return DataCorrupt(f"the manifest of rendition {rendition_id} is damaged in the store")
        if isinstance(failure, ClientError) and failure.response["Error"]["Code"] in _MISSING:
            self._count("missing").inc()
            log.error("manifest_missing", rendition_id=rendition_id)
            return DataCorrupt(f"the store has no manifest of rendition {rendition_id}")
        self._count("unavailable").inc()
        log.warning("manifest_read_failed", rendition_id=rendition_id, reason=str(failure))
        return Unavailable("the store of manifests does not answer: try again", retry_after_s=1)
