"""The node process's store as a worker sees it: a lessor and a leased store in one process, with nothing between them."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge_node.eviction import Key, Part
from edge_node.location import Tier
from edge_node.node import Node, NodeConfig
from edge_node.open_file import OpenFile
from edge_node.sources import Own
from edge_node.store import Store
from edge_node.workers.lease import LeasedStore
from edge_node.workers.lessor import Lessor
from edge_node.workers.messages import (
    Answer,
    Find,
    Forgotten,
    Manifested,
    Message,
    PartState,
    Touched,
    Unuse,
    Use,
    Verify,
    encode,
)
from tests.edge_node.stores import MIB, Song, at_rest, cache, fill, forget_ram, make_song, open_store


class Pair:
    """A store, and a worker's lease of it."""

    def __init__(self, store: Store, group: asyncio.TaskGroup) -> None:
        self.store = store
        node = Node(NodeConfig(Own("edge-1", 1), (), 100), store, None, group, CollectorRegistry())  # type: ignore[arg-type]
        self.lessor = Lessor(node, store, self._to_worker)
        self.leased = LeasedStore(self)
        self.told: list[Message] = []
        self._answers: asyncio.Queue[bool] = asyncio.Queue()
        store.ram.on_gone = store.disk.index.on_gone = self.lessor.changed

    def _to_worker(self, message: Message, file: OpenFile | None) -> None:
        encode(message, with_file=file is not None)
        self.told.append(message)
        own = None if file is None else os.dup(file.fd)
        match message:
            case Manifested():
                self.leased.lease(message.rendition_id, message.signed)
            case PartState():
                self.leased.take(message, own)
            case Forgotten():
                self.leased.forget(message.rendition_id)
            case Answer():
                self._answers.put_nowait(message.ok)

    # The worker's landlord

    async def find(self, rendition_id: str) -> bool:
        self.lessor.take(Find(1, rendition_id))
        return await self._answers.get()

    async def verify(self, rendition_id: str, chunk: int) -> bool:
        self.lessor.take(Verify(1, rendition_id, chunk))
        return await self._answers.get()

    def use(self, rendition_id: str) -> None:
        self.lessor.take(Use(rendition_id))

    def unuse(self, rendition_id: str) -> None:
        self.lessor.take(Unuse(rendition_id))

    def touched(self, express: Counter[Key], readers: Counter[Key]) -> None:
        self.lessor.take(Touched(dict(express), dict(readers)))  # type: ignore[arg-type]

    def purge(self, song: Song) -> "asyncio.Task[None]":
        purge = asyncio.create_task(self.store.purge(song.rendition_id))
        self.lessor.purged(song.rendition_id)
        return purge


@asynccontextmanager
async def pair(folder: Path, **sizes: int) -> AsyncIterator[Pair]:
    async with asyncio.TaskGroup() as group, open_store(folder, **sizes) as store:  # type: ignore[arg-type]
        both = Pair(store, group)
        yield both
        both.lessor.close()


async def played(both: Pair, song: Song) -> dict[int, bytes]:
    """What a listener of the worker gets, chunk by chunk; what is not there is left out."""
    entry = await both.leased.discover(song.rendition_id)
    if entry is None:
        return {}
    got = {}
    for chunk in range(song.count):
        if entry.extent(chunk, 1) is None and entry.has(chunk) is Tier.COLD:
            await entry.ensure_verified(chunk)
        extent = entry.extent(chunk, 1)
        if extent is not None:
            got[chunk] = os.pread(extent.fd, extent.length, extent.offset)
    entry.release()
    return got


def whole(song: Song) -> dict[int, bytes]:
    return {chunk: song.chunk(chunk) for chunk in range(song.count)}


