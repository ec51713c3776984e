"""What a restart takes over, after a clean stop, after SIGKILL, and after somebody damaged the files."""

import asyncio
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from edge_node import disk
from edge_node.cache_dir import CacheDir, Found
from edge_node.location import Tier
from edge_node.store import Store
from reprise.chunks import CHUNK_BYTES
from tests.edge_node.damage import Torture, flip, heal, wrong
from tests.edge_node.stores import (
    MIB,
    Song,
    at_rest,
    cache,
    disk_usage,
    files,
    fill,
    forget_ram,
    make_song,
    open_store,
    play,
    request,
    sample,
    whole,
)

ROOT = Path(__file__).parents[2]


async def test_a_restart_serves_without_the_origin(tmp_path: Path) -> None:
    songs = [make_song(20, 1), make_song(3, 2), make_song(8, 3, CHUNK_BYTES)]
    async with open_store(tmp_path) as store:
        for song in songs:
            await cache(store, song)
        size_bytes = store.disk.policy.size_bytes
    async with open_store(tmp_path) as store:
        assert store.disk.policy.size_bytes == size_bytes
        assert sample(store, "reprise_edge_adopted_renditions_total", outcome="adopted") == len(songs)
        for song in songs:
            entry = store.find(song.rendition_id)
            assert entry is not None
            assert entry.manifest == song.manifest
            assert entry.has(0) is Tier.COLD
            assert entry.extent(0, 1) is None, "nothing leaves before it was verified"
            assert await play(store, song) == whole(song)


async def test_an_adopted_song_gets_its_missing_chunks_onto_disk(tmp_path: Path) -> None:
    song = make_song(20)
    async with open_store(tmp_path) as store:
        store.keep(song.rendition_id)
        entry = store.entry(song.manifest)
        fill(entry, song, [0, 1, 10])
        await at_rest(store)
    async with open_store(tmp_path) as store:
        entry = store.entry(song.manifest)
        assert [chunk for chunk in range(song.count) if entry.has(chunk)] == [0, 1, 10]
        await heal(store, song)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


