"""Spans of RAM leave as messages of whole chunks, and stop for drains and takedowns between two of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_node.eviction import Key, Part
from edge_node.play_stream import PLAY_CHUNKS_MAX
from edge_node.ram_hits import HIT_BYTES_MAX, Hit
from edge_node.sending import Sending, send_hit, send_span
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayResponse
from reprise.errors import NotFound, QuotaExceeded, Unavailable
from reprise.streams import Stream
from tests.edge_node.edges import Audio, Edge, ScriptedOrigin, make_audio, running_edge, scripted_origin
from tests.support.wait import wait_until

SIZE = 20 * CHUNK_BYTES + 100


class Recorder:
    """Takes messages as a stream does, and does something when it has `at` of them."""

    def __init__(self, at: int = -1, then: Any = None) -> None:
        self.messages: list[bytes] = []
        self._at = at
        self._then = then

    async def send(self, message: bytes) -> None:
        self.messages.append(message)
        if len(self.messages) == self._at:
            self._then()

    @property
    def lengths(self) -> list[int]:
        return [len(PlayResponse.FromString(message).data) for message in self.messages]

    @property
    def data(self) -> bytes:
        return b"".join(PlayResponse.FromString(message).data for message in self.messages)


def to(stream: Any, stop: Any = lambda: False, chunks_max: int = PLAY_CHUNKS_MAX) -> Sending:
    taken: Stream = stream
    return Sending(taken, chunks_max, stop)


@pytest.fixture
async def audio(origin: ScriptedOrigin, edge: Edge) -> Audio:
    """In the edge's RAM as a whole."""
    audio = origin.add(make_audio(SIZE))
    assert await edge.play(audio) == audio.data
    return audio


@pytest.fixture
def hits(edge: Edge) -> Iterator[Any]:
    """Finds hits, and closes them with the test."""
    found: list[Hit] = []

    def find(audio: Audio, offset: int, length: int) -> Hit | None:
        hit = edge.hits.find(audio.rendition_id, offset, length, "grpc")
        if hit is not None:
            found.append(hit)
        return hit

    yield find
    for hit in found:
        hit.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.integers(0, SIZE - 1), length=st.integers(1, HIT_BYTES_MAX))
async def test_a_hit_is_sent_as_the_bytes_that_were_asked_for(
    edge: Edge, audio: Audio, start: int, length: int
) -> None:
    hit = edge.hits.find(audio.rendition_id, start, length, "grpc")
    assert hit is not None
    stream = Recorder()
    end = await send_hit(hit, to(stream))
    hit.close()
    assert end == hit.span.end == min(start + length, SIZE)
    assert stream.data == audio.data[start:end]
    _check_messages(stream.lengths, start, end)


def _check_messages(lengths: list[int], start: int, end: int) -> None:
    assert max(lengths) <= PLAY_CHUNKS_MAX * CHUNK_BYTES
    position = start
    for length in lengths:
        position += length
        assert position % CHUNK_BYTES == 0 or position == end


async def test_nothing_else_is_a_hit(edge: Edge, audio: Audio, hits: Any) -> None:
    assert hits(audio, 0, HIT_BYTES_MAX) is not None
    assert hits(audio, 0, HIT_BYTES_MAX + 1) is None
    assert hits(audio, 0, 0) is None, "the whole song is longer"
    assert hits(audio, SIZE - 10, 0) is not None
    assert hits(audio, SIZE, 1) is None
    assert hits(make_audio(100, seed=2), 0, 1) is None


async def test_a_span_of_which_a_chunk_is_missing_is_no_hit(edge: Edge, origin: ScriptedOrigin, hits: Any) -> None:
    part = origin.add(make_audio(SIZE, seed=3))
    missing = PREFIX_CHUNKS + 2
    there = missing * CHUNK_BYTES
    origin.hold_before = missing
    assert await edge.play(part, 0, there) == part.data[:there]
    assert hits(part, 0, there) is not None
    assert hits(part, PREFIX_CHUNKS * CHUNK_BYTES - 1, 2) is not None, "across both parts"
    assert hits(part, there - 1, 2) is None
    origin.go.set()


