"""Google's grpc-web, as a web page uses it: unary calls to catalog and balancer of a whole mesh."""

import json
from typing import Any

import pytest

from tests.clients import tools
from tests.clients.command import run
from tests.mesh.listener import Library, listen, route
from tests.support.mesh import TestMesh

INVALID_ARGUMENT = 3


@pytest.fixture(scope="module")
def node() -> str:
    return tools.node()


async def call(node: str, base_url: str, service: str, method: str, request: dict[str, Any], form: str) -> Any:
    """What the client says of one call: code, message and answer."""
    asked = {"baseUrl": base_url, "service": service, "method": method, "request": request, "format": form}
    done = await run(node, str(tools.NODE / "grpc_web.mjs"), json.dumps(asked | {"timeoutMs": 10_000}))
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize("form", ["binary", "text"])
async def test_a_page_finds_a_song_and_is_sent_to_an_edge_that_plays_it(
    node: str, mesh: TestMesh, library: Library, form: str
) -> None:
    (catalog, balancer) = (mesh.json["catalog"]["http"], mesh.json["balancer"][0]["http"])
    found = await call(node, catalog, "CatalogService", "search", {"query": "nosie 3"}, form)
    assert (found["code"], found["answer"]["songs"][0]["title"]) == (0, "noise 3")
    song_id = found["answer"]["songs"][0]["songId"]
    routed = await call(node, balancer, "BalancerService", "route", {"songIds": [song_id]}, form)
    (answer,) = routed["answer"]["routes"]
    wanted = await route(mesh, song_id)
    assert answer["rendition"]["renditionId"] == wanted.rendition.rendition_id
    offered = next(one for one in wanted.candidates if one.edge_id == answer["candidates"][0]["edgeId"])
    offered.media_url = answer["candidates"][0]["mediaUrl"]
    assert (await listen(offered)).sha256 == wanted.rendition.rendition_id


@pytest.mark.parametrize("form", ["binary", "text"])
async def test_a_refused_call_tells_the_page_code_and_reason(node: str, mesh: TestMesh, form: str) -> None:
    catalog = mesh.json["catalog"]["http"]
    refused = await call(node, catalog, "CatalogService", "search", {"query": "x", "cursor": "forged"}, form)
    assert refused["code"] == INVALID_ARGUMENT
    assert "cursor" in refused["message"]
    assert refused["answer"] is None
