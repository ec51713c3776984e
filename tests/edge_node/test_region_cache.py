"""Edges of a region as one cache: a song is on one disk, and everybody is served from there."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from edge_node.views import View
from reprise.chunks import CHUNK_BYTES
from reprise.placement import rank
from tests.edge_node.edges import Audio, Edge, ScriptedOrigin, make_audio, running_region
from tests.edge_node.stores import at_rest

SIZE = 12 * CHUNK_BYTES + 99


async def play_everywhere(edges: Sequence[Edge], audios: Sequence[Audio]) -> None:
    for audio in audios:
        for edge in edges:
            assert await edge.play(audio) == audio.data
    for edge in edges:
        # A fill ends a moment after its last byte has reached the listener.
        async with asyncio.timeout(10):
            while edge.node.lives:
                await asyncio.sleep(0.005)
        await at_rest(edge.node.store)


def forget_all_ram(edges: Sequence[Edge]) -> None:
    for edge in edges:
        for key in edge.node.store.ram.keys:
            edge.node.store.ram.drop(key)


def disks_with(edges: Sequence[Edge], audio: Audio) -> list[str]:
    return [edge.edge_id for edge in edges if edge.node.store.disk.index.rendition(audio.rendition_id)]


async def test_a_song_is_on_the_disk_of_its_home_and_read_once_however_often_ram_forgets_it(
    origin: ScriptedOrigin, tmp_path: Path
) -> None:
    audios = [origin.add(make_audio(SIZE, seed)) for seed in range(6)]
    async with running_region(tmp_path, 3, origin.address) as edges:
        for edge in edges:
            await edge.node.store.adopted()
        for _ in range(3):
            await play_everywhere(edges, audios)
            forget_all_ram(edges)
        homes = [rank(audio.rendition_id, [edge.edge_id for edge in edges])[0] for audio in audios]
        assert [disks_with(edges, audio) for audio in audios] == [[home] for home in homes]
        assert len(set(homes)) > 1, "the songs of this test have several homes"
        assert all(set(origin.given_of(audio)) == {1} for audio in audios)
        relayed = sum(edge.node.metrics.fill_bytes["peer"] for edge in edges)
        assert relayed == 3 * 2 * SIZE * len(audios), "two edges of three ask the home each time"


async def test_when_the_home_leaves_the_next_edge_keeps_its_songs(origin: ScriptedOrigin, tmp_path: Path) -> None:
    async with running_region(tmp_path, 3, origin.address) as edges:
        for edge in edges:
            await edge.node.store.adopted()
        audio = origin.add(make_audio(SIZE, seed=1))
        home, heir, third = (
            next(edge for edge in edges if edge.edge_id == edge_id)
            for edge_id in rank(audio.rendition_id, [edge.edge_id for edge in edges])
        )
        await play_everywhere(edges, [audio])
        assert disks_with(edges, audio) == [home.edge_id]
        for edge in (heir, third):
            left = tuple(peer for peer in edge.node.view.peers if peer.edge_id != home.edge_id)
            edge.node.view = View(2, left)
        await play_everywhere([heir, third], [audio])
        assert disks_with([heir, third], audio) == [heir.edge_id]
        assert set(origin.given_of(audio)) == {1}, "what the others had in RAM was enough"
