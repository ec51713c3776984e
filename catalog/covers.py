"""Cover images over HTTP: GET|HEAD /covers/<id>, where the id is the SHA-256 of the image.

An id names its bytes for ever: an answer is immutable, the ETag is the id, and a client that has the ETag gets 304 without
a look at S3. Images are kept in memory up to a number of bytes, and any number of listeners that want the same cold cover
cause one read. What S3 gives is checked against the id before it leaves.
"""

import asyncio
import hashlib
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from cachetools import LRUCache

from catalog.metrics import CatalogMetrics
from catalog.model import COVERS_PATH
from reprise import rpc
from reprise.errors import DataCorrupt, NotFound, RepriseError, Unavailable
from reprise.http_message import Request, Response, text_response
from reprise.ids import check_sha256
from reprise.log import get_logger
from reprise.s3 import cover_key

log = get_logger()

COVER_BYTES_MAX = 8 << 20
READS_MAX = 32
READ_S_MAX = 5.0
# By their first bytes, not by what an uploader claimed; anything else is not shown as an image.
_SIGNATURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"))


class Covers:
    """Serves covers of one bucket. `s3` is an aiobotocore client."""

    def __init__(self, s3: Any, bucket: str, cache_bytes_max: int, metrics: CatalogMetrics) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._cache: LRUCache[str, bytes] = LRUCache(cache_bytes_max, getsizeof=len)
        self._reads: dict[str, asyncio.Task[bytes]] = {}
        self._metrics = metrics
        metrics.cover_cache_bytes.set_function(lambda: self._cache.currsize)

    async def handle(self, request: Request) -> Response:
        """The answer to one request; never raises for a client's or S3's fault."""
        cover_id = request.path.removeprefix(COVERS_PATH)
        try:
            check_sha256(cover_id, "cover id")
            if _holds(request, cover_id):
                self._count("not_modified")
                return Response(304, _headers(cover_id))
            body = await self._body(cover_id)
        except RepriseError as error:
            self._count(_RESULTS.get(type(error), "invalid"))
            return text_response(rpc.HTTP_STATUS[type(error)], error.message)
        headers = (("content-type", _media_type(body)), *_headers(cover_id))
        if request.method == "HEAD":
            return Response(200, headers, content_length=len(body))
        return Response(200, headers, body)

    async def _body(self, cover_id: str) -> bytes:
        cached = self._cache.get(cover_id)
        if cached is not None:
            self._count("hit")
            return cached
        read = self._reads.get(cover_id)
        if read is None:
            if len(self._reads) >= READS_MAX:
                raise Unavailable(f"{READS_MAX} covers are being read: try again", retry_after_s=1)
            read = self._reads[cover_id] = asyncio.create_task(self._read(cover_id))
            read.add_done_callback(lambda _done: self._reads.pop(cover_id, None))
        # Shielded: who hangs up leaves the read to those who wait for the same cover.
        body = await asyncio.shield(read)
        self._count("miss")
        return body

    async def _read(self, cover_id: str) -> bytes:
        try:
            async with asyncio.timeout(READ_S_MAX):
                body = await self._fetch(cover_id)
        except (ClientError, BotoCoreError, OSError) as failure:
            if isinstance(failure, ClientError) and failure.response["Error"]["Code"] in ("NoSuchKey", "404"):
                raise NotFound(f"no cover {cover_id}") from None
            log.warning("cover_read_failed", cover_id=cover_id, reason=str(failure))
            raise Unavailable("the store of covers does not answer: try again", retry_after_s=1) from None
        if hashlib.sha256(body).hexdigest() != cover_id:
            log.error("cover_corrupt", cover_id=cover_id)
            raise DataCorrupt(f"cover {cover_id} is damaged in the store, or over {COVER_BYTES_MAX} bytes")
        if len(body) <= self._cache.maxsize:
            self._cache[cover_id] = body
        return body

    async def _fetch(self, cover_id: str) -> bytes:
        answer = await self._s3.get_object(Bucket=self._bucket, Key=cover_key(cover_id))
        async with answer["Body"] as stream:
            return bytes(await stream.read(COVER_BYTES_MAX))

    def _count(self, result: str) -> None:
        self._metrics.covers.labels(result).inc()


_RESULTS: dict[type[RepriseError], str] = {NotFound: "missing", Unavailable: "unavailable", DataCorrupt: "corrupt"}


def _holds(request: Request, cover_id: str) -> bool:
    """Whether the client says that it has these bytes."""
    tags = request.headers.get("if-none-match", "").split(",")
    return any(tag.strip().removeprefix("W/") == f'"{cover_id}"' for tag in tags)


def _headers(cover_id: str) -> tuple[tuple[str, str], ...]:
    return (
        ("etag", f'"{cover_id}"'),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
    )


def _media_type(body: bytes) -> str:
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return next((media for signature, media in _SIGNATURES if body.startswith(signature)), "application/octet-stream")
