"""Orders of operators, and what becomes of each."""

import asyncio

import grpc
import pytest
from prometheus_client import CollectorRegistry

from balancer.commands import OPEN_MAX, Command, Drain, OpenCommands
from balancer.metrics import BalancerMetrics
from reprise import rpc
from reprise.balancer.v1 import balancer_service_pb2 as pb
from tests.balancer.fakes import service_token
from tests.balancer.stage import Stage
from tests.balancer.values import AAC, OPUS, OTHER_SONG, SONG, UNKNOWN_SONG
from tests.support.wait import wait_until


def open_commands(sent: list[Command]) -> OpenCommands:
    return OpenCommands("e1", sent.append, BalancerMetrics(CollectorRegistry()))


async def test_no_answer_in_time_is_an_answer() -> None:
    commands = open_commands([])
    answer = await commands.ask(Drain(1), seconds_max=0.01)
    assert (answer.ok, answer.detail) == (False, "no answer within 0.01 s")


async def test_an_answer_after_the_time_or_to_nothing_changes_nothing() -> None:
    sent: list[Command] = []
    commands = open_commands(sent)
    await commands.ask(Drain(1), seconds_max=0.01)
    commands.answered(sent[0].command_id, ok=True, detail="")
    commands.answered("made-up", ok=True, detail="")
    commands.stream_ended()


async def test_unanswered_commands_of_an_edge_are_bounded() -> None:
    sent: list[Command] = []
    commands = open_commands(sent)
    asking = [asyncio.create_task(commands.ask(Drain(1))) for _ in range(OPEN_MAX)]
    await asyncio.sleep(0)
    refused = await commands.ask(Drain(1))
    assert (refused.ok, len(sent)) == (False, OPEN_MAX)
    assert "unanswered" in refused.detail
    commands.stream_ended()
    assert {answer.detail for answer in await asyncio.gather(*asking)} == {"its report stream ended before it answered"}


async def test_a_prewarm_reaches_every_edge_with_the_songs_renditions_and_each_answer_is_listed(stage: Stage) -> None:
    edges = await stage.add_edges(e1="a", e2="b")
    asking = asyncio.create_task(stage.command(prewarm=pb.PrewarmSongs(song_ids=[SONG, OTHER_SONG], prefix_only=True)))
    for edge in edges:
        (command,) = await wait_until(lambda edge=edge: edge.commands, "the command")  # type: ignore[misc]
        expected = [OPUS.rendition_id, AAC.rendition_id]
        assert list(command.prewarm.rendition_ids) == expected
        assert command.prewarm.prefix_only
        edge.answer(command, ok=edge.edge_id == "e1", detail=f"from {edge.edge_id}")
    answers = sorted((answer.edge_id, answer.ok, answer.detail) for answer in await asking)
    assert answers == [("e1", True, "from e1"), ("e2", False, "from e2")]


async def test_purge_and_drain_go_to_the_edge_that_is_named(stage: Stage) -> None:
    one, two = await stage.add_edges(e1="a", e2="a")
    for action in ({"purge": pb.PurgeSongs(song_ids=[OTHER_SONG])}, {"drain": pb.Drain(deadline_s=9)}):
        asking = asyncio.create_task(stage.command(["e1"], **action))
        await wait_until(lambda action=action: one.commands and one.commands[-1].HasField(*action), "the command")  # type: ignore[misc]
        one.answer(one.commands[-1])
        (answer,) = await asking
        assert (answer.edge_id, answer.ok) == ("e1", True)
    assert list(one.commands[0].purge.rendition_ids) == [OPUS.rendition_id]
    assert one.commands[1].drain.deadline_s == 9
    assert two.commands == []


