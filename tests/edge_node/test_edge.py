"""An edge by its doors: the right bytes, one upstream read, and failures that listeners do not notice."""

import asyncio
from dataclasses import replace
from pathlib import Path

import grpc
import httpx
import pytest

from edge_node.disk import DiskTier
from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1 import edge_service_pb2 as edge_messages
from reprise.edge.v1.edge_service_pb2_grpc import EdgeServiceStub
from reprise.placement import rank
from tests.edge_node.edges import (
    SONG_ID,
    Edge,
    ScriptedOrigin,
    get,
    make_audio,
    running_edge,
    running_region,
    scripted_origin,
)

SIZE = 20 * CHUNK_BYTES + 1234


def web_body(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


def web_frames(body: bytes) -> list[tuple[int, bytes]]:
    frames, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at + 1 : at + 5], "big")
        frames.append((body[at], body[at + 5 : at + 5 + size]))
        at += 5 + size
    return frames


async def web_play(edge: Edge, request: edge_messages.PlayRequest) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.post(
            f"{edge.http_url}/reprise.edge.v1.EdgeService/Play",
            content=web_body(request.SerializeToString()),
            headers={"content-type": "application/grpc-web+proto"},
        )


async def test_every_door_gives_exactly_the_bytes_cold_and_warm(origin: ScriptedOrigin, edge: Edge) -> None:
    for seed in (1, 2):
        audio = origin.add(make_audio(SIZE, seed))
        request = edge_messages.PlayRequest(grant=edge.grant(audio), song_id=SONG_ID, rendition_id=audio.rendition_id)
        for _ in range(2):
            response = await get(edge.media_url(audio))
            assert response.status_code == 200
            assert response.content == audio.data
            assert await edge.play(audio) == audio.data
            frames = web_frames((await web_play(edge, request)).content)
            assert frames[-1] == (0x80, b"grpc-status: 0\r\n")
            messages = [edge_messages.PlayResponse.FromString(body) for flag, body in frames[:-1] if flag == 0]
            assert messages[0].info.length_bytes == SIZE
            assert b"".join(m.data for m in messages[1:]) == audio.data
        assert set(origin.given_of(audio)) == {1}
    assert edge.count("http", "leader") == 2
    assert edge.count("http", "hit_ram") == 2
    assert edge.node.streams == 0


