"""What a browser sends before and around a gRPC-web call from a page of another origin."""

import httpx
import pytest

from tests.edge_node.edges import Audio, Edge, ScriptedOrigin, get, make_audio

PAGE = "https://music.example"
PLAY = "/reprise.edge.v1.EdgeService/Play"
# The request headers that connect-web, nice-grpc-web and grpc-web add to what a page may send anyway.
CLIENTS = {
    "connect-web": ["content-type", "grpc-timeout", "x-grpc-web", "x-user-agent"],
    "nice-grpc-web": ["content-type", "x-grpc-web", "authorization"],
    "grpc-web": ["content-type", "x-grpc-web", "x-user-agent", "grpc-timeout"],
}


@pytest.fixture
def audio(origin: ScriptedOrigin) -> Audio:
    return origin.add(make_audio(100_000))


async def preflight(url: str, method: str, headers: list[str]) -> httpx.Response:
    """OPTIONS as a browser sends it: header names in lower case, sorted, with commas alone between them."""
    asked = {
        "origin": PAGE,
        "access-control-request-method": method,
        "access-control-request-headers": ",".join(sorted(headers)),
        "sec-fetch-mode": "cors",
    }
    async with httpx.AsyncClient(trust_env=False) as client:
        return await client.options(url, headers=asked)


def listed(response: httpx.Response, header: str) -> set[str]:
    return {name.strip().lower() for name in response.headers[header].split(",")}


@pytest.mark.parametrize("client", list(CLIENTS))
async def test_a_preflight_allows_what_each_client_sends(edge: Edge, client: str) -> None:
    answer = await preflight(f"{edge.http_url}{PLAY}", "POST", CLIENTS[client])
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert "post" in listed(answer, "access-control-allow-methods")
    assert set(CLIENTS[client]) <= listed(answer, "access-control-allow-headers")


async def test_a_page_may_read_the_status_of_a_refused_call(edge: Edge) -> None:
    headers = {"origin": PAGE, "content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
    async with httpx.AsyncClient(trust_env=False) as client:
        answer = await client.post(f"{edge.http_url}{PLAY}", content=b"\0\0\0\0\0", headers=headers)
    assert answer.headers["access-control-allow-origin"] == PAGE
    assert {"grpc-status", "grpc-message"} <= listed(answer, "access-control-expose-headers")
    assert answer.headers["grpc-status"] == "3"


async def test_a_page_may_ask_for_ranges_of_a_song_and_read_what_it_got(edge: Edge, audio: Audio) -> None:
    url = edge.media_url(audio)
    allowed = await preflight(url, "GET", ["range"])
    assert allowed.status_code in (200, 204)
    assert allowed.headers["access-control-allow-origin"] in ("*", PAGE)
    assert "range" in listed(allowed, "access-control-allow-headers")
    part = await get(url, range="bytes=0-99", origin=PAGE)
    assert part.headers["access-control-allow-origin"] in ("*", PAGE)
    assert {"content-range", "etag"} <= listed(part, "access-control-expose-headers")
