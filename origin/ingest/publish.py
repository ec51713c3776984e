"""Puts a prepared song into the mesh: objects into S3, then the song into the catalog. Every step may be repeated.

The order makes a crash harmless: renditions, then their manifests, then the catalog. What the catalog names is in S3, and what
an interrupted import left in S3 is found again by its hash.
"""

import asyncio
import hashlib
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import grpc
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from origin.ingest import boxes
from origin.ingest.covers import Cover
from origin.ingest.encoding import Encoded
from origin.ingest.job import Prepared
from origin.ingest.tag_rules import Credit
from origin.patience import Patience
from origin.s3_failures import S3_FAILURES, error_of
from reprise import grants, manifests, rpc, s3
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogAdminServiceStub
from reprise.errors import NotFound, Unavailable
from reprise.types.v1 import types_pb2

CALL_S_MAX = 10.0
TOKEN_S = 3600
PATIENCE = Patience(attempts_max=6, total_s_max=30.0, pause_base_s=0.2, pause_s_max=2.0)
_CODECS = {"opus": types_pb2.CODEC_OPUS, "aac": types_pb2.CODEC_AAC, "flac": types_pb2.CODEC_FLAC}

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Published:
    """The song that a source file is; `created` is False when it was one before."""

    song_id: str
    created: bool


class Objects:
    """The bucket, for writing. An object that is there in the right size is left alone: keys are hashes of the content."""

    def __init__(self, client: Any, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    async def put(self, key: str, data: bytes, mime_type: str) -> None:
        """Stores `data` unless it is there. Raises Unavailable."""
        try:
            if await self._size_bytes(key) != len(data):
                await self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=mime_type)
        except S3_FAILURES as failure:
            raise error_of(failure, key) from None

    async def _size_bytes(self, key: str) -> int | None:
        try:
            head = await self._client.head_object(Bucket=self._bucket, Key=key)
        except S3_FAILURES as failure:
            if isinstance(error_of(failure, key), NotFound):
                return None
            raise
        return int(head["ContentLength"])


class Publisher:
    """Uploads and publishes with the operator's and the signing key."""

    def __init__(
        self,
        objects: Objects,
        channel: grpc.aio.Channel,
        *,
        operator_key: bytes,
        signing_key: Ed25519PrivateKey,
        patience: Patience = PATIENCE,
        release_at_unix_ms: int = 0,
    ) -> None:
        """`release_at_unix_ms` is when the songs come out, with their albums; 0 is at once."""
        self._objects = objects
        self._catalog = CatalogAdminServiceStub(channel)
        self._operator_key = operator_key
        self._signing_key = signing_key
        self._patience = patience
        self._release_at_unix_ms = release_at_unix_ms
        self._key_id = manifests.key_id_of(signing_key.public_key())
        self._rng = random.Random()  # noqa: S311  # jitter, not a secret

    async def find_known(self, sources: Sequence[str]) -> dict[str, str]:
        """Song ids of those `sources` (SHA-256 of files) that are published."""
        request = pb.FindSourcesRequest(source_sha256=sources)
        answer: pb.FindSourcesResponse = await self._call(lambda **how: self._catalog.FindSources(request, **how))
        return {found.source_sha256: found.song_id for found in answer.found}

    async def publish(self, source_sha256: str, song: Prepared) -> Published:
        """Uploads the song's objects and publishes it.

        Raises InvalidRequest or NotReady when the catalog refuses it, else Unavailable.
        """
        renditions = [await self._upload(encoded) for encoded in song.renditions]
        if song.cover:
            await self._upload_cover(song.cover)
        request = _request(source_sha256, song, renditions)
        request.available_from_unix_ms = self._release_at_unix_ms
        answer: pb.PublishSongResponse = await self._call(lambda **how: self._catalog.PublishSong(request, **how))
        return Published(answer.song_id, answer.created)

    async def _upload(self, encoded: Encoded) -> types_pb2.Rendition:
        data, rendition_id, digests, segments = await asyncio.to_thread(_load, Path(encoded.path))
        rendition = types_pb2.Rendition(
            rendition_id=rendition_id,
            codec=_CODECS[encoded.codec],
            bitrate_bps=len(data) * 8000 // max(1, encoded.duration_ms),
            size_bytes=len(data),
            duration_ms=encoded.duration_ms,
            sample_rate_hz=encoded.sample_rate_hz,
            channels=encoded.channels,
            mime_type=encoded.mime_type,
            delay_samples=encoded.delay_samples,
            padding_samples=encoded.padding_samples,
            samples=encoded.samples,
        )
        manifest = manifests.sign(rendition, digests, self._key_id, self._signing_key, segments)
        signed = manifest.SerializeToString(deterministic=True)
        await self._objects.put(s3.rendition_key(rendition_id), data, encoded.mime_type)
        await self._objects.put(s3.manifest_key(rendition_id), signed, "application/x-protobuf")
        return rendition

    async def _upload_cover(self, cover: Cover) -> None:
        """The scaled ones first: whoever finds the cover finds its sizes."""
        for edge_px in cover.sizes_px:
            data = await asyncio.to_thread(cover.size_path(edge_px).read_bytes)
            await self._objects.put(s3.cover_size_key(cover.sha256, edge_px), data, "image/jpeg")
        data = await asyncio.to_thread(Path(cover.path).read_bytes)
        await self._objects.put(s3.cover_key(cover.sha256), data, cover.mime_type)

    async def _call(self, call: Callable[..., Awaitable[Answer]]) -> Answer:
        """One RPC, repeated while the catalog is unavailable and patience lasts."""
        failures, since = 0, time.monotonic()
        while True:
            try:
                return await call(timeout=CALL_S_MAX, metadata=self._metadata())
            except grpc.aio.AioRpcError as failure:
                failures += 1
                error = rpc.error_of(failure, "catalog")
                if not isinstance(error, Unavailable) or self._patience.exhausted(failures, time.monotonic() - since):
                    raise error from None
            await asyncio.sleep(self._patience.pause_s(failures, self._rng))

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        expires = int(time.time()) + TOKEN_S
        owner = grants.OPERATOR
        claims = grants.Claims(owner, owner, "mesh", owner, secrets.token_hex(8), expires)
        return rpc.bearer_metadata(grants.mint(claims, owner, self._operator_key))


