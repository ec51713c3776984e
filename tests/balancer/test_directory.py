"""The edge directory: useful after a restart, never needed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from redis.asyncio import Redis
from structlog.testing import capture_logs

from balancer import valkey
from balancer.directory import BUCKET_S, Directory, decode, encode
from balancer.membership import State
from balancer.mesh import Mesh
from balancer.metrics import BalancerMetrics
from balancer.valkey import ValkeyLine
from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.config import ConfigError
from reprise.engines.ports import free_ports
from tests.balancer.fakes import black_hole
from tests.balancer.stage import eventually, staged
from tests.balancer.values import SONG, identity, load
from tests.support.wait import wait_until

NOON = 1_000_000 * BUCKET_S


class Mirror:
    """A directory over a mesh of its own; `unix_s` is the time of day."""

    def __init__(self, url: str) -> None:
        self.client = valkey.connect(url)
        self.mesh = Mesh(epoch=1, now=0.0, rng=Random(1))
        self.registry = CollectorRegistry()
        self.unix_s = float(NOON)
        metrics = BalancerMetrics(self.registry)
        self.directory = Directory(self.client, self.mesh, lambda: 0.0, lambda: self.unix_s)
        self.line = ValkeyLine(metrics)
        self.line.add(self.directory.refresh)

    def up(self) -> float | None:
        return self.registry.get_sample_value("reprise_balancer_directory_up")

    def failures(self) -> float | None:
        return self.registry.get_sample_value("reprise_balancer_directory_failures_total")


@asynccontextmanager
async def mirroring(mirror: Mirror) -> AsyncIterator[Mirror]:
    task = asyncio.create_task(mirror.line.run())
    try:
        yield mirror
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await mirror.client.aclose()


@pytest.fixture
async def empty_valkey(valkey_url: str) -> str:
    async with Redis.from_url(valkey_url) as client:
        await client.flushall()
    return valkey_url


async def test_a_restarted_balancer_knows_the_last_edges_as_suspects(empty_valkey: str) -> None:
    before = Mirror(empty_valkey)
    stream = before.mesh.hello(identity("e1"), 0.0)
    before.mesh.report("e1", stream, load(), 0.0)
    before.mesh.hello(identity("silent"), 0.0)
    async with mirroring(before):
        await wait_until(before.up, "the first mirror")
    after = Mirror(empty_valkey)
    after.unix_s += BUCKET_S
    async with mirroring(after):
        await wait_until(lambda: after.directory.was_read, "the directory")
        assert after.mesh.states() == [State.SUSPECT]
        assert after.mesh.edge("e1").identity == identity("e1")


async def test_the_directory_forgets_by_itself(empty_valkey: str) -> None:
    mirror = Mirror(empty_valkey)
    stream = mirror.mesh.hello(identity("e1"), 0.0)
    mirror.mesh.report("e1", stream, load(), 0.0)
    async with mirroring(mirror):
        await wait_until(mirror.up, "the first mirror")
        (key,) = await mirror.client.keys("*")
        assert 0 < await mirror.client.ttl(key) <= 3 * BUCKET_S
    much_later = Mirror(empty_valkey)
    much_later.unix_s += 2 * BUCKET_S
    async with mirroring(much_later):
        await wait_until(lambda: much_later.directory.was_read, "the directory")
        assert much_later.mesh.states() == []


async def test_nonsense_in_the_directory_is_skipped_and_counted_in_one_line(empty_valkey: str) -> None:
    async with Redis.from_url(empty_valkey) as client:
        key = f"reprise:balancer:edges:{NOON // BUCKET_S}"
        await client.hset(key, mapping={"e1": encode(identity("e1")), "e2": "{", "e3": '{"edge_id": "e3"}'})
    mirror = Mirror(empty_valkey)
    with capture_logs() as lines:
        async with mirroring(mirror):
            await wait_until(lambda: mirror.directory.was_read, "the directory")
    assert [edge.identity.edge_id for edge in mirror.mesh.alive()] == ["e1"]
    assert [line["count"] for line in lines if line["event"] == "directory_entries_skipped"] == [2]


@given(st.text() | st.from_regex(r"\{.*\}") | st.just('{"edge_id": 7}') | st.just("[1]") | st.just("null"))
def test_decoding_takes_nothing_but_edges(text: str) -> None:
    assert decode(text) is None


def test_decoding_is_the_reverse_of_encoding() -> None:
    assert decode(encode(identity("e7", "b", "boot-9"))) == identity("e7", "b", "boot-9")
    assert decode(encode(identity("e7", grpc_address="nonsense"))) is None


async def test_an_outage_is_one_line_and_a_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "ROUND_S", 0.001)
    monkeypatch.setattr(valkey, "PAUSE_S_MAX", 0.01)
    (port,) = free_ports(1)
    mirror = Mirror(f"redis://127.0.0.1:{port}/0")
    with capture_logs() as lines:
        async with mirroring(mirror):
            await wait_until(lambda: (mirror.failures() or 0) >= 3, "three failed calls")
    assert [line["event"] for line in lines] == ["valkey_lost"]
    assert mirror.up() == 0


async def test_a_url_that_is_none_is_named() -> None:
    with pytest.raises(ConfigError, match="valkey_url is not a Valkey address"):
        _ = valkey.connect("valkey.example")


async def test_routes_are_the_same_with_valkey_dead(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    async with staged(tmp_path, valkey_url=f"redis://127.0.0.1:{port}/0") as stage:
        await stage.add_edges(e1="a")
        await wait_until(lambda: stage.metric("directory_failures_total"), "a failed call")
        assert await stage.routed_edges() == ["e1"]
        await wait_until(lambda: not stage.app.ready(), "ready without Valkey")


async def test_routes_are_the_same_with_valkey_in_a_black_hole(tmp_path: Path) -> None:
    async with black_hole() as address, staged(tmp_path, valkey_url=f"redis://{address}/0") as stage:
        await stage.add_edges(e1="a")
        assert await stage.routed_edges() == ["e1"]
        await wait_until(lambda: stage.metric("directory_failures_total"), "a call that timed out")
        await wait_until(lambda: not stage.app.ready(), "ready without Valkey")


async def test_an_edge_that_is_only_remembered_is_a_last_resort(tmp_path: Path, empty_valkey: str) -> None:
    async with staged(tmp_path, valkey_url=empty_valkey) as first:
        await first.add_edges(e1="a")
        async with Redis.from_url(empty_valkey) as client:

            async def mirrored() -> bool:
                return bool(await client.keys("*"))

            await eventually(mirrored, "the edge is in the directory")
        async with staged(tmp_path, valkey_url=empty_valkey) as second:
            await second.wait_state("e1", pb.EDGE_STATE_SUSPECT)
            response = await second.route(SONG)
            assert [(c.edge_id, c.reason) for c in response.routes[0].candidates] == [("e1", "panic")]