async def test_a_song_that_is_taken_down_is_purged_by_its_renditions_and_routed_no_more(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    assert (await stage.route(OTHER_SONG)).routes[0].candidates
    del stage.catalog.songs[OTHER_SONG]
    action = pb.PurgeSongs(rendition_ids=[OPUS.rendition_id])
    asking = asyncio.create_task(stage.command(purge=action))
    await wait_until(lambda: one.commands, "the command")
    assert list(one.commands[0].purge.rendition_ids) == [OPUS.rendition_id]
    one.answer(one.commands[0])
    await asking
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stage.route(OTHER_SONG)
    assert refused.value.code() == grpc.StatusCode.NOT_FOUND


async def test_a_song_is_routed_by_the_id_that_it_had_before_a_merge(stage: Stage) -> None:
    await stage.add_edges(e1="a")
    stage.catalog.redirected[UNKNOWN_SONG] = OTHER_SONG
    (old,), (new,) = (await stage.route(UNKNOWN_SONG)).routes, (await stage.route(OTHER_SONG)).routes
    assert old.candidates
    assert old.rendition == new.rendition


async def test_an_edge_that_dies_before_it_answers_is_listed_so(stage: Stage) -> None:
    (one,) = await stage.add_edges(e1="a")
    asking = asyncio.create_task(stage.command(["e1"], drain=pb.Drain()))
    await wait_until(lambda: one.commands, "the command")
    await one.kill()
    (answer,) = await asking
    assert (answer.ok, answer.detail) == (False, "its report stream ended before it answered")
    (answer,) = await stage.command(["e1"], drain=pb.Drain())
    assert (answer.ok, answer.detail) == (False, "it is not connected to this balancer")


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (pb.SendCommandRequest(), grpc.StatusCode.INVALID_ARGUMENT, "no action"),
        (pb.SendCommandRequest(purge=pb.PurgeSongs()), grpc.StatusCode.INVALID_ARGUMENT, "1 to 100 songs, not 0"),
        (pb.SendCommandRequest(purge=pb.PurgeSongs(song_ids=["x"])), grpc.StatusCode.INVALID_ARGUMENT, "a UUID"),
        (
            pb.SendCommandRequest(purge=pb.PurgeSongs(song_ids=[UNKNOWN_SONG])),
            grpc.StatusCode.NOT_FOUND,
            UNKNOWN_SONG,
        ),
        (
            pb.SendCommandRequest(purge=pb.PurgeSongs(rendition_ids=["x"])),
            grpc.StatusCode.INVALID_ARGUMENT,
            "rendition_id",
        ),
        (
            pb.SendCommandRequest(purge=pb.PurgeSongs(rendition_ids=["a" * 64] * 501)),
            grpc.StatusCode.INVALID_ARGUMENT,
            "at most 500 renditions, not 501",
        ),
        (pb.SendCommandRequest(edge_ids=["nope"], drain=pb.Drain()), grpc.StatusCode.NOT_FOUND, "no edge 'nope'"),
    ],
)
async def test_a_command_that_makes_no_sense_is_refused(
    stage: Stage, request_: pb.SendCommandRequest, code: grpc.StatusCode, message: str
) -> None:
    metadata = rpc.bearer_metadata(service_token("operator", "mesh", "operator"))
    with pytest.raises(grpc.aio.AioRpcError, match=message) as refused:
        await stage.admin.SendCommand(request_, metadata=metadata)
    assert refused.value.code() == code


async def test_only_operators_look_and_order(stage: Stage) -> None:
    not_operators = {
        "": grpc.StatusCode.UNAUTHENTICATED,
        service_token("operator", "mesh", "operator", signer="e1"): grpc.StatusCode.UNAUTHENTICATED,
        service_token("e1", "mesh", "operator"): grpc.StatusCode.UNAUTHENTICATED,
        service_token("e1", "balancer", "report"): grpc.StatusCode.UNAUTHENTICATED,
        service_token("e1", "mesh", "report"): grpc.StatusCode.PERMISSION_DENIED,
    }
    for token, code in not_operators.items():
        for call, request in (
            (stage.admin.GetMesh, pb.GetMeshRequest()),
            (stage.admin.SendCommand, pb.SendCommandRequest(drain=pb.Drain())),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call(request, metadata=rpc.bearer_metadata(token))
            assert refused.value.code() == code
