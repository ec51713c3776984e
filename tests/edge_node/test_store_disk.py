"""The disk tier behind the store: what gets onto disk, what leaves it, and what happens when the disk fails."""

import asyncio
import errno
import os
import shutil
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge_node import disk
from edge_node.breaker import RETRY_S
from edge_node.cache_dir import SHARDS, CacheDir
from edge_node.eviction import Key, Part
from edge_node.store import Store
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS
from reprise.config import ConfigError
from reprise.errors import InvalidRequest
from tests.edge_node.stores import (
    KEYS,
    MIB,
    Clock,
    at_rest,
    cache,
    disk_usage,
    files,
    fill,
    forget_ram,
    make_song,
    open_store,
    part_chunks,
    play,
    request,
    sample,
    whole,
)
from tests.edge_node.test_store_ram import receive, send


async def test_chunks_that_arrive_during_a_write_are_written_too(tmp_path: Path) -> None:
    song = make_song(80)
    async with open_store(tmp_path) as store:
        store.keep(song.rendition_id)
        entry = store.entry(song.manifest)
        for chunk in range(song.count):
            entry.write(chunk, song.chunk(chunk))
            await asyncio.sleep(0)
        await at_rest(store)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


async def test_nothing_is_written_while_a_fill_runs_and_all_of_it_behind_it(tmp_path: Path) -> None:
    song = make_song(20)
    async with open_store(tmp_path) as store:
        store.keep(song.rendition_id)
        entry = store.entry(song.manifest)
        entry.pin()
        fill(entry, song)
        request(store, song).release()
        await at_rest(store)
        assert files(tmp_path, song) == {}
        entry.unpin()
        await at_rest(store)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


async def test_a_song_that_left_ram_is_served_from_disk(tmp_path: Path) -> None:
    song = make_song(20, 1)
    async with open_store(tmp_path, ram_bytes_max=3 * MIB) as store:
        await cache(store, song)
        for seed in range(2, 8):
            other = make_song(24, seed)
            entry = store.entry(other.manifest)
            entry.pin()
            fill(entry, other)
            entry.unpin()
        assert not any(store.ram.has(key, chunk) for key in store.entry(song.manifest).keys for chunk in range(20))
        assert await play(store, song) == whole(song)


async def test_the_disk_never_takes_more_than_its_budget(tmp_path: Path) -> None:
    budget = 5 * MIB
    async with open_store(tmp_path, disk_bytes_max=budget) as store:
        for seed in range(10):
            song = make_song(17, seed, last_bytes=5)
            await cache(store, song)
            assert disk_usage(tmp_path) <= store.disk.policy.size_bytes <= budget
        assert sample(store, "reprise_edge_evictions_total", tier="disk", part="tail") > 0
        assert sample(store, "reprise_edge_store_bytes", tier="disk") == store.disk.policy.size_bytes


async def test_an_evicted_tail_frees_its_blocks_and_leaves_the_prefix(tmp_path: Path) -> None:
    song = make_song(40)
    async with open_store(tmp_path) as store:
        await cache(store, song)
        forget_ram(store, song)
        before = disk_usage(tmp_path)
        # One more hit for the prefix moves it to main; what has to go is the tail.
        store.disk._evicted([Key(song.rendition_id, Part.TAIL)])
        await at_rest(store)
        assert before - disk_usage(tmp_path) >= (song.count - 1 - PREFIX_CHUNKS) * CHUNK_BYTES
        delivered = await play(store, song)
        assert [delivered[chunk] for chunk in range(PREFIX_CHUNKS)] == [song.chunk(c) for c in range(PREFIX_CHUNKS)]
        assert all(delivered[chunk] is None for chunk in part_chunks(song, Part.TAIL))


async def test_bytes_on_their_way_from_disk_survive_eviction(tmp_path: Path) -> None:
    song = make_song(40)
    async with open_store(tmp_path) as store:
        await cache(store, song)
        forget_ram(store, song)
        await play(store, song)
        entry = store.find(song.rendition_id)
        assert entry is not None
        extent = entry.extent(PREFIX_CHUNKS, 4)
        assert extent is not None
        receiver = send(extent.fd, extent.offset, extent.length)
        store.disk._evicted([Key(song.rendition_id, Part.TAIL)])
        await at_rest(store)
        assert receive(receiver) == song.data[extent.offset : extent.offset + extent.length]


