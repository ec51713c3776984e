"""Prewarming: what is at home here comes from the origin no faster than ordered, a listener's fill as fast as ever, and what
was brought is still there when the crowd comes."""

import asyncio
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from edge_node.eviction import HITS_MAX, Grown, Key, Part, S3Fifo
from edge_node.location import Tier
from edge_node.prewarming import Prewarming
from tests.edge_node.edges import make_audio, running_edge, running_region, scripted_origin
from tests.edge_node.stores import MIB, at_rest, cache, fill, make_song, open_store
from tests.edge_node.test_edge import SIZE, audio_at_home

PREFIX = 8
KBPS = 1000


async def test_prefixes_come_from_the_origin_no_faster_than_ordered(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        audios = [origin.add(make_audio(SIZE, seed)) for seed in range(4)]
        registry = CollectorRegistry()
        prewarming = Prewarming(edge.node, edge.node.store, registry)  # type: ignore[arg-type]
        began = time.monotonic()
        # Of four prefixes of 4 Mbit, three wait their turn: 0.25 s each at 16 Mb/s.
        ids = [audio.rendition_id for audio in audios]
        assert await prewarming.bring(ids, prefix_only=True, origin_bps_max=16_777 * KBPS) == []
        assert time.monotonic() - began > 0.74
        assert [origin.given_of(audio)[: PREFIX + 1] for audio in audios] == [[1] * PREFIX + [0]] * 4
        brought = {"source": "origin"}
        assert registry.get_sample_value("reprise_edge_prewarmed_bytes_total", brought) == 4 * PREFIX * 65536
        # What is here already costs nothing and waits for nobody.
        began = time.monotonic()
        assert await prewarming.bring(ids, prefix_only=True, origin_bps_max=1 * KBPS) == []
        assert time.monotonic() - began < 5
        assert sum(map(sum, map(origin.given_of, audios))) == 4 * PREFIX


async def test_a_listener_is_not_held_back_by_the_limit(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        audio = origin.add(make_audio(SIZE))
        # At this rate the second span would come in an hour.
        prewarming = asyncio.create_task(edge.prewarm(audio, origin_bps_max=1 * KBPS))
        async with asyncio.timeout(10):
            assert await edge.play(audio) == audio.data
        assert set(origin.given_of(audio)) == {1}
        prewarming.cancel()


async def test_another_edge_takes_it_from_the_home_and_no_limit_holds_that(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_region(tmp_path, 2, origin.address) as (home, other):
        audio = origin.add(audio_at_home("edge-1", ["edge-2"]))
        home.node.store.homes.settle("edge-1", {"edge-1": 1, "edge-2": 1})  # type: ignore[attr-defined]
        assert await home.prewarm(audio, prefix_only=True, origin_bps_max=50_000 * KBPS) == []
        async with asyncio.timeout(10):
            assert await other.prewarm(audio, prefix_only=True, origin_bps_max=1) == []
        assert origin.given_of(audio) == [1] * PREFIX + [0] * 13
        assert other.count("prewarm", "error") == 0


async def test_what_does_not_come_is_named(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        audio = make_audio(SIZE)
        (reason,) = await edge.prewarm(audio, prefix_only=True)
        assert audio.rendition_id in reason


def test_a_prewarmed_part_outlives_what_is_asked_for_once() -> None:
    """Ten times the cache passes; without `admit` the first tenth of that takes it."""

    def survives(*, admitted: bool) -> bool:
        policy = S3Fifo(bytes_max=100, keys_max=1000)
        prewarmed = Key("release", Part.PREFIX)
        for n in range(30):
            assert isinstance(policy.grow(Key(f"before {n}", Part.PREFIX), 5), Grown)
        assert isinstance(policy.grow(prewarmed, 5), Grown)
        if admitted:
            policy.admit(prewarmed)
        for n in range(200):
            policy.grow(Key(f"once {n}", Part.PREFIX), 5)
        return prewarmed in policy

    assert survives(admitted=True)
    assert not survives(admitted=False)


def test_a_prewarmed_part_that_nobody_comes_for_goes_in_the_end() -> None:
    policy = S3Fifo(bytes_max=100, keys_max=1000)
    prewarmed = Key("release", Part.PREFIX)
    policy.grow(prewarmed, 5)
    policy.admit(prewarmed)
    for n in range(HITS_MAX * 100):
        hot = Key(f"hot {n}", Part.PREFIX)
        policy.grow(hot, 5)
        for _ in range(2):
            policy.touch(hot)
    assert prewarmed not in policy


@pytest.mark.parametrize(("requests", "tier"), [(1, Tier.RAM), (2, Tier.COLD)])
async def test_a_prewarmed_prefix_is_there_after_many_songs_have_passed(
    tmp_path: Path, requests: int, tier: Tier
) -> None:
    """A release is preheated long before its moment. Six times the RAM asked for once leaves it there; asked for twice, three
    times the disk leaves it on disk: never back to the origin."""
    release = make_song(PREFIX, seed=1)
    async with open_store(tmp_path, ram_bytes_max=4 * MIB, disk_bytes_max=8 * MIB) as store:
        for seed in range(100, 120):
            await cache(store, make_song(PREFIX, seed))
        entry = store.entry(release.manifest)
        fill(entry, release)
        entry.release()
        store.keep(release.rendition_id)
        await at_rest(store)
        for seed in range(200, 250):
            await cache(store, make_song(PREFIX, seed), requests)
        kept = store.find(release.rendition_id)
        assert kept is not None
        assert kept.has(0) is tier
        assert await kept.ensure_verified(0)
        kept.release()