async def test_a_smaller_budget_evicts_while_adopting(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        for seed in range(6):
            await cache(store, make_song(12, seed))
    async with open_store(tmp_path, disk_bytes_max=2 * MIB) as store:
        await at_rest(store)
        assert disk_usage(tmp_path) <= store.disk.policy.size_bytes <= 2 * MIB


def die_at_write(cache_dir: Path, number: int) -> None:
    command = [sys.executable, "-m", "tests.edge_node.spill_until_killed", str(cache_dir), str(number)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=60, check=False)
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()


def whole_on_disk(cache_dir: Path, song: Song) -> int:
    """How many chunks lie in the files as they should."""
    parts = [path.read_bytes() for suffix, path in files(cache_dir, song).items() if suffix != "sidecar"]
    offsets = [(chunk, chunk * CHUNK_BYTES) for chunk in range(song.count)]
    return sum(
        any(part[at : at + len(song.chunk(chunk))] == song.chunk(chunk) for part in parts) for chunk, at in offsets
    )


# Per song: the sidecar, then for each part the clearing of its flags and two writes a chunk.
@pytest.mark.parametrize("number", [1, 2, 3, 4, 5, 6, 17, 18, 19, 20, 21, 28, 29, 30, 44, 71])
async def test_sigkill_in_the_middle_of_a_write_costs_at_most_that_chunk(tmp_path: Path, number: int) -> None:
    die_at_write(tmp_path, number)
    songs = [make_song(12, seed) for seed in range(4)]
    written = sum(whole_on_disk(tmp_path, song) for song in songs)
    async with open_store(tmp_path) as store:
        delivered = 0
        for song in songs:
            got = await play(store, song)
            assert wrong(song, got) == []
            delivered += sum(data is not None for data in got.values())
            await heal(store, song)
            forget_ram(store, song)
            assert await play(store, song) == whole(song)
        assert sample(store, "reprise_edge_corrupt_chunks_total") == 0, "a torn chunk was adopted"
        assert written - 1 <= delivered <= written


async def test_two_hundred_damages_deliver_no_wrong_byte_and_heal(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    torture = Torture(tmp_path, songs=5, seed=seed)
    await torture.begin()
    for _ in range(20):
        await torture.round(damages=10)
    assert torture.wrong_chunks == 0, f"seed {seed}"
    assert torture.unhealed_songs == 0, f"seed {seed}"
    assert torture.missed_chunks > 0, "the damage hit something"


async def test_damage_is_counted_and_taken_off_the_disk(tmp_path: Path) -> None:
    song = make_song(20)
    async with open_store(tmp_path) as store:
        await cache(store, song)
    flip(files(tmp_path, song)["prefix"], random.Random(1))
    async with open_store(tmp_path) as store:
        delivered = await play(store, song)
        assert None in delivered.values()
        await at_rest(store)
        assert sample(store, "reprise_edge_corrupt_chunks_total") == 1
        assert set(files(tmp_path, song)) == {"sidecar", "tail"}


async def test_a_replaced_chunk_goes_to_disk_with_the_first_request(tmp_path: Path) -> None:
    song = make_song(20)
    async with open_store(tmp_path) as store:
        await cache(store, song)
    flip(files(tmp_path, song)["prefix"], random.Random(1))
    async with open_store(tmp_path) as store:
        await play(store, song)
        entry = request(store, song)
        fill(entry, song, [chunk for chunk in range(song.count) if entry.has(chunk) is None])
        await at_rest(store)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


async def test_what_lies_behind_the_end_of_a_cut_file_is_not_claimed(tmp_path: Path) -> None:
    song = make_song(20)
    async with open_store(tmp_path) as store:
        await cache(store, song)
    with files(tmp_path, song)["tail"].open("r+b") as file:
        file.truncate(12 * CHUNK_BYTES + 1)
    async with open_store(tmp_path) as store:
        delivered = await play(store, song)
        assert [chunk for chunk, data in delivered.items() if data is None] == list(range(12, 20))
        assert wrong(song, delivered) == []
        assert sample(store, "reprise_edge_corrupt_chunks_total") == 0


async def test_a_manifest_of_an_unknown_key_is_not_adopted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        await cache(store, song)
    monkeypatch.setattr("tests.edge_node.stores.KEYS", {})
    async with open_store(tmp_path) as store:
        assert store.find(song.rendition_id) is None
        assert sample(store, "reprise_edge_adopted_renditions_total", outcome="dropped") == 1
    assert files(tmp_path, song) == {}


async def test_what_is_not_ours_is_removed(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        await cache(store, song)
    shard = tmp_path / "objects" / song.rendition_id[:2]
    foreign = "f" * 64 if not song.rendition_id.startswith("ff") else "e" * 64
    for name in ("junk", f"{song.rendition_id}.new", f"{song.rendition_id}.mp3", f"{foreign}.prefix", "..prefix"):
        (shard / name).write_bytes(b"x")
    (shard / f"{song.rendition_id[:2]}{'0' * 62}.tail").write_bytes(b"no sidecar")
    (shard / "a-directory").mkdir()
    async with open_store(tmp_path) as store:
        assert await play(store, song) == whole(song)
    assert {path.name for path in shard.iterdir() if path.is_file()} == {
        f"{song.rendition_id}.{suffix}" for suffix in ("sidecar", "prefix", "tail")
    }


async def scan(store: Store, _song: Song) -> None:
    await store.disk.adopt()


async def discover(store: Store, song: Song) -> None:
    assert await store.discover(song.rendition_id) is None


@pytest.mark.parametrize("look_first", [scan, discover])
async def test_a_purge_while_adopting_is_not_undone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, look_first: Callable[[Store, Song], Awaitable[None]]
) -> None:
    song, loop, look = make_song(), asyncio.get_running_loop(), CacheDir.adopt
    async with open_store(tmp_path / "earlier") as store:
        await cache(store, song)
    async with open_store(tmp_path / "now") as store:
        shutil.copytree(tmp_path / "earlier" / "objects", tmp_path / "now" / "objects", dirs_exist_ok=True)
        looks: list[Found | None] = []

        def look_and_be_late(directory: CacheDir, rendition_id: str) -> Found | None:
            looks.append(look(directory, rendition_id))
            if len(looks) == 1:
                # Reaches the loop before the return value does.
                asyncio.run_coroutine_threadsafe(store.purge(rendition_id), loop)
            return looks[-1]

        monkeypatch.setattr(CacheDir, "adopt", look_and_be_late)
        store.disk.adopting = True
        await look_first(store, song)
        assert looks[0] is not None
        assert looks[1:] == [None]
        assert store.find(song.rendition_id) is None
        assert files(tmp_path / "now", song) == {}


@asynccontextmanager
async def unscanned(tmp_path: Path, songs: list[Song]) -> AsyncIterator[Store]:
    """A store over a directory that holds `songs` and that nobody has looked at yet."""
    async with open_store(tmp_path / "earlier") as store:
        for song in songs:
            await cache(store, song)
    async with open_store(tmp_path / "now") as store:
        shutil.copytree(tmp_path / "earlier" / "objects", tmp_path / "now" / "objects", dirs_exist_ok=True)
        store.disk.adopting = True
        yield store


async def test_a_song_that_the_scan_has_not_reached_is_found_at_once(tmp_path: Path) -> None:
    songs = [make_song(20, seed) for seed in range(3)]
    async with unscanned(tmp_path, songs) as store:
        assert store.find(songs[1].rendition_id) is None
        entry = await store.discover(songs[1].rendition_id)
        assert entry is not None
        assert entry.has(0) is Tier.COLD
        assert await play(store, songs[1]) == whole(songs[1])
        assert len(store.disk.index) == 1, "the others are left to the scan"


async def test_scan_and_listeners_take_each_song_in_once(tmp_path: Path) -> None:
    songs = [make_song(20, seed) for seed in range(40)]
    async with unscanned(tmp_path, songs) as store:
        found = await asyncio.gather(*(store.discover(song.rendition_id) for song in songs), store.disk.adopt())
        assert None not in found[:-1]
        assert sample(store, "reprise_edge_adopted_renditions_total", outcome="adopted") == len(songs)
        charged = store.disk.policy.size_bytes
    async with open_store(tmp_path / "now") as store:
        assert store.disk.policy.size_bytes == charged


async def test_discovering_what_is_not_there_is_a_miss_and_no_error(tmp_path: Path) -> None:
    async with unscanned(tmp_path, [make_song(20, 1)]) as store:
        assert await store.discover(make_song(20, 2).rendition_id) is None
        await store.disk.adopt()
        assert sample(store, "reprise_edge_adopted_renditions_total", outcome="dropped") == 0
        assert sample(store, "reprise_edge_disk_errors_total", operation="read") == 0


async def test_a_disk_that_does_not_answer_discovers_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    song, go = make_song(), threading.Event()
    monkeypatch.setattr(disk, "READ_S_MAX", 0.01)
    async with unscanned(tmp_path, [song]) as store:
        monkeypatch.setattr(CacheDir, "adopt", lambda *_: go.wait(10))
        try:
            assert await store.discover(song.rendition_id) is None
        finally:
            go.set()
        assert sample(store, "reprise_edge_disk_errors_total", operation="read_timeout") == 1


async def test_what_is_asked_for_while_adopting_is_written_after_it(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        store.disk.adopting = True
        await cache(store, song)
        assert files(tmp_path, song) == {}, "nothing is written before all names are known"
        assert await play(store, song) == whole(song), "served meanwhile"
        await store.start()
        await store.adopted()
        await at_rest(store)
        assert set(files(tmp_path, song)) == {"sidecar", "prefix", "tail"}
