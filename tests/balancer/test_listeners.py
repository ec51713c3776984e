"""Where sessions are required, every door of the balancer is for sessions; elsewhere nobody's token is looked at."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import grpc
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from reprise import grants, rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.config import ConfigError
from reprise.session_tokens import SessionClaims, mint
from tests.balancer.stage import Stage, settings, staged
from tests.balancer.values import MESH_KEY, SONG

KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
OTHER_KEY = Ed25519PrivateKey.from_private_bytes(b"o" * 32)
SESSION = "0190c7a2-0000-7000-8000-000000000001"


def token(key: Ed25519PrivateKey = KEY, age_s: int = 0) -> str:
    issued = int(time.time()) - age_s
    return mint(SessionClaims("account", SESSION, "phone", issued, issued + 900), key)


@pytest.fixture
async def strict(tmp_path: Path) -> AsyncIterator[Stage]:
    """A balancer that requires sessions, with one edge."""
    path = tmp_path / "session.pub"
    path.write_text(KEY.public_key().public_bytes_raw().hex() + "\n")
    async with staged(tmp_path, sessions_required=True, session_keys_path=path) as stage:
        await stage.add_edges(e1="a")
        yield stage


async def route(stage: Stage, sent: str) -> pb.RouteResponse:
    request = pb.RouteRequest(song_ids=[SONG], session_id="stated")
    return await stage.balancer.Route(request, metadata=rpc.bearer_metadata(sent))


async def test_a_route_is_for_the_session_of_the_token_whatever_is_stated(strict: Stage) -> None:
    answer = await route(strict, token())
    assert answer.session_id == SESSION
    grant = answer.routes[0].candidates[0].grant
    claims = grants.verify(
        grant, lambda kid: grants.derive_key(MESH_KEY, kid), time.time(), audience="e1", scope="listen"
    )
    assert claims.subject == SESSION


@pytest.mark.parametrize("sent", ["", "nonsense", token(OTHER_KEY), token(age_s=3600)])
async def test_without_a_valid_token_nothing_is_routed_or_reported(strict: Stage, sent: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await route(strict, sent)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
    report = pb.PlayReport(grant="x", outcome=pb.PLAY_OUTCOME_STARTED)
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await strict.balancer.ReportPlays(pb.ReportPlaysRequest(plays=[report]), metadata=rpc.bearer_metadata(sent))
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.parametrize("path", [f"/play/{SONG}", f"/steering/{SONG}"])
async def test_links_and_steering_are_no_way_around_it(strict: Stage, path: str) -> None:
    assert (await strict.fetch(path)).status == 401
    opened = await strict.fetch(path, authorization=f"Bearer {token()}")
    assert opened.status in (200, 307)


async def test_where_none_is_required_no_token_is_looked_at(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    assert (await route(stage, "nonsense")).session_id == "stated"


def test_requiring_sessions_needs_the_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="sessions_required needs session_keys_path"):
        replace(settings(tmp_path, "127.0.0.1:1"), sessions_required=True)
