"""The scrubber finds rot that nobody asked for, and is never faster than it may be."""

import asyncio
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from edge_node.eviction import Part
from edge_node.scrub_pace import ROUND_S_MIN, ScrubPace
from edge_node.scrubber import Scrubber
from edge_node.store import Store
from reprise.chunks import CHUNK_BYTES
from reprise.config import ConfigError
from tests.edge_node.stores import (
    KEYS,
    MIB,
    Clock,
    Song,
    at_rest,
    cache,
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


def scrubber(store: Store, clock: Clock, bytes_per_s: int = MIB) -> Scrubber:
    async def sleep(delay_s: float) -> None:
        clock.now += delay_s
        await asyncio.sleep(0)

    return Scrubber(store.disk, ScrubPace(bytes_per_s), store.metrics, clock, sleep)


def rot(path: Path) -> None:
    """One bit, in the last byte."""
    with path.open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([byte ^ 1]))


def scrubbed(store: Store, result: str) -> float:
    return sample(store, "reprise_edge_scrubbed_chunks_total", result=result)


async def cached(store: Store, chunks: int = 20, seed: int = 1) -> Song:
    song = make_song(chunks, seed)
    await cache(store, song)
    forget_ram(store, song)
    return song


async def test_a_round_reads_every_chunk_once(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        songs = [await cached(store, seed=seed) for seed in range(3)]
        await scrubber(store, Clock()).round()
        assert scrubbed(store, "good") == sum(song.count for song in songs)
        assert scrubbed(store, "bad") == 0
        assert len(store.disk.index._open) == 0, "no listener's file was opened, so none was closed for it"
        for song in songs:
            assert await play(store, song) == whole(song)


async def test_a_rotten_part_goes_and_the_rest_stays(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        song, other = await cached(store, seed=1), await cached(store, seed=2)
        rot(files(tmp_path, song)["tail"])
        await scrubber(store, Clock()).round()
        await at_rest(store)
        assert scrubbed(store, "bad") == 1
        assert sample(store, "reprise_edge_corrupt_chunks_total") == 1
        assert set(files(tmp_path, song)) == {"sidecar", "prefix"}
        assert await play(store, other) == whole(other)
        entry = request(store, song)
        fill(entry, song, part_chunks(song, Part.TAIL))
        await at_rest(store)
        assert set(files(tmp_path, song)) == {"sidecar", "prefix", "tail"}, "what replaces it goes to disk at once"


async def test_what_leaves_during_a_round_is_passed_over(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        song, clock = await cached(store), Clock()

        async def purge_instead_of_sleeping(_delay_s: float) -> None:
            await store.purge(song.rendition_id)

        await Scrubber(store.disk, ScrubPace(MIB), store.metrics, clock, purge_instead_of_sleeping).round()
        assert scrubbed(store, "gone") == 1
        assert scrubbed(store, "good") == 0


async def test_a_round_takes_as_long_as_its_bytes_may(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        song, clock = await cached(store), Clock()
        start = clock.now
        await scrubber(store, clock, bytes_per_s=CHUNK_BYTES).round()
        assert clock.now - start == pytest.approx(song.count - 1)


async def test_it_starts_and_ends_with_the_store(tmp_path: Path) -> None:
    async with open_store(tmp_path) as store:
        song = await cached(store)
    store = Store.open(tmp_path, MIB, 64 * MIB, KEYS, CollectorRegistry(), scrub_bytes_per_s=100 * MIB)
    await store.start()
    async with asyncio.timeout(20):
        while scrubbed(store, "good") < song.count:
            await asyncio.sleep(0.01)
    await store.close()
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("cache.")]


async def test_it_is_off_by_nought_and_refuses_less(tmp_path: Path) -> None:
    store = Store.open(tmp_path, MIB, MIB, KEYS, CollectorRegistry(), scrub_bytes_per_s=0)
    await store.start()
    assert not [task for task in asyncio.all_tasks() if task.get_name() == "cache.scrub"]
    await store.close()
    with pytest.raises(ConfigError, match="scrub_bytes_per_s must be 0, which is off, or more, not -1"):
        Store.open(tmp_path, MIB, MIB, KEYS, CollectorRegistry(), scrub_bytes_per_s=-1)


@given(
    bytes_per_s=st.integers(1, 10**9),
    reads=st.lists(st.tuples(st.integers(1, CHUNK_BYTES), st.floats(0, 100)), min_size=1, max_size=50),
)
def test_no_span_of_time_has_more_bytes_than_it_may(bytes_per_s: int, reads: list[tuple[int, float]]) -> None:
    pace, now = ScrubPace(bytes_per_s), 0.0
    begun: list[tuple[float, int]] = []
    for size_bytes, took_s in reads:
        now += pace.read_pause_s(size_bytes, now)
        begun.append((now, size_bytes))
        now += took_s
    for first, (start, _) in enumerate(begun):
        for last in range(first, len(begun)):
            before_last = sum(size for _, size in begun[first:last])
            assert before_last <= (begun[last][0] - start) * bytes_per_s * (1 + 1e-9) + 1e-3


@given(took_s=st.lists(st.floats(0, 3 * ROUND_S_MIN), min_size=1, max_size=20))
def test_rounds_begin_at_least_their_interval_apart(took_s: list[float]) -> None:
    pace, now, last = ScrubPace(1), 0.0, -ROUND_S_MIN
    for round_s in took_s:
        now += pace.round_pause_s(now)
        assert now - last >= ROUND_S_MIN - 1e-6
        last = now
        now += round_s
