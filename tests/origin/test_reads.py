"""Many readers, one S3: bytes, counters and failures. The store is a fake whose arrivals the test controls."""

import asyncio

import pytest

from origin.reads import Reads
from reprise.chunks import CHUNK_BYTES
from reprise.errors import DataCorrupt, NotFound, QuotaExceeded, Unavailable
from reprise.manifests import Manifest
from tests.origin.fakes import FakeStore, Origin, audio, manifest_of
from tests.support.wait import wait_until

SONG = audio(20 * CHUNK_BYTES + 100)
MANIFEST = manifest_of(SONG)
CHUNKS = 21


async def read_all(reads: Reads, first: int = 0, stop: int = CHUNKS, manifest: Manifest = MANIFEST) -> bytes:
    return b"".join([chunk async for chunk in reads.chunks(manifest, first, stop)])


async def test_two_hundred_readers_cost_one_read_of_each_byte() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    bodies = await asyncio.gather(*(read_all(origin.reads) for _ in range(200)))
    assert all(body == SONG for body in bodies)
    assert store.bytes_by_chunk == dict.fromkeys(range(CHUNKS), 1)
    assert [span.length // CHUNK_BYTES for span in store.reads] == [8, 8, 4]
    sources = [origin.count("reprise_origin_chunks_total", source=s) for s in ("held", "joined", "started")]
    assert sum(sources) == 200 * CHUNKS
    assert sources[2] == 3


async def test_a_reader_a_second_later_is_served_from_the_window() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    await read_all(origin.reads)
    assert await read_all(origin.reads, first=5) == SONG[5 * CHUNK_BYTES :]
    assert len(store.reads) == 3


async def test_a_follower_gets_bytes_before_the_read_ends() -> None:
    store = FakeStore(SONG)
    origin = Origin(store, read_chunks=CHUNKS)
    store.hold()
    leader, follower = (origin.reads.chunks(MANIFEST, 0, CHUNKS) for _ in range(2))
    firsts = [asyncio.create_task(anext(reader)) for reader in (leader, follower)]
    await wait_until(lambda: origin.coalescer.live_reads == 1, "the reads are under way")
    store.release()
    assert await asyncio.gather(*firsts) == [SONG[:CHUNK_BYTES]] * 2
    assert len(store.reads) == 1
    await origin.close()


async def test_the_reader_that_started_a_read_may_leave_and_the_others_notice_nothing() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    store.hold()
    leader = asyncio.create_task(read_all(origin.reads))
    await wait_until(lambda: len(store.reads) == 1, "the reads are under way")
    follower = asyncio.create_task(read_all(origin.reads))
    await wait_until(
        lambda: origin.count("reprise_origin_chunks_total", source="joined") == 1, "the reads are under way"
    )
    leader.cancel()
    await asyncio.wait([leader])
    store.release()
    assert await follower == SONG
    assert store.bytes_by_chunk == dict.fromkeys(range(CHUNKS), 1)


async def test_a_reader_that_takes_nothing_does_not_slow_the_others() -> None:
    origin = Origin(FakeStore(SONG))
    lagging = origin.reads.chunks(MANIFEST, 0, CHUNKS)
    first = await anext(lagging)
    assert await read_all(origin.reads) == SONG
    assert first + b"".join([chunk async for chunk in lagging]) == SONG


async def test_a_seek_far_ahead_is_served_by_a_read_of_its_own_and_no_chunk_is_read_twice() -> None:
    store = FakeStore(SONG)
    origin = Origin(store, read_chunks=CHUNKS)
    store.hold()
    start = asyncio.create_task(read_all(origin.reads))
    await wait_until(lambda: len(store.reads) == 1, "the reads are under way")
    seek = asyncio.create_task(read_all(origin.reads, first=12))
    await wait_until(lambda: len(store.reads) == 2, "the reads are under way")
    store.release()
    assert await seek == SONG[12 * CHUNK_BYTES :]
    assert await start == SONG
    assert store.bytes_by_chunk == dict.fromkeys(range(CHUNKS), 1)


async def test_a_window_smaller_than_a_song_still_gives_every_reader_every_byte() -> None:
    origin = Origin(FakeStore(SONG), window_chunks=2)
    bodies = await asyncio.gather(*(read_all(origin.reads, first) for first in (0, 3, 0, 11)))
    assert bodies == [SONG, SONG[3 * CHUNK_BYTES :], SONG, SONG[11 * CHUNK_BYTES :]]
    assert origin.count("reprise_origin_window_bytes") <= 2 * CHUNK_BYTES


@pytest.mark.parametrize("error", [Unavailable("S3 is down"), NotFound("gone")])
async def test_all_readers_of_a_failed_read_get_its_error_once_and_the_next_reader_starts_anew(
    error: Exception,
) -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    store.fail_at[4] = error
    outcomes = await asyncio.gather(*(read_all(origin.reads) for _ in range(50)), return_exceptions=True)
    assert all(outcome is error for outcome in outcomes)
    assert len(store.reads) == 1
    del store.fail_at[4]
    assert await read_all(origin.reads) == SONG
    assert store.bytes_by_chunk == dict.fromkeys(range(CHUNKS), 1)


async def test_a_damaged_chunk_is_named_and_never_given_out() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    store.renditions[MANIFEST.rendition_id] = SONG[: 3 * CHUNK_BYTES] + b"?" + SONG[3 * CHUNK_BYTES + 1 :]
    reader = origin.reads.chunks(MANIFEST, 0, CHUNKS)
    assert [await anext(reader) for _ in range(3)] == [SONG[i * CHUNK_BYTES : (i + 1) * CHUNK_BYTES] for i in range(3)]
    with pytest.raises(DataCorrupt, match="chunk 3 of rendition"):
        await anext(reader)


async def test_reads_beyond_the_waiting_limit_are_refused_with_a_pause() -> None:
    songs = [audio(CHUNK_BYTES, seed) for seed in range(3)]
    store = FakeStore(*songs)
    origin = Origin(store, active_max=1, waiting_max=1)
    store.hold()
    served = [asyncio.create_task(read_all(origin.reads, 0, 1, manifest_of(song))) for song in songs[:2]]
    await wait_until(lambda: origin.coalescer.live_reads == 2 and len(store.reads) == 1, "the reads are under way")
    with pytest.raises(QuotaExceeded) as refusal:
        await read_all(origin.reads, 0, 1, manifest_of(songs[2]))
    assert refusal.value.retry_after_s == 1.0
    assert origin.count("reprise_origin_refused_total", limit="queue") == 1
    store.release()
    assert await asyncio.gather(*served) == songs[:2]


async def test_closing_ends_reads_and_their_readers() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    store.hold()
    reader = asyncio.create_task(read_all(origin.reads))
    await wait_until(lambda: len(store.reads) == 1, "the reads are under way")
    await origin.close()
    with pytest.raises(Unavailable, match="stopping"):
        await reader
    assert origin.coalescer.live_reads == 0
