"""The RAM tier behind the store: bytes, budget, pins, holds, purge."""

import os
import socket
from pathlib import Path

import pytest

from edge_node.eviction import Key, Part
from edge_node.location import Tier, run_length
from edge_node.store import Store
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS
from reprise.errors import NotFound, QuotaExceeded
from tests.edge_node.stores import MIB, Song, fill, make_song, open_store, part_chunks, play, sample, whole


def memory_used(store: Store) -> int:
    """What the kernel holds for the RAM tier."""
    return sum(os.fstat(part.file.fd).st_blocks * 512 for part in store.ram._parts.values())


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.parametrize(
    ("present", "first", "most", "length"),
    [(0b1, 0, 9, 1), (0b1101, 0, 9, 1), (0b1101, 2, 9, 2), (0b1101, 1, 9, 0), (0b1111, 1, 2, 2), (0, 0, 9, 0)],
)
def test_run_length(present: int, first: int, most: int, length: int) -> None:
    assert run_length(present, first, most) == length


async def test_a_filled_song_is_delivered_byte_for_byte(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        entry = store.entry(song.manifest)
        assert entry.has(0) is None
        assert entry.extent(0, 1) is None
        assert not await entry.ensure_verified(0)
        fill(entry, song)
        assert entry.has(song.count - 1) is Tier.RAM
        assert await play(store, song) == whole(song)


async def test_an_extent_ends_at_a_gap_at_the_part_and_at_the_end_of_the_song(tmp_path: Path) -> None:
    song = make_song(20, last_bytes=1000)
    async with open_store(tmp_path) as store:
        entry = store.entry(song.manifest)
        fill(entry, song, [chunk for chunk in range(song.count) if chunk != 3])
        lengths = {}
        for chunk in (0, 4, 8, 19):
            extent = entry.extent(chunk, 100)
            assert extent is not None
            assert extent.offset == chunk * CHUNK_BYTES
            lengths[chunk] = extent.length
        assert lengths == {0: 3 * CHUNK_BYTES, 4: 4 * CHUNK_BYTES, 8: 11 * CHUNK_BYTES + 1000, 19: 1000}
        limited = entry.extent(8, 2)
        assert limited is not None
        assert limited.length == 2 * CHUNK_BYTES


async def test_wrong_bytes_do_not_verify(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        entry = store.entry(song.manifest)
        assert not entry.verify(0, song.chunk(1))
        assert not entry.verify(song.count - 1, song.chunk(song.count - 1) + b"\0")


async def test_memory_never_exceeds_the_budget(tmp_path: Path) -> None:
    budget = 3 * MIB
    async with open_store(tmp_path, ram_bytes_max=budget) as store:
        for seed in range(12):
            song = make_song(17, seed, last_bytes=5)
            entry = store.entry(song.manifest)
            for chunk in range(song.count):
                entry.write(chunk, song.chunk(chunk))
                assert memory_used(store) <= store.ram.policy.size_bytes <= budget
            entry.release()
        assert sample(store, "reprise_edge_store_bytes", tier="ram") == store.ram.policy.size_bytes
        assert sample(store, "reprise_edge_evictions_total", tier="ram", part="tail") > 0


async def test_manifests_count_as_memory(tmp_path: Path) -> None:
    """A million tiny songs must not fill the process with what describes them."""
    async with open_store(tmp_path, ram_bytes_max=MIB) as store:
        for seed in range(200):
            song = make_song(1, seed, last_bytes=10)
            entry = store.entry(song.manifest)
            fill(entry, song)
            entry.release()
        assert len(store.ram.policy) <= MIB // (4096 + 3072)


async def test_an_evicted_part_gives_its_memory_back(tmp_path: Path) -> None:
    before = open_files()
    async with open_store(tmp_path, ram_bytes_max=4 * MIB) as store:
        for seed in range(40):
            song = make_song(9, seed)
            entry = store.entry(song.manifest)
            fill(entry, song)
            entry.release()
        assert open_files() - before < 40
    assert open_files() == before


async def test_a_tail_goes_and_the_prefix_stays(tmp_path: Path) -> None:
    song = make_song(24)
    async with open_store(tmp_path, ram_bytes_max=4 * MIB) as store:
        entry = store.entry(song.manifest)
        fill(entry, song)
        for _ in range(2):
            entry.touch(Part.PREFIX)
        entry.release()
        for seed in range(2, 8):
            other = make_song(24, seed)
            entry = store.entry(other.manifest)
            fill(entry, other, part_chunks(other, Part.TAIL))
            entry.release()
        delivered = await play(store, song)
        assert [delivered[chunk] for chunk in range(PREFIX_CHUNKS)] == [song.chunk(c) for c in range(PREFIX_CHUNKS)]
        assert all(delivered[chunk] is None for chunk in part_chunks(song, Part.TAIL))


async def test_a_fill_without_room_is_told_when_to_retry(tmp_path: Path) -> None:
    first, second = make_song(20, 1), make_song(20, 2)
    async with open_store(tmp_path, ram_bytes_max=2 * MIB) as store:
        filling = store.entry(first.manifest)
        filling.pin()
        fill(filling, first)
        other = store.entry(second.manifest)
        other.pin()
        with pytest.raises(QuotaExceeded) as refused:
            fill(other, second)
        assert refused.value.retry_after_s
        assert await play(store, first) == whole(first)
        assert sample(store, "reprise_edge_refused_writes_total") == 1
        filling.unpin()
        fill(other, second)
        assert await play(store, second) == whole(second)


async def test_a_song_larger_than_all_ram_is_refused_by_the_name_of_the_setting(tmp_path: Path) -> None:
    song = make_song(40)
    async with open_store(tmp_path, ram_bytes_max=1 * MIB) as store:
        entry = store.entry(song.manifest)
        entry.pin()
        with pytest.raises(QuotaExceeded, match="this song alone needs more than ram_bytes_max, 1048576: raise it"):
            fill(entry, song)


async def test_open_readers_of_many_songs_never_lock_a_new_listener_out(tmp_path: Path) -> None:
    async with open_store(tmp_path, ram_bytes_max=2 * MIB) as store:
        for seed in range(10):
            song = make_song(20, seed)
            entry = store.entry(song.manifest)
            entry.pin()
            fill(entry, song)
            entry.unpin()
            assert await play(store, song) == whole(song)


async def test_what_is_in_use_outlives_what_is_not(tmp_path: Path) -> None:
    in_use = make_song(20, 1)
    async with open_store(tmp_path, ram_bytes_max=4 * MIB) as store:
        fill(store.entry(in_use.manifest), in_use)
        for seed in range(2, 10):
            song = make_song(20, seed)
            entry = store.entry(song.manifest)
            fill(entry, song)
            entry.release()
        assert await play(store, in_use) == whole(in_use)


def send(fd: int, offset: int, length: int) -> socket.socket:
    """Queues bytes on a connection that nobody reads yet; returns the end to read from."""
    listener = socket.create_server(("127.0.0.1", 0))
    receiver = socket.socket()
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 * MIB)
    receiver.connect(listener.getsockname())
    sender, _ = listener.accept()
    with listener, sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8 * MIB)
        sent = 0
        while sent < length:
            sent += os.sendfile(sender.fileno(), fd, offset + sent, length - sent)
    return receiver


