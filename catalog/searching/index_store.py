"""The search index in S3: its files, which never change, and the manifest that names those in use.

Whoever writes replaces the manifest by comparing its ETag, so of two that believe to be the writer one loses, at once and for
good. Needs a store with conditional writes (`If-Match` on PutObject), as S3 and SeaweedFS have them.

Invariant: a manifest is written after all that it names. Files are read back against the digests in it.
"""

import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiohttp import ClientError as TransportError
from botocore.exceptions import BotoCoreError, ClientError

from catalog.searching.manifest import MANIFEST_BYTES_MAX, IndexFile, IndexManifest, from_bytes, to_bytes
from reprise.errors import Conflict, DataCorrupt, NotFound, Unavailable
from reprise.s3 import SEARCH_FILES_PREFIX, SEARCH_MANIFEST_KEY, search_file_key

# Small enough that taking in a piece holds nobody else up.
PIECE_BYTES = 256 << 10
# What one request carries; larger files go up in parts.
UPLOAD_PART_BYTES = 64 << 20
LISTED_MAX = 10_000
_DELETED_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Published:
    """A manifest in the store, with the tag to replace it by."""

    manifest: IndexManifest
    etag: str


class IndexStore:
    """The index in one bucket. `s3` is an aiobotocore client. Any method raises Unavailable when the store does not answer."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    async def current(self) -> Published | None:
        """The manifest in use, None when there is none. Raises DataCorrupt."""
        with_tag = await self._read_manifest({})
        return with_tag if isinstance(with_tag, Published) else None

    async def newer(self, etag: str) -> Published | None:
        """The manifest in use unless it still is the one of this tag. Raises DataCorrupt."""
        return await self._read_manifest({"IfNoneMatch": etag} if etag else {})

    async def replace(self, manifest: IndexManifest, etag: str) -> Published:
        """Puts the manifest in the place of the one with this tag, or of none. Raises Conflict when another is there."""
        body = to_bytes(manifest)
        condition = {"IfMatch": etag} if etag else {"IfNoneMatch": "*"}
        try:
            async with self._answers("writing the search index's manifest"):
                answer = await self._s3.put_object(Bucket=self._bucket, Key=SEARCH_MANIFEST_KEY, Body=body, **condition)
        except Conflict:
            # An attempt whose answer was lost may have won already.
            there = await self.current()
            if there is None or there.manifest != manifest:
                raise
            return there
        return Published(manifest, answer["ETag"])

    async def upload(self, generation: str, file: IndexFile, path: Path) -> None:
        """Stores one file under its digest."""
        key = search_file_key(generation, file.sha256)
        async with self._answers(f"storing {key}"):
            if file.size_bytes <= UPLOAD_PART_BYTES:
                await self._s3.put_object(Bucket=self._bucket, Key=key, Body=path.read_bytes())
            else:
                await self._upload_parts(key, path)

    async def download(self, generation: str, file: IndexFile, path: Path) -> None:
        """Writes one file, whole and as its digest says. Raises NotFound when it is gone, DataCorrupt."""
        key = search_file_key(generation, file.sha256)
        digest, size = hashlib.sha256(), 0
        async with self._answers(f"reading {key}"):
            answer = await self._s3.get_object(Bucket=self._bucket, Key=key)
            async with answer["Body"] as stream:
                with path.open("wb") as target:
                    while size <= file.size_bytes and (piece := await stream.read(PIECE_BYTES)):
                        digest.update(piece)
                        target.write(piece)
                        size += len(piece)
        if size != file.size_bytes or digest.hexdigest() != file.sha256:
            path.unlink()
            raise DataCorrupt(f"{key} is damaged in the store")

    async def stored(self) -> list[str]:
        """Keys of files of any generation, LISTED_MAX at most."""
        keys: list[str] = []
        async with self._answers("listing the search index's files"):
            pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=SEARCH_FILES_PREFIX)
            async for page in pages:
                keys += [entry["Key"] for entry in page.get("Contents", ())]
                if len(keys) >= LISTED_MAX:
                    break
        return keys[:LISTED_MAX]

    async def delete(self, keys: Sequence[str]) -> None:
        """Deletes files; those that are gone already are no error."""
        for at in range(0, len(keys), _DELETED_AT_ONCE):
            objects = [{"Key": key} for key in keys[at : at + _DELETED_AT_ONCE]]
            async with self._answers("deleting files of the search index"):
                await self._s3.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})

    async def _read_manifest(self, condition: dict[str, str]) -> Published | None:
        try:
            async with self._answers("reading the search index's manifest"):
                answer = await self._s3.get_object(Bucket=self._bucket, Key=SEARCH_MANIFEST_KEY, **condition)
                async with answer["Body"] as stream:
                    body = await _all(stream, MANIFEST_BYTES_MAX)
        except NotFound:
            return None
        except _NotModified:
            return None
        return Published(from_bytes(body), answer["ETag"])

    async def _upload_parts(self, key: str, path: Path) -> None:
        place = {"Bucket": self._bucket, "Key": key}
        upload_id = (await self._s3.create_multipart_upload(**place))["UploadId"]
        try:
            parts: list[dict[str, object]] = []
            with path.open("rb") as source:
                while piece := source.read(UPLOAD_PART_BYTES):
                    number = len(parts) + 1
                    answer = await self._s3.upload_part(**place, UploadId=upload_id, PartNumber=number, Body=piece)
                    parts.append({"PartNumber": number, "ETag": answer["ETag"]})
            whole = {"Parts": parts}
            await self._s3.complete_multipart_upload(**place, UploadId=upload_id, MultipartUpload=whole)
        except BaseException:
            await self._s3.abort_multipart_upload(**place, UploadId=upload_id)
            raise

    @asynccontextmanager
    async def _answers(self, doing: str) -> AsyncIterator[None]:
        """Names what S3's answers mean here."""
        try:
            yield
        except ClientError as failure:
            status = failure.response["ResponseMetadata"]["HTTPStatusCode"]
            if status in _MEANING:
                raise _MEANING[status](f"{doing}: {failure.response['Error'].get('Message', status)}") from None
            raise Unavailable(f"{doing}: the store answers {status}", retry_after_s=1) from None
        except (BotoCoreError, TransportError, OSError) as failure:
            raise Unavailable(f"{doing}: {failure or type(failure).__name__}", retry_after_s=1) from None


class _NotModified(Exception):
    """The manifest is the one that is known."""


_MEANING: dict[int, type[Exception]] = {304: _NotModified, 404: NotFound, 409: Conflict, 412: Conflict}


async def _all(stream: Any, bytes_max: int) -> bytes:
    body = b""
    while len(body) <= bytes_max and (piece := await stream.read(PIECE_BYTES)):
        body += piece
    if len(body) > bytes_max:
        raise DataCorrupt(f"the search index's manifest is over {bytes_max} bytes")
    return body
