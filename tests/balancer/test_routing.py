"""Routes, asked for over gRPC of a running balancer."""

import time

import grpc
import pytest

from reprise import grants
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.errors import RepriseError
from reprise.grants import LISTEN_TTL_S, derive_key
from reprise.placement import rank
from reprise.types.v1.types_pb2 import Codec
from tests.balancer.stage import Stage, eventually
from tests.balancer.values import AAC, MESH_KEY, OPUS, OTHER_SONG, SONG, UNKNOWN_SONG


def key_of_edge(edge_id: str) -> bytes:
    return derive_key(MESH_KEY, edge_id)


async def test_a_route_names_the_home_edge_first_then_its_region_then_others(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a", e3="b")
    response = await stage.route()
    (route,) = response.routes
    home, second = rank(OPUS.rendition_id, ["e1", "e2"])
    assert route.rendition == OPUS
    assert [(c.edge_id, c.reason) for c in route.candidates] == [
        (home, "replica"),
        (second, "overflow"),
        ("e3", "spill"),
    ]
    for candidate in route.candidates:
        assert candidate.http_url == "http://127.0.0.1:8001"
        assert candidate.media_url == f"{candidate.http_url}/p/{candidate.grant}/{SONG}/{OPUS.rendition_id}"
        assert candidate.grpc_address == stage.edges[candidate.edge_id].grpc_address
        assert abs(candidate.expires_unix_ms / 1000 - time.time() - LISTEN_TTL_S) < 60
    assert stage.metric("decisions_total", reason="replica") == 1


async def test_the_next_candidate_is_worth_asking_after_three_times_the_estimate(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a")
    (route,) = (await stage.route(warm_edge_ids=["e1"])).routes
    assert all(candidate.hedge_after_ms >= 300 for candidate in route.candidates)
    with pytest.raises(grpc.aio.AioRpcError, match="at most 8 warm_edge_ids, not 9"):
        await stage.route(warm_edge_ids=[f"e{number}" for number in range(9)])


async def test_a_grant_is_good_at_its_edge_and_nowhere_else(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a")
    response = await stage.route(session_id="my-session")
    assert response.session_id == "my-session"
    for candidate in response.routes[0].candidates:
        mine, other = candidate.edge_id, {"e1": "e2", "e2": "e1"}[candidate.edge_id]
        key = key_of_edge(mine)
        claims = grants.verify(candidate.grant, lambda _kid: key, time.time(), audience=mine, scope="listen")  # noqa: B023
        assert grants.allows(claims, SONG, OPUS.rendition_id)
        assert not grants.allows(claims, OTHER_SONG, OPUS.rendition_id)
        assert not grants.allows(claims, SONG, AAC.rendition_id)
        assert (claims.subject, claims.bitrate_bps, claims.issuer) == ("my-session", OPUS.bitrate_bps, "b1")
        with pytest.raises(RepriseError):
            grants.verify(candidate.grant, lambda _kid: key_of_edge(other), time.time(), audience=other, scope="listen")  # noqa: B023


async def test_the_wishes_of_the_listener_choose_the_rendition(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    assert (await stage.route(codecs=[Codec.CODEC_AAC])).routes[0].rendition == AAC
    both = [Codec.CODEC_AAC, Codec.CODEC_OPUS]
    assert (await stage.route(codecs=both, max_bitrate_bps=100_000)).routes[0].rendition == OPUS


async def test_unknown_songs_are_listed_beside_the_known(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    response = await stage.route(SONG, UNKNOWN_SONG, OTHER_SONG)
    assert [route.song_id for route in response.routes] == [SONG, OTHER_SONG]
    assert list(response.unknown_song_ids) == [UNKNOWN_SONG]


async def test_a_session_is_made_when_none_is_given(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    first, second = await stage.route(), await stage.route()
    assert first.session_id != second.session_id
    assert len(first.session_id) >= 16


async def test_an_edge_that_failed_the_listener_comes_last(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a", e3="b")
    home = (await stage.routed_edges())[0]
    assert (await stage.routed_edges(failed_edge_ids=[home]))[-1] == home


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (pb.RouteRequest(), grpc.StatusCode.INVALID_ARGUMENT, "1 to 20 songs"),
        (pb.RouteRequest(song_ids=["nonsense"]), grpc.StatusCode.INVALID_ARGUMENT, "song_id must be a UUID"),
        (pb.RouteRequest(song_ids=[SONG], codecs=[9]), grpc.StatusCode.INVALID_ARGUMENT, "not number 9"),  # type: ignore[list-item]
        (pb.RouteRequest(song_ids=[UNKNOWN_SONG]), grpc.StatusCode.NOT_FOUND, UNKNOWN_SONG),
        (pb.RouteRequest(song_ids=[OTHER_SONG], codecs=[Codec.CODEC_FLAC]), grpc.StatusCode.NOT_FOUND, "codec"),
    ],
)
async def test_what_cannot_be_routed_is_refused_by_name(
    stage: Stage, request_: pb.RouteRequest, code: grpc.StatusCode, message: str
) -> None:
    await stage.add_edges(e1="a")
    with pytest.raises(grpc.aio.AioRpcError, match=message) as refused:
        await stage.balancer.Route(request_)
    assert refused.value.code() == code


async def test_without_any_edge_another_balancer_is_suggested(stage: Stage) -> None:
    with pytest.raises(grpc.aio.AioRpcError, match="no edge is alive") as refused:
        await stage.route()
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert stage.metric("decisions_total", reason="no_edge") == 1


async def test_full_edges_ask_for_a_pause(stage: Stage) -> None:
    (edge,) = await stage.add_edges(e1="a")
    edge.fall_silent()
    edge.report(active_streams=100)

    async def nobody_is_routed() -> bool:
        return not await stage.routed_edges()

    await eventually(nobody_is_routed, "the edge counts as full")
    with pytest.raises(grpc.aio.AioRpcError, match="every edge is full") as refused:
        await stage.route()
    assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert dict(refused.value.trailing_metadata())["retry-after"] == "2"


async def test_grants_given_out_count_until_the_edge_reports_them(stage: Stage) -> None:
    (edge,) = await stage.add_edges(e1="a")
    response = await stage.route()
    pending = (await stage.mesh())["e1"]
    assert pending.pending_grants == 1
    assert pending.utilisation >= 0.01
    claims = grants.verify(
        response.routes[0].candidates[0].grant, key_of_edge, time.time(), audience="e1", scope="listen"
    )
    edge.report(seen_grant_ids=[claims.grant_id], active_streams=1)

    async def nothing_is_pending() -> bool:
        return (await stage.mesh())["e1"].pending_grants == 0

    # Sooner than the five seconds after which it would be forgotten anyway.
    await eventually(nothing_is_pending, "the report retires the grant", deadline_s=4)


async def test_a_crowd_that_asks_between_two_reports_is_spread(stage: Stage) -> None:
    edges = await stage.add_edges(e1="a", e2="a", e3="a")
    for edge in edges:
        edge.fall_silent()
        edge.report()
    firsts = [(await stage.routed_edges())[0] for _ in range(150)]
    assert {firsts.count(edge.edge_id) > 20 for edge in edges} == {True}
    assert firsts[0] == rank(OPUS.rendition_id, ["e1", "e2", "e3"])[0]


async def test_what_was_routed_once_is_routed_while_the_catalog_is_down(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    await stage.route(SONG)
    stage.catalog.down = True
    assert (await stage.route(SONG)).routes[0].rendition == OPUS
    with pytest.raises(grpc.aio.AioRpcError, match=f"song {OTHER_SONG} is not remembered") as refused:
        await stage.route(OTHER_SONG)
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