async def test_a_hit_counts_as_a_stream_and_as_a_request(edge: Edge, audio: Audio) -> None:
    requests, sent = edge.count("grpc", "hit_ram"), edge.node.metrics.sent_bytes["grpc", "ram"]
    hit = edge.hits.find(audio.rendition_id, 5, 10, "grpc")
    assert hit is not None
    assert edge.node.streams == 1
    hit.close()
    assert edge.node.streams == 0
    assert edge.count("grpc", "hit_ram") == requests + 1
    assert edge.node.metrics.sent_bytes["grpc", "ram"] == sent + 10


async def test_a_full_or_draining_edge_refuses_hits_too(edge: Edge, audio: Audio) -> None:
    edge.node.streams += edge.node.config.stream_limit
    with pytest.raises(QuotaExceeded):
        edge.hits.find(audio.rendition_id, 0, 1, "grpc")
    edge.node.streams -= edge.node.config.stream_limit
    edge.node.draining.set()
    with pytest.raises(Unavailable, match="draining"):
        edge.hits.find(audio.rendition_id, 0, 1, "grpc")


async def test_a_drain_ends_a_hit_at_the_next_chunk(edge: Edge, audio: Audio, hits: Any) -> None:
    stream = Recorder(at=2, then=edge.node.draining.set)
    end = await send_hit(hits(audio, 10, HIT_BYTES_MAX), to(stream, edge.node.draining.is_set))
    assert end == 2 * PLAY_CHUNKS_MAX * CHUNK_BYTES
    assert stream.data == audio.data[10:end]


async def test_a_takedown_ends_a_hit_that_is_being_sent(edge: Edge, audio: Audio, hits: Any) -> None:
    ram = edge.node.store.ram
    stream = Recorder(at=1, then=lambda: [ram.drop(key) for key in ram.keys])
    with pytest.raises(NotFound):
        await send_hit(hits(audio, 0, HIT_BYTES_MAX), to(stream))
    assert len(stream.messages) == 1


async def test_a_takedown_ends_a_span_in_the_middle_of_a_run(edge: Edge, audio: Audio) -> None:
    reader = edge.node.open(audio.rendition_id, "grpc")
    live = edge.node.lives[audio.rendition_id]
    stream = Recorder(at=2, then=live.purge)
    with pytest.raises(NotFound):
        await send_span(reader, ByteRange(0, SIZE), to(stream))
    reader.close()
    assert len(stream.messages) == 2


async def test_an_evicted_hit_is_still_sent_whole(edge: Edge, audio: Audio, hits: Any) -> None:
    ram = edge.node.store.ram

    def evict() -> None:
        """All of it, as room for others would."""
        for key in ram.keys:
            ram._close(key)

    stream = Recorder(at=1, then=evict)
    assert await send_hit(hits(audio, 0, HIT_BYTES_MAX), to(stream)) == HIT_BYTES_MAX
    assert stream.data == audio.data[:HIT_BYTES_MAX]


async def test_spans_from_disk_are_sent_as_well(tmp_path: Path) -> None:
    """What RAM has no mapping of is read into the message."""
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        audio = origin.add(make_audio(SIZE))
        assert await edge.prewarm(audio) == []
        edge.node.store.keep(audio.rendition_id)
        ram = edge.node.store.ram
        await wait_until(lambda: _on_disk(edge, audio), "the song is written to disk")
        for key in ram.keys:
            ram._close(key)
        assert await edge.play(audio) == audio.data
        assert edge.count("grpc", "hit_disk") == 1


def _on_disk(edge: Edge, audio: Audio) -> bool:
    index = edge.node.store.disk.index
    parts = [index.part(Key(audio.rendition_id, kind)) for kind in Part]
    return all(part is not None for part in parts) and sum(p.present.bit_count() for p in parts if p) == 21
