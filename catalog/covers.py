"""Cover images over HTTP: GET|HEAD /covers/<id>, where the id is the SHA-256 of the image; /covers/<id>/<px> is it scaled down.

An id names its bytes for ever: an answer is immutable, and a client that has it gets 304 without a look at S3. Where a size was
not made, the next larger one is sent, else the image itself. Images are kept in memory up to a number of bytes, and any number
of listeners that want the same cold cover cause one read. What S3 gives is checked against the id before it leaves; of a
smaller size, which has no digest, only that it is an image.
"""

import asyncio
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError
from cachetools import LRUCache

from catalog.metrics import CatalogMetrics
from catalog.model import COVERS_PATH
from reprise import rpc
from reprise.errors import DataCorrupt, InvalidRequest, NotFound, RepriseError, Unavailable
from reprise.http_message import Request, Response, text_response
from reprise.ids import check_sha256
from reprise.log import get_logger
from reprise.s3 import cover_key, cover_size_key

log = get_logger()

COVER_BYTES_MAX = 8 << 20
SIZE_PX_MAX = 9999
# Of one cover, looked at when a size is not there.
SIZES_MAX = 100
READS_MAX = 32
READ_S_MAX = 5.0
_TAG = re.compile(r'"(?P<cover_id>[0-9a-f]{64})(?:-(?P<px>[0-9]{1,4}))?"')
_UNKNOWN = "application/octet-stream"
# By their first bytes, not by what an uploader claimed; anything else is not shown as an image.
_SIGNATURES = ((b"\xff\xd8\xff", "image/jpeg"), (b"\x89PNG\r\n\x1a\n", "image/png"), (b"GIF8", "image/gif"))


@dataclass(frozen=True, slots=True)
class _Name:
    """An image as it is asked for: 0 pixels are the image itself."""

    cover_id: str
    px: int

    @property
    def key(self) -> str:
        return cover_size_key(self.cover_id, self.px) if self.px else cover_key(self.cover_id)

    @property
    def tag(self) -> str:
        return f'"{self.cover_id}-{self.px}"' if self.px else f'"{self.cover_id}"'


@dataclass(frozen=True, slots=True)
class _Image:
    """What there is: `name` may be of a larger size than was asked for."""

    name: _Name
    body: bytes