def receive(receiver: socket.socket) -> bytes:
    with receiver, receiver.makefile("rb") as file:
        return file.read()


async def test_bytes_on_their_way_to_a_listener_survive_eviction_and_reuse(tmp_path: Path) -> None:
    song = make_song(16)
    async with open_store(tmp_path, ram_bytes_max=2 * MIB) as store:
        entry = store.entry(song.manifest)
        fill(entry, song)
        entry.release()
        extent = entry.extent(8, 8)
        assert extent is not None
        receiver = send(extent.fd, extent.offset, extent.length)
        for seed in range(2, 8):
            other = make_song(20, seed)
            fill(store.entry(other.manifest), other)
        assert Key(song.rendition_id, Part.TAIL) not in store.ram.policy
        assert receive(receiver) == song.data[8 * CHUNK_BYTES :]


async def test_purge_drops_at_once_and_for_good(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        entry = store.entry(song.manifest)
        entry.pin()
        fill(entry, song)
        await store.purge(song.rendition_id)
        assert entry.purged
        assert entry.has(0) is None
        assert entry.extent(0, 1) is None
        assert not await entry.ensure_verified(0)
        assert store.find(song.rendition_id) is None
        assert store.ram.policy.size_bytes == 0
        with pytest.raises(NotFound):
            entry.write(0, song.chunk(0))


async def test_the_end_of_a_purged_use_does_not_disturb_the_next(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path, ram_bytes_max=2 * MIB) as store:
        old = store.entry(song.manifest)
        old.pin()
        await store.purge(song.rendition_id)
        new = store.entry(song.manifest)
        new.pin()
        fill(new, song)
        old.unpin()
        old.release()
        other = make_song(20, 2)
        entry = store.entry(other.manifest)
        entry.pin()
        with pytest.raises(QuotaExceeded):
            fill(entry, other)
        assert await play(store, song) == whole(song)


async def test_users_share_one_entry_until_the_last_leaves(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        first = store.entry(song.manifest)
        assert store.find(song.rendition_id) is first
        first.release()
        first.release()
        assert store.find(song.rendition_id) is None, "nothing was stored"


def test_a_song_has_a_short_last_chunk() -> None:
    song: Song = make_song(3, last_bytes=7)
    assert [len(song.chunk(chunk)) for chunk in range(3)] == [CHUNK_BYTES, CHUNK_BYTES, 7]
