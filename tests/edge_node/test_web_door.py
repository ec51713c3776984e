"""gRPC-web Play by the fast path: deadlines, and what its calls leave in the metrics."""

import asyncio

import httpx

from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse
from tests.edge_node.edges import SONG_ID, Audio, Edge, ScriptedOrigin, get, make_audio
from tests.support.wait import wait_until

SIZE = 20 * CHUNK_BYTES + 1234


class Heard:
    """One answer, taken apart."""

    def __init__(self, response: httpx.Response) -> None:
        self.headers = response.headers
        self.trailers: dict[str, str] = {}
        messages = []
        for flag, body in _frames(response.content):
            if flag & 0x80:
                self.trailers = dict(line.split(": ", 1) for line in body.decode().splitlines())
            else:
                messages.append(PlayResponse.FromString(body))
        self.data = b"".join(message.data for message in messages)


def _frames(body: bytes) -> list[tuple[int, bytes]]:
    frames, at = [], 0
    while at < len(body):
        size = int.from_bytes(body[at + 1 : at + 5], "big")
        frames.append((body[at], body[at + 5 : at + 5 + size]))
        at += 5 + size
    return frames


async def play(edge: Edge, audio: Audio, offset: int = 0, **headers: str) -> Heard:
    request = PlayRequest(
        grant=edge.grant(audio), song_id=SONG_ID, rendition_id=audio.rendition_id, offset_bytes=offset
    )
    message = request.SerializeToString()
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        response = await client.post(
            f"{edge.http_url}/reprise.edge.v1.EdgeService/Play",
            content=b"\0" + len(message).to_bytes(4, "big") + message,
            headers={"content-type": "application/grpc-web+proto"}
            | {k.replace("_", "-"): v for k, v in headers.items()},
        )
    return Heard(response)


async def observed(edge: Edge, code: str) -> int:
    """How many gRPC-web plays ended with this code, by the edge's own account."""
    wanted = f'reprise_edge_rpc_seconds_count{{code="{code}",door="grpc-web",method="Play"}} '
    lines = (await get(f"{edge.http_url}/metrics")).text.splitlines()
    return sum(int(float(line.removeprefix(wanted))) for line in lines if line.startswith(wanted))


async def test_a_deadline_while_the_first_byte_is_awaited_is_a_status_in_headers(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_manifest = True
    heard = await play(edge, audio, grpc_timeout="100m")
    assert heard.headers["grpc-status"] == "4"
    assert edge.node.streams == 0
    assert await observed(edge, "DEADLINE_EXCEEDED") == 1
    origin.go.set()
    assert (await play(edge, audio)).data == audio.data


async def test_a_deadline_while_a_fill_is_awaited_ends_the_stream_with_a_status_in_the_trailers(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 10
    heard = await play(edge, audio, grpc_timeout="300m")
    assert heard.data == audio.data[: 10 * CHUNK_BYTES]
    assert heard.trailers["grpc-status"] == "4"
    assert edge.node.streams == 0
    assert await observed(edge, "DEADLINE_EXCEEDED") == 1
    origin.go.set()


async def test_the_deadline_of_one_listener_costs_the_others_of_its_fill_nothing(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 10
    patient = asyncio.create_task(play(edge, audio, grpc_timeout="20S"))
    hasty = await play(edge, audio, grpc_timeout="200m")
    assert hasty.trailers["grpc-status"] == "4"
    origin.go.set()
    assert (await patient).data == audio.data
    assert set(origin.given_of(audio)) == {1}


async def test_each_call_is_observed_once_with_what_its_client_was_told(origin: ScriptedOrigin, edge: Edge) -> None:
    audio = origin.add(make_audio(SIZE))
    assert (await play(edge, audio)).trailers == {"grpc-status": "0"}
    assert (await play(edge, audio)).data == audio.data
    assert (await play(edge, audio, offset=SIZE)).headers["grpc-status"] == "11"
    assert (await play(edge, make_audio(1000, seed=9))).headers["grpc-status"] == "5"
    assert (await play(edge, audio, grpc_timeout="soon")).headers["grpc-status"] == "3"
    codes = ("OK", "OUT_OF_RANGE", "NOT_FOUND", "INVALID_ARGUMENT", "CANCELLED")
    assert [await observed(edge, code) for code in codes] == [2, 1, 1, 1, 0]


async def test_a_listener_that_leaves_in_the_middle_is_observed_as_cancelled(
    origin: ScriptedOrigin, edge: Edge
) -> None:
    audio = origin.add(make_audio(SIZE))
    origin.hold_before = 10
    playing = asyncio.create_task(play(edge, audio))
    await wait_until(lambda: sum(origin.given_of(audio)) == 10, "the fill is held")
    playing.cancel()
    await wait_until(lambda: edge.node.streams == 0, "the stream is free")
    assert await observed(edge, "CANCELLED") == 1
    origin.go.set()
