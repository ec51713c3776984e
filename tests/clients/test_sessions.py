"""A listener in a browser, by the gRPC-web client of others: logs in as a device, saves where it is, refreshes, logs out."""

import hashlib
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from connectrpc.client import ConnectClient
from connectrpc.code import Code
from connectrpc.compat import google_protobuf_binary_codec
from connectrpc.errors import ConnectError
from connectrpc.method import IdempotencyLevel, MethodInfo
from connectrpc.method import StreamType as Stream
from connectrpc.protocol import ProtocolType

from catalog.__main__ import build
from catalog.settings import Settings
from reprise import s3
from reprise.catalog.v1 import catalog_service_pb2 as pb
from reprise.grants import Claims, derive_key, mint
from reprise.service import listening
from reprise.types.v1 import types_pb2 as types

MESH_KEY = b"m" * 32
SERVICES = pb.DESCRIPTOR.services_by_name


class Browser:
    """Calls a catalog over gRPC-web; `token` goes with every call, unless it is empty."""

    def __init__(self, client: ConnectClient) -> None:
        self._client = client
        self.token = ""

    async def call(self, service: str, name: str, request: Any, token: str | None = None) -> Any:
        described = SERVICES[service].methods_by_name[name]
        method: MethodInfo[Any, Any] = MethodInfo(
            name=name,
            service_name=SERVICES[service].full_name,
            input=type(request),
            output=getattr(pb, described.output_type.name),
            idempotency_level=IdempotencyLevel.UNKNOWN,
            stream_type=Stream.UNARY,
        )
        sent = self.token if token is None else token
        headers = {"authorization": f"Bearer {sent}"} if sent else {}
        return await self._client.execute_unary(request=request, method=method, headers=headers)

    async def refused(self, service: str, name: str, request: Any, token: str | None = None) -> Code:
        with pytest.raises(ConnectError) as refusal:
            await self.call(service, name, request, token)
        return refusal.value.code


@pytest.fixture
async def browser(database_dsn: str, s3_bucket: s3.Bucket, tmp_path: Path) -> AsyncIterator[Browser]:
    for name, key in (("mesh.key", MESH_KEY), ("session.key", b"s" * 32)):
        (tmp_path / name).write_text(key.hex())
    settings = Settings(
        postgres_dsn=database_dsn,
        s3_endpoint=s3_bucket.endpoint,
        s3_bucket=s3_bucket.name,
        s3_credentials_path=s3_bucket.credentials_path,
        mesh_key_path=tmp_path / "mesh.key",
        session_key_path=tmp_path / "session.key",
        anonymous_listeners=False,
    )
    async with build(settings) as app, listening(app) as ports:
        address = f"http://127.0.0.1:{ports.http_port}"
        codec = google_protobuf_binary_codec()
        async with ConnectClient(address, codec=codec, protocol=ProtocolType.GRPC_WEB) as client:
            yield Browser(client)


async def published(browser: Browser) -> str:
    """The id of a song."""
    claims = Claims("operator", "operator", "mesh", "operator", "t", int(time.time()) + 600)
    operator = mint(claims, "operator", derive_key(MESH_KEY, "operator"))
    rendition = types.Rendition(
        rendition_id=hashlib.sha256(b"rendition").hexdigest(),
        codec=types.CODEC_OPUS,
        bitrate_bps=96_000,
        size_bytes=2_400_000,
        duration_ms=200_000,
        sample_rate_hz=48_000,
        channels=2,
        mime_type='audio/mp4; codecs="opus"',
    )
    song = pb.PublishSongRequest(
        source_sha256=hashlib.sha256(b"source").hexdigest(),
        title="Army of Me",
        artists=[types.ArtistCredit(name="Björk")],
        duration_ms=200_000,
        renditions=[rendition],
    )
    return str((await browser.call("CatalogAdminService", "PublishSong", song, operator)).song_id)


async def test_from_login_to_logout(browser: Browser) -> None:
    song_id = await published(browser)
    point = pb.ResumePoint(song_id=song_id, device_id="browser", position_ms=61_000, epoch=1, sequence=1)
    save = pb.SaveProgressRequest(point=point)
    assert await browser.refused("CatalogService", "SaveProgress", save) is Code.UNAUTHENTICATED

    login = pb.CreateSessionRequest(device_id="browser", device_name="Firefox")
    login.device.secret = secrets.token_urlsafe(32)
    session = (await browser.call("SessionService", "CreateSession", login)).session
    browser.token = session.access_token
    await browser.call("CatalogService", "SaveProgress", save)

    refresh = pb.RefreshSessionRequest(refresh_token=session.refresh_token)
    fresh = (await browser.call("SessionService", "RefreshSession", refresh)).session
    assert (fresh.session_id, fresh.user_id) == (session.session_id, session.user_id)
    assert fresh.refresh_token != session.refresh_token
    # The first access token is good until it expires, the new one as well.
    for token in (session.access_token, fresh.access_token):
        kept = await browser.call("CatalogService", "GetProgress", pb.GetProgressRequest(song_id=song_id), token)
        assert kept.point.position_ms == 61_000

    stated = pb.GetProgressRequest(song_id=song_id, user_id="somebody-else-0123")
    assert await browser.refused("CatalogService", "GetProgress", stated) is Code.PERMISSION_DENIED
    await browser.call("SessionService", "EndSession", pb.EndSessionRequest(refresh_token=fresh.refresh_token))
    ended = pb.RefreshSessionRequest(refresh_token=fresh.refresh_token)
    assert await browser.refused("SessionService", "RefreshSession", ended) is Code.UNAUTHENTICATED


async def test_another_device_is_another_listener(browser: Browser) -> None:
    song_id = await published(browser)
    for position_ms in (10_000, 20_000):
        login = pb.CreateSessionRequest(device_id="browser")
        login.device.secret = secrets.token_urlsafe(32)
        browser.token = (await browser.call("SessionService", "CreateSession", login)).session.access_token
        asked = pb.GetProgressRequest(song_id=song_id)
        assert await browser.refused("CatalogService", "GetProgress", asked) is Code.NOT_FOUND
        point = pb.ResumePoint(song_id=song_id, device_id="browser", position_ms=position_ms, epoch=1, sequence=1)
        await browser.call("CatalogService", "SaveProgress", pb.SaveProgressRequest(point=point))
        assert (await browser.call("CatalogService", "GetProgress", asked)).point.position_ms == position_ms