class Covers:
    """Serves covers of one bucket. `s3` is an aiobotocore client."""

    def __init__(self, s3: Any, bucket: str, cache_bytes_max: int, metrics: CatalogMetrics) -> None:
        self._s3 = s3
        self._bucket = bucket
        # By what was asked for.
        self._cache: LRUCache[_Name, _Image] = LRUCache(cache_bytes_max, getsizeof=lambda image: len(image.body))
        self._reads: dict[_Name, asyncio.Task[_Image]] = {}
        self._metrics = metrics
        metrics.cover_cache_bytes.set_function(lambda: self._cache.currsize)

    async def handle(self, request: Request) -> Response:
        """The answer to one request; never raises for a client's or S3's fault."""
        try:
            asked = _parse(request.path)
            if held := _held(request, asked):
                self._count("not_modified")
                return Response(304, _headers(held))
            image = await self._image(asked)
        except RepriseError as error:
            self._count(_RESULTS.get(type(error), "invalid"))
            return text_response(rpc.HTTP_STATUS[type(error)], error.message)
        headers = (("content-type", _media_type(image.body)), *_headers(image.name.tag))
        if request.method == "HEAD":
            return Response(200, headers, content_length=len(image.body))
        return Response(200, headers, image.body)

    async def _image(self, asked: _Name) -> _Image:
        cached = self._cache.get(asked)
        if cached is not None:
            self._count("hit")
            return cached
        read = self._reads.get(asked)
        if read is None:
            if len(self._reads) >= READS_MAX:
                raise Unavailable(f"{READS_MAX} covers are being read: try again", retry_after_s=1)
            read = self._reads[asked] = asyncio.create_task(self._read(asked))
            read.add_done_callback(lambda _done: self._reads.pop(asked, None))
        # Shielded: who hangs up leaves the read to those who wait for the same cover.
        image = await asyncio.shield(read)
        self._count("miss")
        return image

    async def _read(self, asked: _Name) -> _Image:
        try:
            async with asyncio.timeout(READ_S_MAX):
                image = await self._find(asked)
        except (ClientError, BotoCoreError, OSError) as failure:
            log.warning("cover_read_failed", cover_id=asked.cover_id, reason=str(failure))
            raise Unavailable("the store of covers does not answer: try again", retry_after_s=1) from None
        if not _is_whole(image):
            log.error("cover_corrupt", cover_id=asked.cover_id, px=image.name.px)
            raise DataCorrupt(f"cover {asked.cover_id} is damaged in the store, or over {COVER_BYTES_MAX} bytes")
        if len(image.body) <= self._cache.maxsize:
            self._cache[asked] = image
        return image

    async def _find(self, asked: _Name) -> _Image:
        """What there is of what was asked for."""
        body = await self._fetch(asked)
        if body is None and asked.px:
            asked = _Name(asked.cover_id, await self._next_larger(asked))
            body = await self._fetch(asked)
        if body is None:
            raise NotFound(f"no cover {asked.cover_id}")
        return _Image(asked, body)

    async def _next_larger(self, asked: _Name) -> int:
        """The next size that was made, 0 for the image itself."""
        prefix = f"{cover_key(asked.cover_id)}/"
        answer = await self._s3.list_objects_v2(Bucket=self._bucket, Prefix=prefix, MaxKeys=SIZES_MAX)
        sizes = (found["Key"].removeprefix(prefix) for found in answer.get("Contents", ()))
        return min((int(size) for size in sizes if size.isdecimal() and int(size) > asked.px), default=0)

    async def _fetch(self, name: _Name) -> bytes | None:
        """The object, at most one byte more than is allowed; None when there is none."""
        try:
            answer = await self._s3.get_object(Bucket=self._bucket, Key=name.key)
        except ClientError as failure:
            if failure.response["Error"]["Code"] in ("NoSuchKey", "404"):
                return None
            raise
        body = bytearray()
        async with answer["Body"] as stream:
            # A read gives what has arrived, not all that was asked for.
            while len(body) <= COVER_BYTES_MAX and (piece := await stream.read(COVER_BYTES_MAX + 1 - len(body))):
                body += piece
        return bytes(body)

    def _count(self, result: str) -> None:
        self._metrics.covers.labels(result).inc()


_RESULTS: dict[type[RepriseError], str] = {NotFound: "missing", Unavailable: "unavailable", DataCorrupt: "corrupt"}


def _parse(path: str) -> _Name:
    cover_id, slash, size = path.removeprefix(COVERS_PATH).partition("/")
    check_sha256(cover_id, "cover id")
    if not slash:
        return _Name(cover_id, 0)
    if not (size.isascii() and size.isdecimal() and len(size) <= len(str(SIZE_PX_MAX)) and int(size)):
        raise InvalidRequest(f"size of a cover must be 1 to {SIZE_PX_MAX} pixels, not {size[:20]!r}")
    return _Name(cover_id, int(size))


def _held(request: Request, asked: _Name) -> str:
    """The tag by which the client says that it has an answer to this; empty when it does not. A size may have come larger."""
    for tag in request.headers.get("if-none-match", "").split(","):
        found = _TAG.fullmatch(tag.strip().removeprefix("W/"))
        if found is not None and found["cover_id"] == asked.cover_id:
            px = int(found["px"] or 0)
            if px == asked.px or (asked.px and (px == 0 or px > asked.px)):
                return found[0]
    return ""


def _is_whole(image: _Image) -> bool:
    if len(image.body) > COVER_BYTES_MAX:
        return False
    if image.name.px:
        return _media_type(image.body) != _UNKNOWN
    return hashlib.sha256(image.body).hexdigest() == image.name.cover_id


def _headers(tag: str) -> tuple[tuple[str, str], ...]:
    return (
        ("etag", tag),
        ("cache-control", "public, max-age=31536000, immutable"),
        ("x-content-type-options", "nosniff"),
    )


def _media_type(body: bytes) -> str:
    if body[:4] == b"RIFF" and body[8:12] == b"WEBP":
        return "image/webp"
    return next((media for signature, media in _SIGNATURES if body.startswith(signature)), _UNKNOWN)
