"""The express lane answers what the whole way would answer, or nothing at all."""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from edge_node.eviction import Key, Part
from edge_node.express import EXPRESS_BYTES_MAX, Express
from edge_node.metrics import EdgeMetrics
from edge_node.ram import RamTier
from edge_node.ranges import Partial, Whole, evaluate
from edge_node.sessions import Sessions
from edge_node.store_metrics import StoreMetrics
from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse
from reprise.grants import Claims
from reprise.http_message import ReadyResponse
from reprise.manifests import Manifest, chunk_digests
from reprise.types.v1.types_pb2 import Manifest as ManifestMessage
from tests.edge_node.edges import SONG_ID, get, make_audio, running_edge, scripted_origin
from tests.edge_node.test_edge import web_frames, web_play

AUDIO = make_audio(12 * CHUNK_BYTES + 777)
PATH = f"/p/grant/{SONG_ID}/{AUDIO.rendition_id}"


def express(
    chunks: set[int], expires_in_s: float = 600, *, draining: bool = False, sessions: Sessions | None = None
) -> tuple[Express, EdgeMetrics]:
    """A lane that knows PATH, with these chunks in RAM."""
    ram = RamTier(64 << 20, 1000, StoreMetrics(CollectorRegistry()))
    manifest = Manifest(_rendition(), tuple(chunk_digests(AUDIO.data)), AUDIO.signed)
    for chunk in sorted(chunks):
        part = Part.PREFIX if chunk < 8 else Part.TAIL
        ram.write(Key(AUDIO.rendition_id, part), chunk, _chunk(chunk), manifest)
    metrics = EdgeMetrics(CollectorRegistry(), lambda: 0, lambda: 0, lambda: 0)
    lane = Express(ram, Sessions() if sessions is None else sessions, metrics, lambda: draining)
    claims = Claims(
        "listen", "b", "edge-1", "s", "g", int(time.time() + expires_in_s), song_id=SONG_ID, bitrate_bps=96_000
    )
    lane.learn(PATH, claims, manifest)
    return lane, metrics


@pytest.mark.parametrize("door", ["http", "grpc-web"])
def test_whoever_the_lane_answers_has_a_session_and_whoever_it_does_not_has_none(door: str) -> None:
    sessions = Sessions()
    lane, _ = express({0}, sessions=sessions)

    def ask(chunk: int) -> ReadyResponse | None:
        start = chunk * CHUNK_BYTES
        if door == "http":
            return lane.answer(PATH, [(b"Range", b"bytes=%d-%d" % (start, start + 99))])
        return lane.play(PATH, start, 100, b"")

    assert ask(5) is None
    assert len(sessions) == 0
    assert ask(0) is not None
    assert ask(0) is not None
    assert sessions.live == {AUDIO.rendition_id: 96_000}


def _rendition() -> Any:
    return ManifestMessage.FromString(AUDIO.signed.manifest).rendition


def _chunk(number: int) -> bytes:
    return AUDIO.data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES]


def content(answer: ReadyResponse) -> bytes:
    pieces = [answer.file] if answer.file else []
    while answer.rest is not None and (piece := answer.rest.next()) is not None:
        pieces.append(piece)  # type: ignore[arg-type]
    spliced = b"".join(os.pread(piece.fd, piece.count, piece.offset) for piece in pieces)
    return b"".join(map(bytes, answer.buffers)) + spliced


@given(st.integers(0, len(AUDIO.data) + 10), st.integers(0, len(AUDIO.data) + 10) | st.none())
def test_any_range_is_answered_as_the_whole_way_would(first: int, last: int | None) -> None:
    lane, _ = express(set(range(13)))
    header = f"bytes={first}-{'' if last is None else last}"
    expected = evaluate("GET", {"range": header}, '"x"', len(AUDIO.data))
    answer = lane.answer(PATH, [(b"Host", b"x"), (b"Range", header.encode())])
    if answer is None:
        assert not isinstance(expected, Partial) or expected.range.length > EXPRESS_BYTES_MAX
        return
    assert isinstance(expected, Partial | Whole)
    span = expected.range if isinstance(expected, Partial) else None
    start, end = (span.start, span.end) if span else (0, len(AUDIO.data))
    assert content(answer) == AUDIO.data[start:end]
    assert answer.length == end - start
    if answer.status == 206:
        assert f"bytes {start}-{end - 1}/{len(AUDIO.data)}".encode() in answer.headers


@given(st.sets(st.integers(0, 12)), st.integers(0, 12), st.integers(0, 12))
def test_nothing_is_answered_that_is_not_in_ram(present: set[int], first: int, last: int) -> None:
    lane, _ = express(present)
    low, high = sorted((first, last))
    header = f"bytes={low * CHUNK_BYTES}-{(high + 1) * CHUNK_BYTES - 1}".encode()
    answer = lane.answer(PATH, [(b"range", header)])
    assert (answer is not None) == (set(range(low, high + 1)) <= present)


def test_doubts_are_left_to_the_whole_way() -> None:
    lane, _ = express(set(range(13)))
    assert lane.answer(PATH, []) is not None
    assert lane.answer(PATH + "x", []) is None
    assert lane.answer(PATH, [(b"If-None-Match", b'"x"')]) is None
    assert lane.answer(PATH, [(b"IF-RANGE", b'"x"'), (b"Range", b"bytes=0-1")]) is None
    assert lane.answer(PATH, [(b"Range", b"bytes=0-1,4-5")]) is None
    assert lane.answer(PATH, [(b"Range", b"bytes=-5")]) is None
    assert lane.answer(PATH, [(b"Range", b"bytes=0-1"), (b"Range", b"bytes=2-3")]) is None


