"""Where HLS players are steered: the manifest as a value, and the page that gives it."""

import json
from typing import Any

import pytest

from balancer.steering import MOVED_TTL_S, TTL_S, Pathway, manifest
from reprise.balancer.v1 import balancer_service_pb2 as pb
from tests.balancer.stage import Stage, eventually
from tests.balancer.values import AAC, SONG, UNKNOWN_SONG

PATHWAYS = tuple(Pathway(f"e{n}", "r", f"http://host{n}:80/p/grant{n}/song/r") for n in (1, 2, 3))


def test_a_player_that_is_nowhere_starts_at_the_best_edge() -> None:
    assert manifest("song", PATHWAYS, "", {"session": "s"}) == {
        "VERSION": 1,
        "TTL": TTL_S,
        "RELOAD-URI": "/steering/song?session=s",
        "PATHWAY-PRIORITY": ["e1", "e2", "e3"],
        "PATHWAY-CLONES": [
            {
                "BASE-ID": "e1",
                "ID": f"e{n}",
                "URI-REPLACEMENT": {
                    "HOST": f"host{n}:80",
                    "PER-VARIANT-URIS": {"r": f"http://host{n}:80/p/grant{n}/song/r"},
                },
            }
            for n in (2, 3)
        ],
    }


def test_a_player_that_stays_is_given_the_others_as_clones_of_its_own_pathway() -> None:
    value = manifest("song", PATHWAYS, "e1", {})
    assert (value["PATHWAY-PRIORITY"], value["TTL"]) == (["e1", "e2", "e3"], TTL_S)
    assert [(one["BASE-ID"], one["ID"]) for one in clones(value)] == [("e1", "e2"), ("e1", "e3")]


def test_a_player_whose_edge_is_none_any_more_moves_and_asks_again_soon() -> None:
    value = manifest("song", PATHWAYS, "gone", {})
    assert (value["PATHWAY-PRIORITY"], value["TTL"]) == (["e1", "e2", "e3"], MOVED_TTL_S)
    assert [one["BASE-ID"] for one in clones(value)] == ["gone"] * 3


def clones(value: dict[str, object]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = value["PATHWAY-CLONES"]  # type: ignore[assignment]
    return found


async def steer(stage: Stage, path: str) -> dict[str, Any]:
    reply = await stage.fetch(path)
    assert reply.status == 200, reply.body
    value: dict[str, Any] = json.loads(reply.body)
    return value


async def test_the_page_names_edges_with_a_grant_each_and_where_to_ask_next(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a")
    reply = await stage.fetch(f"/steering/{SONG}?codec=aac&region=a&utm=x")
    assert (reply.headers["content-type"], reply.headers["cache-control"]) == ("application/json", "no-store")
    assert reply.headers["access-control-allow-origin"] == "*"
    value = json.loads(reply.body)
    assert sorted(value["PATHWAY-PRIORITY"]) == ["e1", "e2"]
    (clone,) = value["PATHWAY-CLONES"]
    address = clone["URI-REPLACEMENT"]["PER-VARIANT-URIS"][AAC.rendition_id]
    assert address.endswith(f"/{SONG}/{AAC.rendition_id}")
    assert "/p/" in address
    assert value["RELOAD-URI"].startswith(f"/steering/{SONG}?codec=aac&region=a&session=")
    again = await steer(stage, value["RELOAD-URI"])
    assert again["RELOAD-URI"] == value["RELOAD-URI"]
    assert stage.metric("steered_total", way="start") == 2


async def test_who_plays_from_an_edge_stays_there_and_expects_nothing_of_it(stage: Stage) -> None:
    await stage.add_edges(**{f"e{n}": "a" for n in range(1, 6)})
    for edge_id in stage.edges:
        value = await steer(stage, f"/steering/{SONG}?_HLS_pathway=%22{edge_id}%22&_HLS_throughput=5140000")
        assert value["PATHWAY-PRIORITY"][0] == edge_id
        assert len(value["PATHWAY-PRIORITY"]) == 3
    assert sum(status.pending_grants for status in (await stage.mesh()).values()) == 0
    assert stage.metric("steered_total", way="kept") == stage.metric("decisions_total", reason="stays") == 5


async def test_who_plays_from_a_draining_edge_is_moved(stage: Stage) -> None:
    one, _ = await stage.add_edges(e1="a", e2="a")
    one.fall_silent()
    one.report(draining=True)
    await stage.wait_state("e1", pb.EDGE_STATE_DRAINING)
    value = await steer(stage, f"/steering/{SONG}?_HLS_pathway=e1")
    assert (value["PATHWAY-PRIORITY"], value["TTL"]) == (["e2"], MOVED_TTL_S)
    assert (await stage.mesh())["e2"].pending_grants == 1
    assert stage.metric("steered_total", way="moved") == 1


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        ("/steering/", 400, "song_id must be a UUID"),
        (f"/steering/{UNKNOWN_SONG}", 404, UNKNOWN_SONG),
        (f"/steering/{SONG}?_HLS_pathway=a%20b", 400, "the pathway"),
        (f"/steering/{SONG}?session=a%20b", 400, "session_id"),
        (f"/steering/{SONG}?codec=mp3", 400, "codec must be"),
    ],
)
async def test_a_bad_question_says_what_is_wrong(stage: Stage, path: str, status: int, message: str) -> None:
    await stage.add_edges(e1="a")
    reply = await stage.fetch(path)
    assert (reply.status, message in reply.body.decode()) == (status, True)


async def test_a_full_mesh_tells_the_player_to_come_back_later(stage: Stage) -> None:
    (edge,) = await stage.add_edges(e1="a")
    edge.fall_silent()
    edge.report(committed_bps=2_000_000_000)

    async def is_full() -> bool:
        return (await stage.fetch(f"/steering/{SONG}")).status == 429

    await eventually(is_full, "the edge counts as full")
    assert "retry-after" in (await stage.fetch(f"/steering/{SONG}", "HEAD")).headers
