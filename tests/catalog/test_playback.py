"""Players get the manifests of songs that they may see, as they were signed, read from the store once."""

import asyncio
import uuid
from typing import Any

import pytest
import sqlalchemy as sa
from botocore.exceptions import ClientError
from prometheus_client import CollectorRegistry

from catalog import redirects
from catalog import tables as t
from catalog.database import Database
from catalog.model import EntityKind, Loudness
from catalog.playback import BYTES_MAX, Playback
from catalog.publish import Publisher
from catalog.signed_manifests import MANIFEST_BYTES_MAX, WAITING_MAX, ManifestMetrics, SignedManifests
from reprise import s3
from reprise.errors import DataCorrupt, InvalidRequest, Unavailable
from reprise.types.v1.types_pb2 import SignedManifest
from tests.catalog.songbook import publication, rendition


class FakeS3:
    """Objects in memory; `reads` counts, `gate` holds answers back. Bodies come in small pieces, as over a network."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def put(self, rendition_id: str, size_bytes: int = 3000) -> SignedManifest:
        signed = SignedManifest(manifest=rendition_id.encode().ljust(size_bytes), key_id="k", signature=b"s" * 64)
        self.objects[s3.manifest_key(rendition_id)] = signed.SerializeToString()
        return signed

    async def get_object(self, **asked: str) -> dict[str, Any]:
        key = asked["Key"]
        self.reads.append(key)
        await self.gate.wait()
        if key not in self.objects:
            raise ClientError({"Error": {"Code": "NoSuchKey"}}, "GetObject")
        return {"Body": Body(self.objects[key])}


class Body:
    def __init__(self, data: bytes) -> None:
        self._data = data

    async def __aenter__(self) -> "Body":
        return self

    async def __aexit__(self, *_: object) -> None:
        return None

    async def read(self, size: int) -> bytes:
        piece, self._data = self._data[: min(size, 1 << 16)], self._data[min(size, 1 << 16) :]
        return piece


@pytest.fixture
async def store() -> FakeS3:
    return FakeS3()


@pytest.fixture
def manifests(store: FakeS3, registry: CollectorRegistry) -> SignedManifests:
    return SignedManifests(store, "bucket", 1 << 20, ManifestMetrics(registry))


@pytest.fixture
def playback(database: Database, manifests: SignedManifests) -> Playback:
    return Playback(database, manifests)


async def test_songs_come_in_the_order_asked_with_all_manifests_as_they_were_signed(
    playback: Playback, publisher: Publisher, store: FakeS3
) -> None:
    two = (rendition(f"a{uuid.uuid4()}"), rendition(f"b{uuid.uuid4()}"))
    first = publication("First", renditions=two, loudness=Loudness(-14.0, -1.0, 6.0))
    second = publication("Second")
    ids = [(await publisher.publish(song)).song_id for song in (first, second)]
    signed = {one.rendition_id: store.put(one.rendition_id) for one in (*first.renditions, *second.renditions)}
    missing = uuid.uuid4()
    answer = await playback.get([ids[1], missing, ids[0], ids[1]])
    assert [song.song_id for song in answer.songs] == [str(ids[1]), str(ids[0])]
    assert answer.songs[1].manifests == tuple(signed[one.rendition_id] for one in two)
    assert answer.songs[1].loudness == Loudness(-14.0, -1.0, 6.0)
    assert answer.songs[0].loudness is None
    assert answer.unknown_song_ids == (str(missing),)


async def test_a_merged_song_is_answered_by_the_one_that_stayed(
    playback: Playback, publisher: Publisher, database: Database, store: FakeS3
) -> None:
    song = publication("Stayed")
    song_id, old_id = (await publisher.publish(song)).song_id, uuid.uuid4()
    store.put(song.renditions[0].rendition_id)
    await database.write(lambda connection: redirects.add(connection, EntityKind.SONG, old_id, song_id))
    answer = await playback.get([old_id, song_id])
    assert [one.song_id for one in answer.songs] == [str(song_id)]
    assert answer.redirected == {str(old_id): str(song_id)}
    assert answer.unknown_song_ids == ()


@pytest.mark.parametrize(
    "hidden", [{"withdrawn_at": sa.func.now()}, {"available_from": sa.func.now() + sa.text("interval '1 day'")}]
)
async def test_what_listeners_may_not_see_is_unknown(
    playback: Playback, publisher: Publisher, database: Database, hidden: dict[str, Any]
) -> None:
    song_id = (await publisher.publish(publication("Hidden"))).song_id
    statement = sa.update(t.recording).where(t.recording.c.id == song_id).values(**hidden)
    await database.write(lambda connection: connection.execute(statement))
    assert (await playback.get([song_id])).unknown_song_ids == (str(song_id),)


async def test_an_answer_that_no_client_takes_is_refused_before_it_is_sent(
    playback: Playback, publisher: Publisher, store: FakeS3
) -> None:
    songs = [publication(f"Long {number}") for number in range(2)]
    ids = [(await publisher.publish(song)).song_id for song in songs]
    for song in songs:
        store.put(song.renditions[0].rendition_id, BYTES_MAX * 2 // 3)
    with pytest.raises(InvalidRequest, match="ask for fewer songs at once"):
        await playback.get(ids)
    assert len((await playback.get(ids[:1])).songs) == 1


async def test_many_who_want_the_same_manifest_cause_one_read(manifests: SignedManifests, store: FakeS3) -> None:
    signed = store.put("r")
    store.gate.clear()
    asking = [asyncio.create_task(manifests.get(["r"])) for _ in range(20)]
    await asyncio.sleep(0)
    asking[0].cancel()
    store.gate.set()
    answers = await asyncio.gather(*asking, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [[signed]] * 19
    assert await manifests.get(["r"]) == [signed]
    assert len(store.reads) == 1


async def test_memory_is_bounded_by_bytes(manifests: SignedManifests, store: FakeS3) -> None:
    for number in range(4):
        store.put(f"r{number}", 400_000)
        await manifests.get([f"r{number}"])
    await manifests.get(["r3"])
    await manifests.get(["r0"])
    assert [key.rpartition("/")[2] for key in store.reads] == ["r0", "r1", "r2", "r3", "r0"]


@pytest.mark.parametrize("body", [b"\xff\xff not a message", b"\x0a\x80\x80\xff\x01" + bytes(MANIFEST_BYTES_MAX + 10)])
async def test_a_damaged_manifest_is_named_and_not_kept(manifests: SignedManifests, store: FakeS3, body: bytes) -> None:
    store.objects[s3.manifest_key("r")] = body
    with pytest.raises(DataCorrupt, match="rendition r is damaged"):
        await manifests.get(["r"])
    signed = store.put("r")
    assert await manifests.get(["r"]) == [signed]


async def test_a_manifest_that_the_store_lost_is_named(manifests: SignedManifests) -> None:
    with pytest.raises(DataCorrupt, match="no manifest of rendition gone"):
        await manifests.get(["gone"])


async def test_one_read_too_many_is_refused(manifests: SignedManifests, store: FakeS3) -> None:
    store.gate.clear()
    waiting = [asyncio.create_task(manifests.get([f"r{number}"])) for number in range(WAITING_MAX)]
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable, match="being read"):
        await manifests.get(["another"])
    await manifests.close()
    assert all(
        isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*waiting, return_exceptions=True)
    )


async def test_the_real_store_hands_back_what_ingest_put_there(
    s3_bucket: s3.Bucket, registry: CollectorRegistry
) -> None:
    signed = FakeS3().put("r", 1_500_000)
    async with s3.client(s3_bucket) as client:
        await client.put_object(Bucket=s3_bucket.name, Key=s3.manifest_key("r"), Body=signed.SerializeToString())
        manifests = SignedManifests(client, s3_bucket.name, 1 << 20, ManifestMetrics(registry))
        assert await manifests.get(["r"]) == [signed]
        with pytest.raises(DataCorrupt):
            await manifests.get(["gone"])