async def test_files_stay_within_their_bound_and_closed_ones_open_again(tmp_path: Path) -> None:
    songs = [make_song(10, seed) for seed in range(6)]
    async with open_store(tmp_path, open_max=3) as store:
        for song in songs:
            await cache(store, song)
            forget_ram(store, song)
        for song in songs + songs:
            assert await play(store, song) == whole(song)
            assert len(store.disk.index._open) <= 3


class GatedDisk:
    """A disk whose writes wait until they may go on, or fail with `error`."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.error = 0
        self.chunks_until_error = 0

    def __call__(self, fd: int, data: bytes, offset: int) -> int:
        self.reached.set()
        self.go.wait(10)
        if self.error:
            if self.chunks_until_error <= 0:
                raise OSError(self.error, os.strerror(self.error))
            self.chunks_until_error -= 1
        return os.pwrite(fd, data, offset)


async def test_purge_during_a_write_leaves_nothing_behind(tmp_path: Path) -> None:
    song, gate = make_song(), GatedDisk()
    async with open_store(tmp_path, pwrite=gate) as store:
        gate.go.clear()
        for _ in range(2):
            entry = request(store, song)
            fill(entry, song)
        await asyncio.to_thread(gate.reached.wait, 10)
        purge = asyncio.create_task(store.purge(song.rendition_id))
        await asyncio.sleep(0)
        assert store.find(song.rendition_id) is None
        gate.go.set()
        await purge
        assert files(tmp_path, song) == {}
        await at_rest(store)
        assert store.disk.policy.size_bytes == 0
        assert len(store.disk.index) == 0


async def test_a_song_may_come_back_after_a_purge_during_a_write(tmp_path: Path) -> None:
    song, gate = make_song(), GatedDisk()
    async with open_store(tmp_path, pwrite=gate) as store:
        gate.go.clear()
        fill(request(store, song), song)
        request(store, song)
        await asyncio.to_thread(gate.reached.wait, 10)
        purge = asyncio.create_task(store.purge(song.rendition_id))
        await asyncio.sleep(0)
        fill(request(store, song), song)
        request(store, song)
        gate.go.set()
        await purge
        await at_rest(store)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("chunks_until_error", [0, 1, 12])
async def test_a_failing_disk_is_left_alone_for_a_while(tmp_path: Path, error: int, chunks_until_error: int) -> None:
    song, disk_, clock = make_song(), GatedDisk(), Clock()
    async with open_store(tmp_path, pwrite=disk_, now=clock) as store:
        disk_.error, disk_.chunks_until_error = error, chunks_until_error
        await cache(store, song)
        assert sample(store, "reprise_edge_disk_writable") == 0
        errors = sample(store, "reprise_edge_disk_errors_total", operation="write")
        assert errors >= 1
        assert await play(store, song) == whole(song), "served through RAM"
        disk_.error = 0
        clock.now += RETRY_S - 1
        await cache(store, song)
        assert sample(store, "reprise_edge_disk_errors_total", operation="write") == errors, "not tried again too early"
        clock.now += 2
        await cache(store, song)
        assert sample(store, "reprise_edge_disk_writable") == 1
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


async def test_a_disk_that_is_full_before_the_budget_gives_the_oldest_back(tmp_path: Path) -> None:
    disk_, clock = GatedDisk(), Clock()
    async with open_store(tmp_path, pwrite=disk_, now=clock) as store:
        for seed in range(4):
            await cache(store, make_song(10, seed))
        before = store.disk.policy.size_bytes
        disk_.error = errno.ENOSPC
        await cache(store, make_song(10, 9))
        assert store.disk.policy.size_bytes < before
        assert disk_usage(tmp_path) <= store.disk.policy.size_bytes


async def test_a_real_file_size_limit_is_survived(tmp_path: Path) -> None:
    """Not a fake: the kernel refuses the write half-way through a chunk."""

    def limited(fd: int, data: bytes, offset: int) -> int:
        room = 10 * CHUNK_BYTES + 100 - offset
        if room <= 0:
            raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
        return os.pwrite(fd, data[:room], offset)

    song = make_song()
    async with open_store(tmp_path, pwrite=limited) as store:
        await cache(store, song)
        assert set(files(tmp_path, song)) == {"sidecar", "prefix"}
        assert await play(store, song) == whole(song)


async def test_a_chunk_that_cannot_be_read_is_a_miss(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        await cache(store, song)
        forget_ram(store, song)
        files(tmp_path, song)["prefix"].unlink()
        delivered = await play(store, song)
        assert [chunk for chunk, data in delivered.items() if data is None] == list(range(PREFIX_CHUNKS))
        assert sample(store, "reprise_edge_disk_errors_total", operation="read") == 1


async def test_a_disk_that_does_not_answer_is_a_miss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song, go = make_song(), threading.Event()
    monkeypatch.setattr(disk, "READ_S_MAX", 0.01)
    async with open_store(tmp_path) as store:
        await cache(store, song)
        forget_ram(store, song)
        monkeypatch.setattr(CacheDir, "check", lambda *_: go.wait(10))
        entry = store.find(song.rendition_id)
        assert entry is not None
        try:
            assert not await entry.ensure_verified(0)
        finally:
            go.set()
        assert entry.has(0) is None
        assert sample(store, "reprise_edge_disk_errors_total", operation="read_timeout") == 1


async def test_a_change_behind_our_back_is_noticed_while_running(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        await cache(store, song)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)
        path = files(tmp_path, song)["tail"]
        with path.open("r+b") as file:
            file.seek(PREFIX_CHUNKS * CHUNK_BYTES + 77)
            file.write(b"\0\0\0\0")
        delivered = await play(store, song)
        assert delivered[PREFIX_CHUNKS] is None
        assert all(data in (None, song.chunk(chunk)) for chunk, data in delivered.items())
        assert sample(store, "reprise_edge_corrupt_chunks_total") == 1


@pytest.mark.parametrize("lost", ["sidecar", "prefix", "everything"])
async def test_files_taken_away_under_a_running_edge_come_back(tmp_path: Path, lost: str) -> None:
    song, other = make_song(20, 1), make_song(20, 2)
    async with open_store(tmp_path) as store:
        store.keep(song.rendition_id)
        entry = store.entry(song.manifest)
        fill(entry, song, [0, 10])
        await at_rest(store)
        if lost == "everything":
            shutil.rmtree(tmp_path / "objects")
        else:
            files(tmp_path, song)[lost].unlink()
        for _ in range(2):
            fill(request(store, song), song)
            await at_rest(store)
            await cache(store, song)
        assert sample(store, "reprise_edge_disk_writable") == 1, "nothing is wrong with the disk"
        await cache(store, other)
        for again in (song, other):
            assert set(files(tmp_path, again)) == {"sidecar", "prefix", "tail"}
            forget_ram(store, again)
            assert await play(store, again) == whole(again)


async def test_only_the_owner_can_look_into_the_cache(tmp_path: Path) -> None:
    song, root = make_song(), tmp_path / "cache"
    root.mkdir(mode=0o755)
    async with open_store(root) as store:
        await cache(store, song)
        assert root.stat().st_mode & 0o777 == 0o700
        assert {path.stat().st_mode & 0o777 for path in files(root, song).values()} == {0o600}


async def test_two_edges_never_share_a_directory(tmp_path: Path) -> None:
    async with open_store(tmp_path):
        with pytest.raises(ConfigError, match="in use by another edge"):
            Store.open(tmp_path, MIB, MIB, KEYS, CollectorRegistry())
    store = Store.open(tmp_path, MIB, MIB, KEYS, CollectorRegistry())
    await store.close()


def test_a_directory_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("not a directory")
    with pytest.raises(ConfigError, match="file cannot be used"):
        CacheDir(path, KEYS)


def test_names_are_built_from_checked_ids_only(tmp_path: Path) -> None:
    directory = CacheDir(tmp_path, KEYS)
    with pytest.raises(InvalidRequest):
        directory.open_part(Key("../../etc/passwd", Part.PREFIX))
    directory.close()
    assert len(SHARDS) == 256


async def test_a_symbolic_link_is_not_followed(tmp_path: Path) -> None:
    song, root, outside = make_song(), tmp_path / "cache", tmp_path / "outside"
    outside.write_bytes(song.data)
    async with open_store(root) as store:
        await cache(store, song)
    files(root, song)["tail"].unlink()
    (root / "objects" / song.rendition_id[:2] / f"{song.rendition_id}.tail").symlink_to(outside)
    async with open_store(root) as store:
        delivered = await play(store, song)
        assert delivered[PREFIX_CHUNKS] is None
        await cache(store, song)
    assert outside.read_bytes() == song.data
