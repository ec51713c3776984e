"""Real stores on real directories, and songs to put into them."""

import asyncio
import hashlib
import os
import random
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from edge_node.cache_dir import CacheDir
from edge_node.disk_index import DiskIndex
from edge_node.disk_writer import DiskWriter
from edge_node.eviction import Part, S3Fifo, part_of
from edge_node.ram import RamTier
from edge_node.store import Entry, Store
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import CHUNK_BYTES, chunk_count, chunk_range
from reprise.manifests import Manifest, chunk_digests, key_id_of, sign, verify
from reprise.types.v1.types_pb2 import CODEC_OPUS, Rendition

SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
KEY_ID = key_id_of(SIGNING_KEY.public_key())
KEYS = {KEY_ID: SIGNING_KEY.public_key()}
MIB = 1 << 20


@dataclass(frozen=True)
class Song:
    data: bytes
    manifest: Manifest

    @property
    def rendition_id(self) -> str:
        return self.manifest.rendition_id

    @property
    def count(self) -> int:
        return chunk_count(len(self.data))

    def chunk(self, index: int) -> bytes:
        span = chunk_range(index, len(self.data))
        return self.data[span.start : span.end]


def make_song(chunks: int = 20, seed: int = 1, last_bytes: int = 1000) -> Song:
    """`chunks` chunks, the last one of `last_bytes`."""
    data = random.Random(seed).randbytes((chunks - 1) * CHUNK_BYTES + last_bytes)
    rendition_id = hashlib.sha256(data).hexdigest()
    facts = Rendition(rendition_id=rendition_id, codec=CODEC_OPUS, size_bytes=len(data), mime_type="audio/mp4")
    signed = sign(facts, chunk_digests(data), KEY_ID, SIGNING_KEY)
    return Song(data, verify(signed, KEYS, rendition_id))


@dataclass
class Clock:
    """Monotonic seconds that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def open_store(
    cache_dir: Path,
    ram_bytes_max: int = 64 * MIB,
    disk_bytes_max: int = 64 * MIB,
    pwrite: Callable[[int, bytes, int], int] = os.pwrite,
    now: Callable[[], float] = time.monotonic,
    open_max: int = 100,
) -> AsyncIterator[Store]:
    """A store that has adopted its directory; nothing of it is left open behind it."""
    metrics = StoreMetrics(CollectorRegistry())
    directory = CacheDir(cache_dir, KEYS, pwrite)
    index = DiskIndex(S3Fifo(disk_bytes_max, 10_000), open_max, directory.open_part)
    store = Store(RamTier(ram_bytes_max, 1000, metrics), directory, index, DiskWriter(metrics, now), metrics)
    await store.start()
    try:
        await store.adopted()
        yield store
    finally:
        await store.close()


def fill(entry: Entry, song: Song, chunks: Iterable[int] | None = None) -> None:
    """Writes what a fill would."""
    for chunk in range(song.count) if chunks is None else chunks:
        data = song.chunk(chunk)
        assert entry.verify(chunk, data)
        entry.write(chunk, data)


def request(store: Store, song: Song) -> Entry:
    """What a listener of the whole song does first."""
    entry = store.entry(song.manifest)
    for part in Part:
        entry.touch(part)
    return entry


async def cache(store: Store, song: Song, requests: int = 2) -> None:
    """The song was asked for that often and filled once; nobody uses it any more, and the disk is at rest."""
    for _ in range(requests):
        entry = request(store, song)
        if entry.has(0) is None:
            fill(entry, song)
        entry.release()
    await at_rest(store)


def forget_ram(store: Store, song: Song) -> None:
    """As if others had pushed the song out of RAM."""
    for key in store.entry(song.manifest).keys:
        store.ram.drop(key)


async def at_rest(store: Store) -> None:
    """No disk job is left."""
    jobs = store.disk._writer._jobs
    while jobs:
        await asyncio.wait(list(jobs))
        # The callbacks of a finished job may give the next one.
        await asyncio.sleep(0)


async def deliver(entry: Entry, song: Song, chunk: int) -> bytes | None:
    """What a listener gets for `chunk`: None is a miss."""
    extent = entry.extent(chunk, 1)
    if extent is None:
        if not await entry.ensure_verified(chunk):
            assert entry.has(chunk) is None, "a miss that the store still claims to have"
            return None
        extent = entry.extent(chunk, 1)
        assert extent is not None
    return os.pread(extent.fd, extent.length, extent.offset)


async def play(store: Store, song: Song) -> dict[int, bytes | None]:
    """Every chunk as a listener gets it from what the store knows."""
    entry = store.find(song.rendition_id)
    if entry is None:
        return dict.fromkeys(range(song.count))
    delivered = {chunk: await deliver(entry, song, chunk) for chunk in range(song.count)}
    entry.release()
    return delivered


def whole(song: Song) -> dict[int, bytes]:
    return {chunk: song.chunk(chunk) for chunk in range(song.count)}


def files(cache_dir: Path, song: Song) -> dict[str, Path]:
    """What lies on disk for a song, by suffix."""
    found = (cache_dir / "objects" / song.rendition_id[:2]).glob(f"{song.rendition_id}.*")
    return {path.suffix[1:]: path for path in found}


def disk_usage(cache_dir: Path) -> int:
    """Bytes in blocks of all files below objects/."""
    return sum(path.stat().st_blocks * 512 for path in (cache_dir / "objects").rglob("*") if path.is_file())


def sample(store: Store, name: str, **labels: str) -> float:
    """The value of a metric; 0 when it was never counted."""
    return store.metrics.registry.get_sample_value(name, labels) or 0.0


def part_chunks(song: Song, part: Part) -> list[int]:
    return [chunk for chunk in range(song.count) if part_of(chunk) is part]