async def test_ranges_heads_and_conditions(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    url = edge.media_url(audio)
    part = await get(url, range="bytes=100000-200000")
    assert part.status_code == 206
    assert part.content == audio.data[100000:200001]
    assert part.headers["content-range"] == f"bytes 100000-200000/{SIZE}"
    assert part.headers["etag"] == f'"{audio.rendition_id}"'
    assert (await get(url, range="bytes=-10")).content == audio.data[-10:]
    assert (await get(url, range=f"bytes={SIZE}-")).status_code == 416
    assert (await get(url, if_none_match=f'"{audio.rendition_id}"')).status_code == 304
    async with httpx.AsyncClient(trust_env=False) as client:
        head = await client.head(url)
    assert head.headers["content-length"] == str(SIZE)
    assert head.content == b""


async def test_a_seek_into_a_cold_song_starts_there(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(60 * CHUNK_BYTES))
    origin.hold_before = 30
    start = 50 * CHUNK_BYTES
    part = await get(edge.media_url(audio), range=f"bytes={start}-")
    assert part.content == audio.data[start:]
    assert origin.given_of(audio)[:30] == [0] * 30
    origin.go.set()


async def test_followers_get_bytes_before_the_fill_ends_and_cost_nothing(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 0
    first_half = [asyncio.create_task(edge.play(audio, 0, 10 * CHUNK_BYTES)) for _ in range(50)]
    whole = [asyncio.create_task(edge.play(audio)) for _ in range(50)]
    await wait_for(lambda: sum(live.waiting for live in edge.node.lives.values()) == 100)
    start, origin.go, origin.hold_before = origin.go, asyncio.Event(), 10
    start.set()
    assert all(data == audio.data[: 10 * CHUNK_BYTES] for data in await asyncio.gather(*first_half))
    assert not any(task.done() for task in whole)
    origin.go.set()
    assert all(data == audio.data for data in await asyncio.gather(*whole))
    assert set(origin.given_of(audio)) == {1}
    assert edge.count("grpc", "leader") == 1
    assert edge.count("grpc", "follower") == 99


async def test_a_leader_that_leaves_changes_nothing_for_its_followers(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 3
    leader = asyncio.create_task(get(edge.media_url(audio)))
    await wait_for(lambda: sum(origin.given_of(audio)) == 3)
    follower = asyncio.create_task(get(edge.media_url(audio)))
    await wait_for(lambda: edge.node.streams == 2)
    leader.cancel()
    await wait_for(lambda: edge.node.streams == 1)
    origin.go.set()
    assert (await follower).content == audio.data
    assert set(origin.given_of(audio)) == {1}


@pytest.mark.parametrize("waits_for", ["manifest", "first chunk"])
async def test_a_listener_who_leaves_before_the_first_byte_gives_all_back(
    origin: ScriptedOrigin, edge: Edge, waits_for: str
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_manifest, origin.hold_before = waits_for == "manifest", 0
    url = edge.media_url(audio)
    leaver = asyncio.create_task(get(url))
    await wait_for(lambda: sum(live.waiting for live in edge.node.lives.values()) == 1)
    leaver.cancel()
    await wait_for(lambda: edge.node.streams == 0)
    assert edge.count("http", "abandoned") == 1
    origin.go.set()
    assert (await get(url)).content == audio.data


async def test_a_source_that_fails_in_the_middle_is_resumed_at_the_missing_chunk(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.fail_before, origin.failures_left = 7, 2
    assert (await get(edge.media_url(audio))).content == audio.data
    assert set(origin.given_of(audio)) == {1}
    assert edge.node.metrics.fills["stored"] == 1
    assert edge.node.metrics.source_failures["origin"] == 2


async def test_a_second_origin_goes_on_where_the_first_one_died(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with scripted_origin() as other, running_edge(tmp_path, "edge-1", origin.address, other.address) as edge:
        audio = other.add(origin.add(make_audio(SIZE)))
        for one in (origin, other):
            one.fail_before, one.failures_left = 9, 1
        assert await edge.play(audio) == audio.data
        together = [a + b for a, b in zip(origin.given_of(audio), other.given_of(audio), strict=True)]
        assert together == [1] * len(together)


async def test_a_wrong_byte_from_upstream_never_leaves(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.flip_in = 5
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await edge.play(audio, 5 * CHUNK_BYTES)
    assert failure.value.code() == grpc.StatusCode.DATA_LOSS
    assert edge.node.metrics.corrupt_upstream >= 1
    assert edge.node.metrics.fills["corrupt"] == 1
    origin.flip_in = None
    assert await edge.play(audio) == audio.data


async def test_a_failure_after_the_first_byte_cuts_http_and_is_a_status_in_grpc_web(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.fail_before, origin.failures_left = 5, 1000
    with pytest.raises(httpx.HTTPError):
        await get(edge.media_url(audio))
    request = edge_messages.PlayRequest(grant=edge.grant(audio), song_id=SONG_ID, rendition_id=audio.rendition_id)
    frames = web_frames((await web_play(edge, request)).content)
    assert frames[-1][0] == 0x80
    assert b"grpc-status: 14" in frames[-1][1]
    data = b"".join(edge_messages.PlayResponse.FromString(body).data for flag, body in frames if flag == 0)
    assert data == audio.data[: 5 * CHUNK_BYTES]


async def test_an_unknown_rendition_is_not_found_and_remembered_for_a_moment(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = make_audio(1000)
    assert (await get(edge.media_url(audio))).status_code == 404
    assert (await get(edge.media_url(audio))).status_code == 404
    assert edge.count("http", "negative") == 2
    assert edge.node.metrics.fills["absent"] == 1


async def test_three_edges_read_a_cold_song_from_the_origin_once(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with running_region(tmp_path, 3, origin.address) as edges:
        audio = origin.add(make_audio(SIZE))
        origin.hold_before = 10
        plays = [asyncio.create_task(edge.play(audio)) for edge in edges for _ in range(20)]
        await wait_for(lambda: sum(edge.node.streams for edge in edges) >= 60)
        origin.go.set()
        assert all(data == audio.data for data in await asyncio.gather(*plays))
        assert set(origin.given_of(audio)) == {1}
        home = rank(audio.rendition_id, [edge.edge_id for edge in edges])[0]
        for edge in edges:
            assert edge.node.metrics.fill_bytes["origin" if edge.edge_id == home else "peer"] == SIZE


async def test_a_home_edge_that_dies_in_the_middle_is_replaced(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with running_region(tmp_path / "rest", 2, origin.address) as (one, two):
        async with running_edge(tmp_path / "home", "edge-3", origin.address) as home:
            audio = origin.add(audio_at_home("edge-3", [one.edge_id, two.edge_id]))
            add_peer(one, home)
            add_peer(two, home)
            origin.hold_before = 6
            plays = [asyncio.create_task(edge.play(audio)) for edge in (one, two) for _ in range(5)]
            await wait_for(lambda: home.node.metrics.fill_bytes["origin"] == 6 * CHUNK_BYTES)
        origin.hold_before = None
        origin.go.set()
        assert all(data == audio.data for data in await asyncio.gather(*plays))
        assert max(origin.given_of(audio)) <= 2


async def test_grants_of_others_expired_wrong_and_missing_are_refused(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(1000))
    other = make_audio(1000, seed=9)
    path = f"/{SONG_ID}/{audio.rendition_id}"
    foreign = replace(edge, edge_id="edge-2")
    cases = {
        foreign.grant(audio): 401,
        edge.grant(audio, ttl_s=-3600): 401,
        edge.grant(audio, key=b"x" * 32): 401,
        "garbage": 401,
        edge.grant(audio, song_id="0190c7a2-0000-7000-8000-000000000009"): 403,
        edge.grant(other): 403,
    }
    for grant, status in cases.items():
        response = await get(f"{edge.http_url}/p/{grant}{path}")
        assert response.status_code == status, grant
        assert "Traceback" not in response.text
        request = edge_messages.PlayRequest(grant=grant, song_id=SONG_ID, rendition_id=audio.rendition_id)
        with pytest.raises(grpc.aio.AioRpcError) as failure:
            [m async for m in EdgeServiceStub(edge.channel).Play(request)]
        expected = grpc.StatusCode.UNAUTHENTICATED if status == 401 else grpc.StatusCode.PERMISSION_DENIED
        assert failure.value.code() == expected
        web = await web_play(edge, request)
        assert web.headers["grpc-status"] == str(expected.value[0])
    assert (await get(f"{edge.http_url}/p/")).status_code == 404
    assert (await get(f"{edge.http_url}/p/x/bad id/y")).status_code == 400
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        [
            m
            async for m in EdgeServiceStub(edge.channel).Relay(
                edge_messages.RelayRequest(rendition_id=audio.rendition_id)
            )
        ]
    assert failure.value.code() == grpc.StatusCode.UNAUTHENTICATED
    assert sum(origin.given_of(audio)) == 0


async def test_a_purge_cuts_live_streams_and_drops_the_bytes(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 10
    playing = asyncio.create_task(edge.play(audio))
    await wait_for(lambda: sum(origin.given_of(audio)) == 10)
    await edge.node.purge(audio.rendition_id)
    with pytest.raises(grpc.aio.AioRpcError) as failure:
        await playing
    assert failure.value.code() == grpc.StatusCode.NOT_FOUND
    assert edge.node.store.find(audio.rendition_id) is None
    origin.go.set()


async def test_a_draining_edge_redirects_grpc_streams_and_refuses_new_ones(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 10
    request = edge_messages.PlayRequest(grant=edge.grant(audio), song_id=SONG_ID, rendition_id=audio.rendition_id)

    async def play() -> list[edge_messages.PlayResponse]:
        return [m async for m in EdgeServiceStub(edge.channel).Play(request)]

    playing = asyncio.create_task(play())
    await wait_for(lambda: sum(origin.given_of(audio)) == 10)
    drained = asyncio.create_task(edge.node.drain())
    await wait_for(edge.node.draining.is_set)
    origin.go.set()
    messages = await playing
    received = b"".join(m.data for m in messages)
    assert messages[-1].redirect.offset_bytes == len(received)
    assert received == audio.data[: len(received)]
    await drained
    assert (await get(edge.media_url(audio))).status_code == 503


async def test_a_slow_listener_gets_its_bytes_after_they_were_evicted(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with running_edge(tmp_path, "edge-1", origin.address, ram_bytes_max=8 << 20, disk_bytes_max=0) as edge:
        slow_song = origin.add(make_audio(4 << 20, 1))
        url = edge.media_url(slow_song)
        async with httpx.AsyncClient(trust_env=False, timeout=20) as client, client.stream("GET", url) as response:
            # Its first bytes are under way, and the socket is full: now its memory goes to other songs.
            for seed in range(2, 8):
                other = origin.add(make_audio(4 << 20, seed))
                assert await edge.play(other) == other.data
            assert await response.aread() == slow_song.data


async def test_prewarming_a_prefix_reads_the_prefix_only(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    assert await edge.prewarm(audio, prefix_only=True) == []
    assert origin.given_of(audio) == [1] * 8 + [0] * 13
    assert await edge.play(audio) == audio.data
    assert set(origin.given_of(audio)) == {1}


async def test_a_full_edge_says_so(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with running_edge(tmp_path, "edge-1", origin.address, stream_limit=1) as edge:
        audio = origin.add(make_audio(SIZE))
        origin.hold_before = 2
        playing = asyncio.create_task(edge.play(audio))
        await wait_for(lambda: edge.node.streams == 1)
        response = await get(edge.media_url(audio))
        assert response.status_code == 429
        assert response.headers["retry-after"] == "1"
        origin.go.set()
        assert await playing == audio.data


def audio_at_home(home: str, others: list[str]):  # type: ignore[no-untyped-def]
    """A song whose home is `home`."""
    for seed in range(100, 200):
        audio = make_audio(SIZE, seed)
        if rank(audio.rendition_id, [home, *others])[0] == home:
            return audio
    raise AssertionError("no seed fits")


def add_peer(edge: Edge, other: Edge) -> None:
    from edge_node.sources import Peer
    from edge_node.views import View
    from tests.edge_node.edges import relay_grant

    peer = Peer(other.edge_id, other.grpc_address, relay_grant(edge.edge_id, other.edge_id))
    edge.node.view = View(2, (*edge.node.view.peers, peer))


async def wait_for(condition, deadline_s: float = 10) -> None:  # type: ignore[no-untyped-def]
    """Polls the event loop, not the clock: every turn lets others run."""
    async with asyncio.timeout(deadline_s):
        while not condition():
            await asyncio.sleep(0.005)


async def test_a_restarted_edge_serves_from_disk_before_it_has_scanned_it(
    origin: ScriptedOrigin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, new = origin.add(make_audio(SIZE, seed=1)), origin.add(make_audio(SIZE, seed=2))
    async with running_edge(tmp_path, "edge-1", origin.address) as edge:
        await edge.node.store.adopted()
        assert await edge.prewarm(kept) == []
    given = origin.given.total()
    scan = asyncio.Event()

    async def wait_for_scan(_tier: DiskTier, _shard: str) -> None:
        await scan.wait()

    monkeypatch.setattr(DiskTier, "_adopt_shard", wait_for_scan)
    async with running_edge(tmp_path, "edge-1", origin.address) as edge:
        assert (await get(edge.media_url(kept))).content == kept.data
        assert origin.given.total() == given, "nothing came from the origin"
        assert edge.count("http", "hit_disk") == 1
        assert (await get(edge.media_url(new))).content == new.data
        assert edge.count("http", "leader") == 1
        assert await edge.play(kept) == kept.data
        scan.set()
