"""What of the songs that pass through memory gets onto disk: what is asked for again, or fits anyway, and is at home here."""

from itertools import islice
from pathlib import Path

from edge_node import disk
from edge_node.eviction import Part
from edge_node.location import Tier
from reprise.placement import rank
from tests.edge_node.stores import (
    MIB,
    Song,
    at_rest,
    cache,
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
from tests.edge_node.test_store_disk import GatedDisk

# The edges of a region and their NICs.
BOTH = {"edge-1": 1, "edge-2": 1}


def song_at_home(edge_id: str, number: int = 0) -> Song:
    """One of the songs that are at home on `edge_id` of edge-1 and edge-2."""
    songs = (make_song(20, seed) for seed in range(1000))
    at_home = (song for song in songs if rank(song.rendition_id, ["edge-1", "edge-2"])[0] == edge_id)
    return next(islice(at_home, number, None))


async def test_the_second_request_writes_it(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        await cache(store, song)
        assert set(files(tmp_path, song)) == {"sidecar", "prefix", "tail"}
        assert sample(store, "reprise_edge_spilled_chunks_total") == song.count
        forget_ram(store, song)
        entry = store.find(song.rendition_id)
        assert entry is not None
        assert entry.has(0) is Tier.COLD
        assert await play(store, song) == whole(song)
        assert entry.has(0) is Tier.DISK


async def test_a_second_request_after_ram_forgot_the_first_counts(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        await cache(store, song, requests=1)
        forget_ram(store, song)
        await cache(store, song, requests=1)
        assert set(files(tmp_path, song)) == {"sidecar", "prefix", "tail"}


async def test_only_the_part_that_was_asked_for_is_written(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        entry = store.entry(song.manifest)
        fill(entry, song)
        for _ in range(2):
            entry.touch(Part.PREFIX)
        await at_rest(store)
        assert set(files(tmp_path, song)) == {"sidecar", "prefix"}


async def test_a_prewarmed_song_is_written_at_once(tmp_path: Path) -> None:
    song = make_song()
    async with open_store(tmp_path) as store:
        fill(store.entry(song.manifest), song)
        store.keep(song.rendition_id)
        await at_rest(store)
        forget_ram(store, song)
        assert await play(store, song) == whole(song)


async def test_what_is_asked_for_once_is_written_while_the_disk_has_room(tmp_path: Path) -> None:
    async with open_store(tmp_path, disk_bytes_max=20 * MIB) as store:
        songs = [make_song(20, seed) for seed in range(20)]
        for song in songs:
            await cache(store, song, requests=1)
        written = [set(files(tmp_path, song)) for song in songs]
        assert written[:15] == [{"sidecar", "prefix", "tail"}] * 15
        assert written[-1] == set()
        assert sample(store, "reprise_edge_evictions_total", tier="disk", part="tail") == 0, "nothing made room for it"
        assert sample(store, "reprise_edge_disk_admissions_total", ruling="room") > 0
        assert sample(store, "reprise_edge_disk_admissions_total", ruling="seldom") > 0


async def test_what_has_not_earned_its_place_waits_for_no_writer(tmp_path: Path) -> None:
    gate = GatedDisk()
    gate.go.clear()
    async with open_store(tmp_path, pwrite=gate) as store:
        songs = [make_song(9, seed) for seed in range(10)]
        for song in songs:
            fill(request(store, song), song)
        assert store.disk._writer.jobs == disk.UNEARNED_JOBS_MAX
        request(store, songs[-1])
        assert store.disk._writer.jobs == disk.UNEARNED_JOBS_MAX + 2, "asked for twice, it may wait"
        gate.go.set()
        await at_rest(store)


async def test_a_guest_stays_in_memory_however_often_it_is_asked_for(tmp_path: Path) -> None:
    own, guest = song_at_home("edge-1"), song_at_home("edge-2")
    async with open_store(tmp_path) as store:
        store.homes.settle("edge-1", BOTH)
        await cache(store, own)
        await cache(store, guest, requests=5)
        assert set(files(tmp_path, own)) == {"sidecar", "prefix", "tail"}
        assert files(tmp_path, guest) == {}
        assert await play(store, guest) == whole(guest)
        assert sample(store, "reprise_edge_disk_admissions_total", ruling="guest") == 10


async def test_a_guest_is_written_when_its_home_has_left_and_stays_when_it_is_back(tmp_path: Path) -> None:
    guest = song_at_home("edge-2")
    async with open_store(tmp_path) as store:
        store.homes.settle("edge-1", BOTH)
        await cache(store, guest)
        store.homes.settle("edge-1", {"edge-1": 1})
        await cache(store, guest, requests=1)
        store.homes.settle("edge-1", BOTH)
        forget_ram(store, guest)
        assert await play(store, guest) == whole(guest)


async def test_a_guest_that_is_still_on_disk_makes_room_first(tmp_path: Path) -> None:
    guest, own = song_at_home("edge-2"), [song_at_home("edge-1", number) for number in range(6)]
    async with open_store(tmp_path, disk_bytes_max=4 * MIB) as store:
        await cache(store, guest)
        store.homes.settle("edge-1", BOTH)
        await cache(store, guest, requests=5)
        for song in own:
            await cache(store, song)
        assert files(tmp_path, guest) == {}


async def test_a_prewarmed_guest_is_written(tmp_path: Path) -> None:
    guest = song_at_home("edge-2")
    async with open_store(tmp_path) as store:
        store.homes.settle("edge-1", BOTH)
        fill(request(store, guest), guest)
        store.keep(guest.rendition_id)
        await at_rest(store)
        assert set(files(tmp_path, guest)) == {"sidecar", "prefix", "tail"}
