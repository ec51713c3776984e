"""The gRPC-web clients of others play from an edge: connect-web and nice-grpc-web in Node, connectrpc in Python.

Each plays exact bytes, seeks, cancels in the middle, keeps its deadline, and is told code and message of a refusal.
"""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, Protocol

import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo, StreamType
from connectrpc.protocol import ProtocolType

from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse
from tests.clients import tools
from tests.clients.command import DEADLINE_S, free_within, started
from tests.edge_node.edges import SONG_ID, Audio, Edge, ScriptedOrigin, make_audio
from tests.support.wait import wait_until

SIZE = 20 * CHUNK_BYTES + 1234
OK, CANCELLED, INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, UNAUTHENTICATED = 0, 1, 3, 4, 5, 16
PLAY = MethodInfo(
    name="Play",
    service_name="reprise.edge.v1.EdgeService",
    input=PlayRequest,
    output=PlayResponse,
    idempotency_level=IdempotencyLevel.UNKNOWN,
    stream_type=StreamType.SERVER_STREAM,
)
_NUMBER = {
    Code.CANCELED: CANCELLED,
    Code.INVALID_ARGUMENT: INVALID_ARGUMENT,
    Code.DEADLINE_EXCEEDED: DEADLINE_EXCEEDED,
    Code.NOT_FOUND: NOT_FOUND,
    Code.UNAUTHENTICATED: UNAUTHENTICATED,
}


@dataclass(frozen=True)
class Heard:
    """What a client says of one Play: its status, and the bytes it got, of how many announced."""

    code: int
    message: str
    bytes: int
    announced: int | None
    sha256: str


class Client(Protocol):
    """`play` of one client library."""

    async def __call__(
        self,
        edge: Edge,
        audio: Audio,
        *,
        offset_bytes: int = 0,
        timeout_ms: int | None = None,
        cancel_after_bytes: int = 0,
        while_cancelled: Callable[[], Any] | None = None,
        grant: str = "",
    ) -> Heard: ...


def node_client(script: str) -> Client:
    """A client in Node, as a process of its own."""

    async def play(edge: Edge, audio: Audio, **options: Any) -> Heard:
        request = {
            "grant": options.get("grant") or edge.grant(audio),
            "songId": SONG_ID,
            "renditionId": audio.rendition_id,
            "offsetBytes": options.get("offset_bytes", 0),
        }
        asked = {
            "baseUrl": edge.http_url,
            "request": request,
            "timeoutMs": options.get("timeout_ms"),
            "cancelAfterBytes": options.get("cancel_after_bytes"),
        }
        async with started(tools.node(), str(tools.NODE / script), json.dumps(asked)) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            line = await asyncio.wait_for(process.stdout.readline(), DEADLINE_S)
            assert line, (await process.stderr.read()).decode()
            if check := options.get("while_cancelled"):
                await check()
        return Heard(**json.loads(line))

    return play


async def python_client(edge: Edge, audio: Audio, **options: Any) -> Heard:
    """connectrpc, in this process."""
    request = PlayRequest(
        grant=options.get("grant") or edge.grant(audio),
        song_id=SONG_ID,
        rendition_id=audio.rendition_id,
        offset_bytes=options.get("offset_bytes", 0),
    )
    data, announced, code, message = b"", None, OK, ""
    async with ConnectClient(
        edge.http_url, codec=google_protobuf_binary_codec(), protocol=ProtocolType.GRPC_WEB
    ) as client:
        answers = client.execute_server_stream(request=request, method=PLAY, timeout_ms=options.get("timeout_ms"))
        try:
            async for answer in answers:
                announced = answer.info.length_bytes if answer.HasField("info") else announced
                data += answer.data
                if 0 < options.get("cancel_after_bytes", 0) <= len(data):
                    code = CANCELLED
                    break
        except ConnectError as error:
            code, message = _NUMBER[error.code], error.message
        await answers.aclose()
        if check := options.get("while_cancelled"):
            await check()
    return Heard(code, message, len(data), announced, hashlib.sha256(data).hexdigest())


CLIENTS = {
    "connect-web": node_client("connect_web.mjs"),
    "nice-grpc-web": node_client("nice_grpc_web.mjs"),
    "connectrpc": python_client,
}


@pytest.fixture(params=list(CLIENTS))
def play(request: pytest.FixtureRequest) -> Client:
    if request.param != "connectrpc":
        request.getfixturevalue("node")
    client: Client = CLIENTS[request.param]
    return client


@pytest.fixture
async def audio(origin: ScriptedOrigin) -> AsyncIterator[Audio]:
    yield origin.add(make_audio(SIZE))
    origin.go.set()


async def test_a_song_is_heard_whole_cold_and_warm(edge: Edge, audio: Audio, play: Client) -> None:
    for _ in range(2):
        heard = await play(edge, audio)
        assert (heard.code, heard.message, heard.announced) == (OK, "", SIZE)
        assert heard.sha256 == audio.rendition_id


async def test_a_seek_gives_the_rest_from_that_byte(edge: Edge, audio: Audio, play: Client) -> None:
    start = 7 * CHUNK_BYTES + 100
    heard = await play(edge, audio, offset_bytes=start)
    assert (heard.code, heard.announced) == (OK, SIZE - start)
    assert heard.sha256 == hashlib.sha256(audio.data[start:]).hexdigest()


async def test_cancelling_in_the_middle_frees_the_stream_within_a_second(
    origin: ScriptedOrigin, edge: Edge, audio: Audio, play: Client
) -> None:
    origin.hold_before = 10
    freed: list[bool] = []

    async def check() -> None:
        await free_within(edge, 1.0)
        freed.append(True)

    heard = await play(edge, audio, cancel_after_bytes=2 * CHUNK_BYTES, while_cancelled=check)
    assert heard.code == CANCELLED
    assert 2 * CHUNK_BYTES <= heard.bytes <= 10 * CHUNK_BYTES
    assert freed == [True]


async def test_a_deadline_is_reported_as_such_and_frees_the_stream(
    origin: ScriptedOrigin, edge: Edge, audio: Audio, play: Client
) -> None:
    origin.hold_before = 10
    heard = await play(edge, audio, timeout_ms=500)
    assert heard.code == DEADLINE_EXCEEDED
    assert heard.message
    await free_within(edge, 1.0)


async def test_refusals_carry_code_and_message(edge: Edge, audio: Audio, play: Client) -> None:
    forged = await play(edge, audio, grant="forged")
    assert (forged.code, forged.bytes) == (UNAUTHENTICATED, 0)
    assert "grant" in forged.message
    unknown = await play(edge, make_audio(1000, seed=9))
    assert unknown.code == NOT_FOUND
    assert "rendition" in unknown.message


async def test_a_failure_in_the_middle_is_the_streams_status(
    origin: ScriptedOrigin, edge: Edge, audio: Audio, play: Client
) -> None:
    origin.hold_before = 10
    playing = asyncio.create_task(play(edge, audio))
    sent = edge.node.metrics.sent_bytes
    await wait_until(lambda: sum(sent.values()) == 10 * CHUNK_BYTES, "all that is there was sent")
    await edge.node.purge(audio.rendition_id)
    heard = await playing
    assert (heard.code, heard.bytes) == (NOT_FOUND, 10 * CHUNK_BYTES)
    assert heard.message == "this song is no longer available"