async def test_a_worker_reads_what_is_in_ram_by_descriptors_of_its_own(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        assert await played(both, song) == {}
        entry = both.store.entry(song.manifest)
        fill(entry, song)
        assert await played(both, song) == whole(song)
        assert both.leased.ram.part(Key(song.rendition_id, Part.TAIL)).file is not None  # type: ignore[union-attr]
        entry.release()


async def test_a_lease_of_ram_lasts_until_the_node_lets_go_of_it(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        entry = both.store.entry(song.manifest)
        fill(entry, song)
        await played(both, song)
        assert both.lessor.leases == 1
        for key in entry.keys:
            assert both.leased.ram.part(key) is not None
            both.store.ram.drop(key)
            assert both.leased.ram.part(key) is None, "the worker knows before the call that let go returns"
        assert both.lessor.leases == 0
        assert both.leased.manifest(song.rendition_id) is None
        entry.release()


async def test_bytes_that_a_worker_is_sending_outlive_their_eviction(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        entry = both.store.entry(song.manifest)
        fill(entry, song)
        leased = await both.leased.discover(song.rendition_id)
        assert leased is not None
        extent = leased.extent(0, 4)
        assert extent is not None
        forget_ram(both.store, song)
        assert leased.extent(0, 1) is None
        assert os.pread(extent.fd, extent.length, extent.offset) == song.data[: extent.length]
        leased.release()
        entry.release()


async def test_a_worker_reads_from_disk_what_the_node_has_verified(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        await cache(both.store, song)
        forget_ram(both.store, song)
        assert await played(both, song) == whole(song)
        verified = sum(isinstance(message, Answer) for message in both.told)
        assert verified == song.count + 1, "one answer a chunk, and one to the search"
        assert both.lessor.leases == 0, "nobody uses it and none of it is in RAM"


async def test_a_file_that_somebody_changed_is_not_served(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        await cache(both.store, song)
        forget_ram(both.store, song)
        entry = await both.leased.discover(song.rendition_id)
        assert entry is not None
        assert await entry.ensure_verified(9)
        path = next((tmp_path / "objects" / song.rendition_id[:2]).glob(f"{song.rendition_id}.tail"))
        with path.open("r+b") as file:
            file.seek(9 * 65536 + 5)
            file.write(b"bad")
        assert entry.extent(9, 1) is None
        assert not await entry.ensure_verified(9)
        assert entry.has(9) is None
        entry.release()
        await at_rest(both.store)


async def test_requests_in_a_worker_count_for_the_node(tmp_path: Path) -> None:
    songs = [make_song(seed=seed) for seed in (1, 2, 3, 4)]
    async with pair(tmp_path, ram_bytes_max=3 * 20 * 65536 + MIB) as both:
        for song in songs[:3]:
            await cache(both.store, song, requests=1)
            await played(both, song)
        for _ in range(5):
            for part in Part:
                both.leased.ram.policy.touch(Key(songs[0].rendition_id, part))
        both.leased.ram.policy.flush()
        for song in songs[3:]:
            await cache(both.store, song, requests=1)
        assert both.store.ram.part(Key(songs[0].rendition_id, Part.PREFIX)) is not None


async def test_a_purged_song_is_gone_from_the_lease_even_while_it_is_used(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        await cache(both.store, song)
        entry = await both.leased.discover(song.rendition_id)
        assert entry is not None
        await both.purge(song)
        await both.leased.purge(song.rendition_id)
        assert entry.extent(0, 1) is None
        assert both.leased.find(song.rendition_id) is None
        entry.release()
        assert await both.leased.discover(song.rendition_id) is None
        # It comes again, as after a takedown by mistake.
        await cache(both.store, song)
        assert await played(both, song) == whole(song)


async def test_a_song_that_comes_again_after_a_purge_is_a_new_lease(tmp_path: Path) -> None:
    song = make_song()
    async with pair(tmp_path) as both:
        await cache(both.store, song)
        entry = await both.leased.discover(song.rendition_id)
        assert entry is not None
        await both.purge(song)
        # The worker has not done yet what it was told, and so still uses the song.
        await cache(both.store, song)
        await both.find(song.rendition_id)
        assert sum(isinstance(message, Manifested) for message in both.told) == 2
        entry.release()


@pytest.mark.parametrize("seed", range(6))
async def test_whatever_happens_a_worker_has_nothing_that_the_node_has_not(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    songs = [make_song(chunks=12, seed=number) for number in range(5)]
    sizes = {"ram_bytes_max": 2 * MIB, "disk_bytes_max": 3 * MIB, "open_max": 3}
    async with pair(tmp_path, **sizes) as both:
        for _ in range(60):
            song = rng.choice(songs)
            action = rng.choice(["cache", "cache", "play", "play", "drop", "purge"])
            if action == "cache":
                await cache(both.store, song)
            elif action == "drop":
                for part in Part:
                    both.store.ram.drop(Key(song.rendition_id, part))
            elif action == "purge":
                purge = both.purge(song)
                await both.leased.purge(song.rendition_id)
                await purge
            else:
                got = await played(both, song)
                assert got.items() <= whole(song).items()
            for one in songs:
                for key in (Key(one.rendition_id, part) for part in Part):
                    theirs, ours = both.store.ram.part(key), both.leased.ram.part(key)
                    assert ours is None or (theirs is not None and ours.present & ~theirs.present == 0)
        assert both.lessor.leases <= len(songs)
