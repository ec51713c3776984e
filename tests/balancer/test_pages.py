"""The doors of plain HTTP: redirects, errors in plain text, the page; and gRPC-web on the same port."""

import struct

import pytest

from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.types.v1.types_pb2 import Rendition
from tests.balancer.stage import Stage, eventually
from tests.balancer.values import AAC, OPUS, OTHER_SONG, SONG, UNKNOWN_SONG


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_song_link_leads_to_the_edge(stage: Stage, method: str) -> None:
    await stage.add_edges(e1="a")
    reply = await stage.fetch(f"/play/{SONG}", method)
    assert reply.status == 307
    assert reply.headers["cache-control"] == "no-store"
    base, grant, song_id, rendition_id = reply.headers["location"].rsplit("/", 3)
    assert (base, song_id, rendition_id) == ("http://127.0.0.1:8001/p", SONG, OPUS.rendition_id)
    assert len(grant) > 50
    assert (reply.body == b"") == (method == "HEAD")


@pytest.mark.parametrize(
    ("query", "rendition"),
    [("codec=aac", AAC), ("codec=opus&max_kbps=96", OPUS), ("max_kbps=100&utm=x", OPUS), ("region=b", OPUS)],
)
async def test_a_song_link_takes_wishes(stage: Stage, query: str, rendition: Rendition) -> None:
    await stage.add_edges(e1="a")
    reply = await stage.fetch(f"/play/{SONG}?{query}")
    assert reply.headers["location"].endswith(rendition.rendition_id)


async def test_the_region_of_a_link_is_that_of_its_edge(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="b")
    await stage.fetch(f"/play/{SONG}?region=b")
    await stage.fetch(f"/play/{SONG}?region=a")
    assert stage.metric("decisions_total", reason="replica") == 2


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/play/", 400, "song_id must be a UUID"),
        ("/play/../secret", 400, "song_id must be a UUID"),
        (f"/play/{SONG}?codec=mp3", 400, "codec must be opus, aac or flac, not 'mp3'"),
        (f"/play/{SONG}?max_kbps=loud", 400, "max_kbps must be a whole number from 1 to 1000000, not 'loud'"),
        (f"/play/{SONG}?max_kbps=0", 400, "max_kbps must be"),
        (f"/play/{SONG}?max_kbps=%D9%A3", 400, "max_kbps must be"),
        (f"/play/{SONG}?max_kbps={'9' * 5000}", 400, "max_kbps must be"),
        (f"/play/{SONG}?region=a%20b", 400, "region must be"),
        (f"/play/{UNKNOWN_SONG}", 404, UNKNOWN_SONG),
        (f"/play/{OTHER_SONG}?codec=flac", 404, "codec"),
        ("/nothing", 404, "no such page"),
    ],
)
async def test_a_bad_link_says_what_is_wrong_in_plain_text(stage: Stage, path: str, status: int, message: str) -> None:
    await stage.add_edges(e1="a")
    reply = await stage.fetch(path)
    assert reply.status == status
    assert reply.headers["content-type"].startswith("text/plain")
    assert message in reply.body.decode()
    assert b"Traceback" not in reply.body


async def test_without_an_edge_or_with_full_ones_a_link_says_when_to_come_back(stage: Stage) -> None:
    none = await stage.fetch(f"/play/{SONG}")
    assert (none.status, none.headers["retry-after"]) == (503, "1")
    (edge,) = await stage.add_edges(e1="a")
    edge.fall_silent()
    edge.report(committed_bps=2_000_000_000)

    async def is_full() -> bool:
        return (await stage.fetch(f"/play/{SONG}")).status == 429

    await eventually(is_full, "the edge counts as full")
    full = await stage.fetch(f"/play/{SONG}")
    assert full.headers["retry-after"] == "2"
    assert full.body == b"every edge is full: try again in a moment\n"


async def test_the_page_says_what_this_is(stage: Stage) -> None:
    page = await stage.fetch("/")
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    assert b"reprise search" in page.body
    assert (await stage.fetch("/", "HEAD")).headers["content-length"] == str(len(page.body))
    assert (await stage.fetch("/", "DELETE")).status == 405


async def test_route_answers_grpc_web_as_it_answers_grpc(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    message = pb.RouteRequest(song_ids=[SONG]).SerializeToString()
    body = b"\0" + struct.pack(">I", len(message)) + message
    path = "/reprise.balancer.v1.BalancerService/Route"
    reply = await stage.fetch(path, "POST", body, "application/grpc-web+proto")
    (size,) = struct.unpack(">I", reply.body[1:5])
    response = pb.RouteResponse.FromString(reply.body[5 : 5 + size])
    assert [candidate.edge_id for candidate in response.routes[0].candidates] == ["e1"]
    assert b"grpc-status:0" in reply.body[5 + size :].replace(b" ", b"")
