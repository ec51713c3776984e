"""Stand-ins for S3 behind the origin: data whose arrival the test controls, and a proxy that misbehaves on purpose."""

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from origin.coalescing import Coalescer
from origin.gate import Gate
from origin.library import Library
from origin.metrics import OriginMetrics
from origin.reads import Reads
from reprise import manifests
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.errors import NotFound
from reprise.manifests import Manifest
from reprise.types.v1.types_pb2 import CODEC_OPUS, Rendition, SignedManifest

SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))


def audio(size_bytes: int, seed: int = 7) -> bytes:
    """Bytes that differ from chunk to chunk."""
    return random.Random(seed).randbytes(size_bytes)


def signed_manifest(data: bytes) -> SignedManifest:
    rendition = Rendition(
        rendition_id=hashlib.sha256(data).hexdigest(), codec=CODEC_OPUS, size_bytes=len(data), duration_ms=1000
    )
    return manifests.sign(rendition, manifests.chunk_digests(data), "test", SIGNING_KEY)


def manifest_of(data: bytes) -> Manifest:
    return manifests.parse(signed_manifest(data), hashlib.sha256(data).hexdigest())


class FakeStore:
    """Renditions in memory. `hold` stops every body before its next chunk until `release`; `fail_at` breaks bodies."""

    def __init__(self, *renditions: bytes) -> None:
        self.renditions = {hashlib.sha256(data).hexdigest(): data for data in renditions}
        self.bytes_by_chunk: Counter[int] = Counter()
        self.reads: list[ByteRange] = []
        self.manifest_fetches = 0
        self.fail_at: dict[int, Exception] = {}
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def fetch_manifest(self, rendition_id: str) -> bytes:
        self.manifest_fetches += 1
        await self._open.wait()
        if rendition_id not in self.renditions:
            raise NotFound(f"S3 has no manifest of {rendition_id}")
        return signed_manifest(self.renditions[rendition_id]).SerializeToString()

    async def read(self, rendition_id: str, span: ByteRange, size_bytes: int) -> AsyncGenerator[bytes, None]:
        self.reads.append(span)
        for at in range(span.start, span.end, CHUNK_BYTES):
            await self._open.wait()
            if at // CHUNK_BYTES in self.fail_at:
                raise self.fail_at[at // CHUNK_BYTES]
            self.bytes_by_chunk[at // CHUNK_BYTES] += 1
            yield self.renditions[rendition_id][at : min(at + CHUNK_BYTES, span.end)]


class Origin:
    """The origin's parts over any store, with small limits."""

    def __init__(
        self,
        store: FakeStore,
        *,
        window_chunks: int = 1_000,
        read_chunks: int = 8,
        active_max: int = 8,
        waiting_max: int = 8,
    ) -> None:
        self.registry = CollectorRegistry()
        self.metrics = OriginMetrics(self.registry)
        self.gate = Gate(active_max=active_max, waiting_max=waiting_max, wait_s_max=5, metrics=self.metrics)
        self.coalescer = Coalescer(
            window_bytes_max=window_chunks * CHUNK_BYTES, read_chunks_max=read_chunks, join_chunks_max=2
        )
        self.now = 100.0
        self.reads = Reads(store, self.coalescer, self.gate, self.metrics)  # type: ignore[arg-type]
        self.library = Library(store, self.reads, self.gate, self.metrics, lambda: self.now)  # type: ignore[arg-type]

    def count(self, name: str, **labels: str) -> float:
        return self.registry.get_sample_value(name, labels) or 0.0

    async def close(self) -> None:
        await self.reads.close()
        await self.library.close()


@asynccontextmanager
async def cutting_proxy(target_port: int, cut_after: list[int | None]) -> AsyncIterator[str]:
    """A TCP proxy on loopback. Connection n is cut once it has carried `cut_after[n]` bytes to the client.

    None carries everything; 0 accepts and says nothing (a black hole). Connections past the list are carried whole.
    """
    plan = iter(cut_after)
    tasks: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        left = limit
        while data := await reader.read(16_384):
            if left is not None:
                data = data[:left]
                left -= len(data)
            writer.write(data)
            await writer.drain()
            if left == 0:
                break
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        limit = next(plan, None)
        if limit == 0:
            await reader.read()
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", target_port)
        for task in (
            asyncio.create_task(pump(reader, up_writer, None)),
            asyncio.create_task(pump(up_reader, writer, limit)),
        ):
            tasks.add(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
