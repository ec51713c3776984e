"""Renditions and manifests in S3. Touches nothing else, and remembers nothing between calls.

A body that breaks off is resumed at its last good byte under the same ETag: botocore retries calls, never streaming bodies.
Every wait is bounded by `Patience`; an S3 that is down becomes Unavailable when that is used up.
"""

import asyncio
import random
import time
from collections.abc import AsyncGenerator
from typing import Any

from origin.metrics import OriginMetrics
from origin.patience import Patience
from origin.s3_failures import S3_FAILURES, error_of
from reprise import s3, tracing
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.errors import DataCorrupt, RepriseError, Unavailable
from reprise.log import get_logger
from reprise.rpc import RESPONSE_BYTES_MAX

log = get_logger()


class Store:
    """Reads of one bucket through an entered aiobotocore client."""

    def __init__(
        self, client: Any, bucket: str, metrics: OriginMetrics, patience: Patience, rng: random.Random | None = None
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._metrics = metrics
        self._patience = patience
        self._rng = rng or random.Random()  # noqa: S311  # jitter, not a secret

    async def fetch_manifest(self, rendition_id: str) -> bytes:
        """The stored manifest. Raises NotFound, DataCorrupt (impossibly long) or Unavailable."""
        failures, since = 0, time.monotonic()
        with tracing.span("s3.get_manifest", rendition_id=rendition_id):
            while True:
                try:
                    return await self._get_manifest(rendition_id)
                except S3_FAILURES as failure:
                    failures += 1
                    error = self._failed("get_manifest", failure, f"manifest of {rendition_id}")
                    await self._pause_or_raise("get_manifest", error, failures, since)

    async def read(self, rendition_id: str, span: ByteRange, size_bytes: int) -> AsyncGenerator[bytes, None]:
        """The bytes of `span` in pieces of at most a chunk, across failures; close it early to stop reading.

        Raises NotFound, DataCorrupt (the object's size is not `size_bytes`, or it changed) or Unavailable.
        """
        at, etag, failures, since = span.start, "", 0, time.monotonic()
        resumed_at = at
        while at < span.end:
            try:
                async with asyncio.timeout(self._patience.idle_s_max):
                    response = await self._get_range(rendition_id, ByteRange(at, span.end), etag)
                etag = _checked_etag(response, rendition_id, size_bytes)
                async with response["Body"] as body:
                    while at < span.end:
                        piece = await self._next_piece(body)
                        at, since = at + len(piece), time.monotonic()
                        yield piece
            except S3_FAILURES as failure:
                # A trickle of bytes between failures must not make the read endless, so only whole chunks count.
                failures = failures + 1 if at - resumed_at < CHUNK_BYTES else 1
                resumed_at = at
                error = self._failed("get_range", failure, f"rendition {rendition_id} at byte {at}")
                await self._pause_or_raise("get_range", error, failures, since)

    async def check(self) -> str:
        """What is missing for this store to be used; empty when nothing is."""
        self._metrics.s3_requests.labels("head_bucket").inc()
        try:
            async with asyncio.timeout(self._patience.idle_s_max):
                await self._client.head_bucket(Bucket=self._bucket)
        except S3_FAILURES as failure:
            return self._failed("head_bucket", failure, f"bucket {self._bucket!r}").message
        return ""

    async def _get_manifest(self, rendition_id: str) -> bytes:
        self._metrics.s3_requests.labels("get_manifest").inc()
        async with asyncio.timeout(self._patience.idle_s_max):
            response = await self._client.get_object(Bucket=self._bucket, Key=s3.manifest_key(rendition_id))
            async with response["Body"] as body:
                if response["ContentLength"] > RESPONSE_BYTES_MAX:
                    raise DataCorrupt(f"manifest of {rendition_id} has {response['ContentLength']} bytes")
                data: bytes = await body.read()
        return data

    async def _get_range(self, rendition_id: str, span: ByteRange, etag: str) -> Any:
        self._metrics.s3_requests.labels("get_range").inc()
        same = {"IfMatch": etag} if etag else {}
        wanted = f"bytes={span.start}-{span.end - 1}"
        return await self._client.get_object(
            Bucket=self._bucket, Key=s3.rendition_key(rendition_id), Range=wanted, **same
        )

    async def _next_piece(self, body: Any) -> bytes:
        async with asyncio.timeout(self._patience.idle_s_max):
            piece: bytes = await body.read(CHUNK_BYTES)
        if not piece:
            raise ConnectionError("the body ended early")
        self._metrics.s3_read_bytes.inc(len(piece))
        return piece

    def _failed(self, op: str, failure: Exception, what: str) -> RepriseError:
        error = error_of(failure, what)
        self._metrics.s3_failures.labels(op, type(error).__name__).inc()
        return error

    async def _pause_or_raise(self, op: str, error: RepriseError, failures: int, since: float) -> None:
        if not isinstance(error, Unavailable) or self._patience.exhausted(failures, time.monotonic() - since):
            raise error from None
        self._metrics.s3_retries.labels(op).inc()
        log.warning("s3_retry", op=op, reason=error.message, failures=failures)
        await asyncio.sleep(self._patience.pause_s(failures, self._rng))


def _checked_etag(response: Any, rendition_id: str, size_bytes: int) -> str:
    """The ETag of a range response of an object that has the size its manifest says."""
    total = str(response.get("ContentRange", "")).rpartition("/")[2]
    if total != str(size_bytes):
        response["Body"].close()
        raise DataCorrupt(
            f"rendition {rendition_id} has {total or 'an unknown number of'} bytes in S3, not {size_bytes}"
        )
    return str(response["ETag"])
