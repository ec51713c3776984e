"""Manifests kept, shared and forgotten; chunk ranges checked."""

import asyncio

import pytest

from reprise.chunks import CHUNK_BYTES
from reprise.errors import DataCorrupt, InvalidRequest, NotFound, OutOfRange
from tests.origin.fakes import FakeStore, Origin, audio, manifest_of, signed_manifest

SONG = audio(3 * CHUNK_BYTES + 1)
SONG_ID = manifest_of(SONG).rendition_id


async def collect(origin: Origin, first: int, count: int) -> bytes:
    return b"".join([chunk async for chunk in origin.library.chunks(SONG_ID, first, count)])


async def test_a_manifest_is_fetched_once_for_all_and_handed_on_as_it_was_signed() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    answers = await asyncio.gather(*(origin.library.manifest(SONG_ID) for _ in range(50)))
    assert all(answer.signed == signed_manifest(SONG) for answer in answers)
    await origin.library.manifest(SONG_ID)
    assert store.manifest_fetches == 1


async def test_the_fetch_of_a_manifest_survives_the_caller_that_started_it() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    store.hold()
    leader = asyncio.create_task(origin.library.manifest(SONG_ID))
    follower = asyncio.create_task(origin.library.manifest(SONG_ID))
    await asyncio.sleep(0)
    leader.cancel()
    await asyncio.wait([leader])
    store.release()
    assert (await follower).rendition_id == SONG_ID
    assert store.manifest_fetches == 1


async def test_an_unknown_rendition_is_asked_for_once_in_two_seconds() -> None:
    store = FakeStore()
    origin = Origin(store)
    for _ in range(5):
        with pytest.raises(NotFound, match=SONG_ID):
            await origin.library.manifest(SONG_ID)
    assert store.manifest_fetches == 1
    origin.now += 2.5
    store.renditions[SONG_ID] = SONG
    assert (await origin.library.manifest(SONG_ID)).size_bytes == len(SONG)


async def test_a_rendition_without_its_object_is_absent_for_a_while_too() -> None:
    store = FakeStore(SONG)
    origin = Origin(store)
    store.fail_at[0] = NotFound("S3 has no rendition")
    for _ in range(3):
        with pytest.raises(NotFound):
            await collect(origin, 0, 0)
    assert len(store.reads) == 1


@pytest.mark.parametrize(
    ("first", "count", "start", "end"), [(0, 0, 0, None), (1, 2, 1, 3), (3, 0, 3, None), (2, 99, 2, None)]
)
async def test_a_range_of_chunks_is_exactly_its_bytes(first: int, count: int, start: int, end: int | None) -> None:
    origin = Origin(FakeStore(SONG))
    assert await collect(origin, first, count) == SONG[start * CHUNK_BYTES : end and end * CHUNK_BYTES]


async def test_a_range_behind_the_end_says_how_many_chunks_there_are() -> None:
    with pytest.raises(OutOfRange, match="has 4 chunks, none at 4"):
        await collect(Origin(FakeStore(SONG)), 4, 1)


@pytest.mark.parametrize("rendition_id", ["", "xyz", "../../etc/passwd", SONG_ID.upper(), SONG_ID + "0"])
async def test_a_malformed_id_never_reaches_s3(rendition_id: str) -> None:
    store = FakeStore(SONG)
    with pytest.raises(InvalidRequest, match="rendition_id"):
        await Origin(store).library.manifest(rendition_id)
    assert store.manifest_fetches == 0


async def test_a_manifest_of_another_rendition_is_not_believed() -> None:
    store = FakeStore(SONG)
    other = "f" * 64
    store.renditions[other] = SONG
    with pytest.raises(DataCorrupt, match=other):
        await Origin(store).library.manifest(other)