def test_an_expired_grant_is_unknown() -> None:
    lane, _ = express(set(range(13)), expires_in_s=-61)
    assert lane.answer(PATH, []) is None


async def test_hits_of_the_lane_are_counted_and_a_purge_or_drain_ends_it(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        origin.add(AUDIO)
        url = edge.media_url(AUDIO)
        for _ in range(3):
            assert (await get(url)).content == AUDIO.data
        edge.node.metrics.settle()
        assert edge.count("http", "leader") == 1
        assert edge.count("http", "hit_ram") == 2
        assert edge.node.metrics.sent_bytes["http", "ram"] >= 2 * len(AUDIO.data)
        origin.audios.clear()
        await edge.node.purge(AUDIO.rendition_id)
        assert (await get(url)).status_code == 404
        edge.node.draining.set()
        assert (await get(url)).status_code == 503


async def test_ranges_on_one_connection_are_each_their_own(tmp_path: Path) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        origin.add(AUDIO)
        url, size = edge.media_url(AUDIO), len(AUDIO.data)
        spans = [sorted(rng.sample(range(size), 2)) for _ in range(60)]
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            await client.get(url)
            for start, last in spans:
                answer = await client.get(url, headers={"range": f"bytes={start}-{last}"})
                assert answer.content == AUDIO.data[start : last + 1]
                assert answer.headers["content-range"] == f"bytes {start}-{last}/{size}"
        edge.node.metrics.settle()
        assert edge.count("http", "hit_ram") == len(spans)


async def test_many_readers_at_once_get_each_their_own_bytes(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        origin.add(AUDIO)
        url = edge.media_url(AUDIO)
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
            await client.get(url)
            answers = await asyncio.gather(*(client.get(url, headers={"range": f"bytes={n}-"}) for n in range(50)))
        assert all(answer.content == AUDIO.data[n:] for n, answer in enumerate(answers))


SPANS = st.tuples(st.integers(0, len(AUDIO.data) + 5), st.integers(0, len(AUDIO.data) + 5))


@given(SPANS, SPANS)
def test_a_repeated_get_gets_what_a_first_one_would(first: tuple[int, int], second: tuple[int, int]) -> None:
    lane, _ = express(set(range(13)))
    values = [b"%d-%d" % span for span in (first, second)]
    answer, expected = [lane.answer(PATH, [(b"Range", b"bytes=" + value)]) for value in values]
    if answer is None:
        return
    assert answer.again is not None
    repeated = answer.again(values[1])
    assert (repeated is None) == (expected is None)
    if repeated is not None and expected is not None:
        assert (content(repeated), repeated.headers) == (content(expected), expected.headers)


@pytest.mark.parametrize("value", [b"-5", b"0-1,4-5", b" 0-1", b"0-1 ", b"+0-1", b"1-0", b"x", b"0-1\n"])
def test_a_repeated_get_with_an_odd_range_is_left_to_the_whole_way(value: bytes) -> None:
    lane, _ = express(set(range(13)))
    answer = lane.answer(PATH, [(b"Range", b"bytes=0-9")])
    assert answer is not None
    assert answer.again is not None
    assert answer.again(value) is None


def test_nothing_is_repeated_while_the_edge_drains_or_after_the_grant() -> None:
    for lane, _ in (express(set(range(13)), draining=True), express(set(range(13)), expires_in_s=-61)):
        assert lane.answer(PATH, [(b"Range", b"bytes=0-9")]) is None
        assert lane.play(PATH, 0, 10, b"") is None


@given(SPANS)
def test_any_play_over_grpc_web_is_info_then_chunks_then_trailers(span: tuple[int, int]) -> None:
    offset, length = span
    lane, metrics = express(set(range(13)))
    answer = lane.play(PATH, offset, length, b"")
    if answer is None:
        assert offset >= len(AUDIO.data)
        return
    wire = content(answer)
    assert len(wire) == answer.length
    frames = web_frames(wire)
    assert frames[-1] == (0x80, b"grpc-status: 0\r\n")
    messages = [PlayResponse.FromString(body) for flag, body in frames[:-1] if flag == 0]
    end = min(offset + length, len(AUDIO.data)) if length else len(AUDIO.data)
    assert (messages[0].info.offset_bytes, messages[0].info.length_bytes) == (offset, end - offset)
    assert b"".join(message.data for message in messages[1:]) == AUDIO.data[offset:end]
    ends = [offset + sum(len(m.data) for m in messages[1 : n + 1]) for n in range(1, len(messages) - 1)]
    assert all(at % CHUNK_BYTES == 0 for at in ends), "messages end on chunk boundaries"
    assert metrics.express_web_bytes == end - offset


def test_a_request_counts_once_for_each_part_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    lane, _ = express(set(range(13)))
    touched: list[Part] = []
    monkeypatch.setattr(lane._ram.policy, "touch", lambda key: touched.append(key.part))
    assert lane.play(PATH, 0, 0, b"") is not None
    assert lane.answer(PATH, []) is not None
    assert touched == [Part.PREFIX, Part.TAIL] * 2
    assert lane.play(PATH, 0, 10, b"") is not None
    assert touched[4:] == [Part.PREFIX]


async def test_a_warm_play_over_grpc_web_goes_by_the_lane_and_gives_the_same_bytes(tmp_path: Path) -> None:
    async with scripted_origin() as origin, running_edge(tmp_path, "edge-1", origin.address) as edge:
        origin.add(AUDIO)
        request = PlayRequest(grant=edge.grant(AUDIO), song_id=SONG_ID, rendition_id=AUDIO.rendition_id)
        cold, warm, again = [(await web_play(edge, request)).content for _ in range(3)]
        assert web_frames(cold) == web_frames(warm) == web_frames(again)
        assert edge.node.metrics.express_web_hits == 2
