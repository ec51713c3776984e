"""gRPC Play and Relay: readers that take nothing."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from reprise import rpc
from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1.edge_service_pb2 import PlayRequest, RelayRequest
from reprise.edge.v1.edge_service_pb2_grpc import EdgeServiceStub
from tests.edge_node.edges import (
    SONG_ID,
    Audio,
    Edge,
    get,
    make_audio,
    relay_grant,
    running_edge,
    scripted_origin,
)
from tests.support.wait import wait_until

# More than the flow-control window and the buffers of both sides hold.
SIZE = 16 << 20
STALL_S_MAX = 0.4


def open_play(edge: Edge, audio: Audio) -> Any:
    request = PlayRequest(grant=edge.grant(audio), song_id=SONG_ID, rendition_id=audio.rendition_id)
    return EdgeServiceStub(edge.channel).Play(request)


def open_relay(edge: Edge, audio: Audio) -> Any:
    request = RelayRequest(rendition_id=audio.rendition_id, hops=1)
    metadata = rpc.bearer_metadata(relay_grant("edge-2", edge.edge_id))
    return EdgeServiceStub(edge.channel).Relay(request, metadata=metadata)


async def stalled(edge: Edge) -> float:
    lines = (await get(f"{edge.http_url}/metrics")).text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("reprise_edge_streams_stalled_total "))


@pytest.mark.parametrize("open_stream", [open_play, open_relay])
async def test_a_reader_that_takes_nothing_is_ended_and_one_that_reads_is_not(tmp_path: Path, open_stream: Any) -> None:
    async with (
        scripted_origin() as origin,
        running_edge(tmp_path, "edge-1", origin.address, stream_stall_s_max=STALL_S_MAX) as edge,
    ):
        audio = origin.add(make_audio(SIZE))
        silent = open_stream(edge, audio)
        await silent.read()
        assert await edge.play(audio) == audio.data
        await wait_until(lambda: edge.node.streams == 0, "the silent reader is ended")
        assert await stalled(edge) == 1


async def test_a_stream_that_waits_for_its_fill_is_not_ended_for_it(tmp_path: Path) -> None:
    async with (
        scripted_origin() as origin,
        running_edge(
            tmp_path, "edge-1", origin.address, stream_stall_s_max=STALL_S_MAX, source_item_s_max=20.0
        ) as edge,
    ):
        audio = origin.add(make_audio(20 * CHUNK_BYTES))
        origin.hold_before = 10
        playing = asyncio.create_task(edge.play(audio))
        await wait_until(lambda: origin.held == 1, "the fill is held")
        # The watch itself says that time enough has passed: a silent reader that came later is ended before.
        other = origin.add(make_audio(SIZE, seed=2))
        origin.hold_before, silent = None, open_play(edge, other)
        await silent.read()
        await wait_until(lambda: edge.node.streams == 1, "the silent reader is ended")
        assert await stalled(edge) == 1
        origin.go.set()
        assert await playing == audio.data
