"""Real edges in this process, on real ports, in front of a scripted origin that counts what it gives."""

import asyncio
import hashlib
import random
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import grpc
import httpx
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from prometheus_client import CollectorRegistry

from edge_node.__main__ import build
from edge_node.node import Node
from edge_node.prewarming import Prewarming
from edge_node.ram_hits import RamHits
from edge_node.settings import Settings
from edge_node.sources import Peer
from edge_node.store import Store
from edge_node.views import View
from reprise import grants, manifests, rpc
from reprise.chunks import CHUNK_BYTES
from reprise.edge.v1 import edge_service_pb2 as edge
from reprise.edge.v1.edge_service_pb2_grpc import EdgeServiceStub
from reprise.errors import NotFound, Unavailable
from reprise.origin.v1 import origin_service_pb2 as origin
from reprise.origin.v1 import origin_service_pb2_grpc as origin_grpc
from reprise.service import listening
from reprise.types.v1.types_pb2 import CODEC_OPUS, Rendition, SignedManifest

MESH_KEY = bytes(range(32))
SIGNING_KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
BITRATE_BPS = 96_000
SONG_ID = "0190c7a2-0000-7000-8000-000000000001"


@dataclass(frozen=True)
class Audio:
    """A rendition as ingest would leave it in S3."""

    # Too long for the message of a failed test.
    data: bytes = field(repr=False)
    signed: SignedManifest = field(repr=False)
    rendition_id: str


def make_audio(size_bytes: int, seed: int = 1) -> Audio:
    return audio_of(random.Random(seed).randbytes(size_bytes))


def audio_of(data: bytes, mime_type: str = "audio/mp4") -> Audio:
    """These bytes, signed."""
    rendition_id = hashlib.sha256(data).hexdigest()
    facts = Rendition(
        rendition_id=rendition_id,
        codec=CODEC_OPUS,
        bitrate_bps=BITRATE_BPS,
        size_bytes=len(data),
        duration_ms=len(data) // 12,
        mime_type=mime_type,
    )
    key_id = manifests.key_id_of(SIGNING_KEY.public_key())
    signed = manifests.sign(facts, manifests.chunk_digests(data), key_id, SIGNING_KEY)
    return Audio(data, signed, rendition_id)