def _load(path: Path) -> tuple[bytes, str, list[bytes], types_pb2.SegmentIndex]:
    """A rendition's bytes, its id, its chunks' digests, and where it may be cut."""
    data = path.read_bytes()
    index = boxes.index_of(memoryview(data))
    segments = types_pb2.SegmentIndex(
        init_bytes=index.init_bytes,
        header_bytes=index.header_bytes,
        segment_bytes=index.segment_bytes,
        segment_ticks=index.segment_ticks,
        timescale=index.timescale,
    )
    return data, hashlib.sha256(data).hexdigest(), manifests.chunk_digests(data), segments


def _request(source_sha256: str, song: Prepared, renditions: list[types_pb2.Rendition]) -> pb.PublishSongRequest:
    tags = song.tags
    return pb.PublishSongRequest(
        source_sha256=source_sha256,
        title=tags.title,
        artists=_credits(tags.artists),
        album=tags.album,
        album_artists=_credits(tags.album_artists),
        genres=tags.genres,
        duration_ms=song.duration_ms,
        track_number=tags.track_number,
        disc_number=tags.disc_number,
        date=tags.date,
        isrcs=tags.isrcs,
        explicit=tags.explicit,
        renditions=renditions,
        cover_sha256=song.cover.sha256 if song.cover else "",
        cover_mime_type=song.cover.mime_type if song.cover else "",
        cover_sizes_px=song.cover.sizes_px if song.cover else (),
        loudness=types_pb2.Loudness(**asdict(song.loudness)) if song.loudness else None,
        recording_mbid=tags.recording_mbid,
        release_mbid=tags.release_mbid,
        release_group_mbid=tags.release_group_mbid,
        artist_mbids=tags.artist_mbids,
        album_artist_mbids=tags.album_artist_mbids,
        release_kind=types_pb2.ReleaseKind.Value(f"RELEASE_KIND_{tags.release_kind or 'unspecified'}".upper()),
        artist_sort_names=tags.artist_sort_names,
        label=tags.label,
        barcode=tags.barcode,
    )


def _credits(credit_list: Sequence[Credit]) -> list[types_pb2.ArtistCredit]:
    return [types_pb2.ArtistCredit(name=credit.name, join_phrase=credit.join_phrase) for credit in credit_list]