@dataclass
class ScriptedOrigin:
    """Gives chunks as its script says and counts them."""

    audios: dict[str, Audio] = field(default_factory=dict)
    given: Counter[tuple[str, int]] = field(default_factory=Counter)
    # Before the chunk of this number, or before the manifest, the origin waits for `go`.
    hold_before: int | None = None
    hold_manifest: bool = False
    # Reads that came as far as that chunk.
    held: int = 0
    go: asyncio.Event = field(default_factory=asyncio.Event)
    # At the chunk of this number it fails, this many times.
    fail_before: int | None = None
    failures_left: int = 0
    flip_in: int | None = None
    address: str = ""

    def add(self, audio: Audio) -> Audio:
        self.audios[audio.rendition_id] = audio
        return audio

    def given_of(self, audio: Audio) -> list[int]:
        """How often each chunk was given."""
        return [self.given[audio.rendition_id, n] for n in range(-(-len(audio.data) // CHUNK_BYTES))]

    async def GetManifest(self, request: origin.GetManifestRequest, context: Any) -> origin.GetManifestResponse:
        if self.hold_manifest:
            await self.go.wait()
        return origin.GetManifestResponse(manifest=self._audio(request.rendition_id).signed)

    async def ReadChunks(
        self, request: origin.ReadChunksRequest, context: Any
    ) -> AsyncIterator[origin.ReadChunksResponse]:
        audio = self._audio(request.rendition_id)
        total = -(-len(audio.data) // CHUNK_BYTES)
        end = min(total, request.first_chunk + request.chunk_count) if request.chunk_count else total
        for number in range(request.first_chunk, end):
            if number == self.hold_before:
                self.held += 1
                await self.go.wait()
            if number == self.fail_before and self.failures_left > 0:
                self.failures_left -= 1
                raise Unavailable("the script says so")
            chunk = bytearray(audio.data[number * CHUNK_BYTES : (number + 1) * CHUNK_BYTES])
            if number == self.flip_in:
                chunk[0] ^= 1
            self.given[audio.rendition_id, number] += 1
            yield origin.ReadChunksResponse(chunk=bytes(chunk))

    def _audio(self, rendition_id: str) -> Audio:
        if rendition_id not in self.audios:
            raise NotFound(f"no rendition {rendition_id}")
        return self.audios[rendition_id]


@asynccontextmanager
async def scripted_origin(credentials: grpc.ServerCredentials | None = None) -> AsyncIterator[ScriptedOrigin]:
    servicer = ScriptedOrigin()
    server = rpc.server(rpc.RpcMetrics("origin", CollectorRegistry()))
    origin_grpc.add_OriginServiceServicer_to_server(servicer, server)  # type: ignore[arg-type]
    any_port = "127.0.0.1:0"
    port = server.add_secure_port(any_port, credentials) if credentials else server.add_insecure_port(any_port)
    servicer.address = f"127.0.0.1:{port}"
    await server.start()
    try:
        yield servicer
    finally:
        await server.stop(None)


@dataclass
class Edge:
    """A running edge and what a client needs to talk to it."""

    edge_id: str
    node: Node
    http_url: str
    grpc_address: str
    channel: grpc.aio.Channel
    hits: RamHits

    def grant(self, audio: Audio, **changes: Any) -> str:
        return listen_grant(self.edge_id, audio, **changes)

    def media_url(self, audio: Audio) -> str:
        return f"{self.http_url}/p/{self.grant(audio)}/{SONG_ID}/{audio.rendition_id}"

    async def play(self, audio: Audio, offset: int = 0, length: int = 0) -> bytes:
        """All data bytes of a gRPC Play stream."""
        request = edge.PlayRequest(
            grant=self.grant(audio),
            song_id=SONG_ID,
            rendition_id=audio.rendition_id,
            offset_bytes=offset,
            length_bytes=length,
        )
        return b"".join([m.data async for m in EdgeServiceStub(self.channel).Play(request) if m.HasField("data")])

    async def prewarm(self, audio: Audio, *, prefix_only: bool = False, origin_bps_max: int = 0) -> list[str]:
        """As a balancer's command has it done; returns why what did not come did not."""
        prewarming = Prewarming(self.node, cast("Store", self.node.store), CollectorRegistry())
        failed = await prewarming.bring([audio.rendition_id], prefix_only=prefix_only, origin_bps_max=origin_bps_max)
        return [error.message for error in failed]

    def count(self, door: str, result: str) -> int:
        return self.node.metrics.requests[door, result]


def listen_grant(
    edge_id: str, audio: Audio, *, song_id: str = SONG_ID, ttl_s: int = 600, key: bytes | None = None
) -> str:
    claims = grants.Claims(
        scope="listen",
        issuer="balancer-1",
        audience=edge_id,
        subject="listener",
        grant_id=secrets.token_urlsafe(9),
        expires_unix_s=int(time.time()) + ttl_s,
        song_id=song_id,
        rendition_ids=(audio.rendition_id,),
        bitrate_bps=BITRATE_BPS,
    )
    return grants.mint(claims, edge_id, key or grants.derive_key(MESH_KEY, edge_id))


def relay_grant(asking: str, serving: str) -> str:
    claims = grants.Claims(
        scope="relay",
        issuer="balancer-1",
        audience=serving,
        subject=asking,
        grant_id=secrets.token_urlsafe(9),
        expires_unix_s=int(time.time()) + 3600,
    )
    return grants.mint(claims, serving, grants.derive_key(MESH_KEY, serving))


@asynccontextmanager
async def running_edge(folder: Path, edge_id: str, *origins: str, **settings: Any) -> AsyncIterator[Edge]:
    folder.mkdir(parents=True, exist_ok=True)
    key_path, keys_path = folder / "edge.key", folder / "manifest.pub"
    key_path.write_text(grants.derive_key(MESH_KEY, edge_id).hex())
    keys_path.write_text(SIGNING_KEY.public_key().public_bytes_raw().hex())
    defaults: dict[str, Any] = {
        "ram_bytes_max": 64 << 20,
        "disk_bytes_max": 256 << 20,
        "source_item_s_max": 2.0,
        # Whole songs are taken at once here.
        "pacing_factor": 0.0,
    }
    configured = Settings(
        edge_id=edge_id,
        region="here",
        edge_key_path=key_path,
        manifest_keys_path=keys_path,
        cache_dir=folder / "cache",
        origins=origins,
        **defaults | settings,
    )
    async with build(configured) as app, listening(app) as service:
        channel = rpc.channel(f"127.0.0.1:{service.grpc_port}")
        servicer: Any = app.servicers[0][1]
        url = f"http://127.0.0.1:{service.http_port}"
        background = [asyncio.create_task(work()) for work in app.background]
        try:
            yield Edge(edge_id, servicer._node, url, f"127.0.0.1:{service.grpc_port}", channel, servicer._hits)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await channel.close()


@asynccontextmanager
async def running_region(folder: Path, count: int, *origins: str, **settings: Any) -> AsyncIterator[list[Edge]]:
    """Edges that know each other, as a balancer would have told them."""
    async with AsyncExitStack() as stack:
        names = [f"edge-{n + 1}" for n in range(count)]
        edges = [
            await stack.enter_async_context(running_edge(folder / name, name, *origins, **settings)) for name in names
        ]
        for one in edges:
            peers = [
                Peer(other.edge_id, other.grpc_address, relay_grant(one.edge_id, other.edge_id))
                for other in edges
                if other is not one
            ]
            one.node.view = View(1, tuple(peers))
        yield edges


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=20) as client:
        return await client.get(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
