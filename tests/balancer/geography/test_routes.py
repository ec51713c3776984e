"""A running balancer finds out where listeners are, and says where they can measure it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from reprise.balancer.v1 import balancer_service_pb2 as pb
from reprise.errors import InvalidRequest
from tests.balancer.geography import mmdb
from tests.balancer.stage import Stage, staged
from tests.balancer.values import SONG


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Stage]:
    """Edges in three regions behind a proxy; the default region is `a`, 192.0.2.0/24 is `b`, and 198.51.100.0/24 near `c`."""
    (tmp_path / "cidrs").write_text("192.0.2.0/24 b\n")
    city: dict[str, mmdb.Value] = {"location": {"latitude": 35.0, "longitude": 139.0}}
    changes: dict[str, Any] = {
        "regions_cidr_path": tmp_path / "cidrs",
        "geoip_path": mmdb.write(tmp_path / "city.mmdb", {"198.51.100.0/24": city}),
        "region_locations": ("a 40.71 -74.01", "c 35.68 139.69"),
        "region_rtts": ("b c 30", "a b 90"),
        "trusted_proxies": ("127.0.0.0/8",),
    }
    async with staged(tmp_path, **changes) as stage:
        await stage.add_edges(e1="a", e2="b", e3="c")
        yield stage


async def region_of(stage: Stage, address: str, **wishes: Any) -> str:
    """Where a listener behind the proxy is sent by gRPC."""
    request = pb.RouteRequest(song_ids=[SONG], **wishes)
    response = await stage.balancer.Route(request, metadata=(("x-forwarded-for", address),), timeout=10)
    return str(response.routes[0].candidates[0].region)


@pytest.mark.parametrize(
    ("address", "region", "evidence"),
    [("192.0.2.7", "b", "cidr"), ("198.51.100.7", "c", "geoip"), ("203.0.113.7", "a", "default")],
)
async def test_a_listener_is_sent_to_the_region_of_its_address(
    world: Stage, address: str, region: str, evidence: str
) -> None:
    assert await region_of(world, address) == region
    assert world.metric("region_evidence_total", evidence=evidence) == 1
    reply = await world.fetch(f"/play/{SONG}", x_forwarded_for=f"10.9.9.9, {address}")
    assert f"/{SONG}/" in reply.headers["location"]
    assert world.metric("region_evidence_total", evidence=evidence) == 2


async def test_what_the_listener_says_and_measured_comes_before_its_address(world: Stage) -> None:
    near_a = [pb.RegionRtt(region="a", rtt_ms=12), pb.RegionRtt(region="b", rtt_ms=80)]
    assert await region_of(world, "192.0.2.7", region="c") == "c"
    assert await region_of(world, "192.0.2.7", region_rtts=near_a) == "a"
    assert await region_of(world, "192.0.2.7", region="b", region_rtts=near_a) == "a"
    assert world.metric("region_evidence_total", evidence="measured") == 2


async def test_a_network_whose_listeners_report_short_round_trips_is_sent_there(world: Stage) -> None:
    """What three of its addresses measured by playing from `c`, the fourth gets without measuring."""
    for host in ("203.0.113.1", "203.0.113.2", "203.0.113.3"):
        behind_proxy = (("x-forwarded-for", host),)
        request = pb.RouteRequest(song_ids=[SONG], region="c")
        route = (await world.balancer.Route(request, metadata=behind_proxy, timeout=10)).routes[0]
        assert route.candidates[0].region == "c"
        play = pb.PlayReport(grant=route.candidates[0].grant, outcome=pb.PLAY_OUTCOME_STARTED, rtt_ms=9)
        taken = await world.balancer.ReportPlays(pb.ReportPlaysRequest(plays=[play]), metadata=behind_proxy, timeout=10)
        assert taken.taken == 1
    assert await region_of(world, "203.0.113.200") == "c"
    assert world.metric("region_evidence_total", evidence="learned") == 1
    assert world.metric("learned_networks") == 1
    assert await region_of(world, "203.0.114.200") == "a"


async def test_probes_are_one_edge_of_each_region_nearest_first_until_the_listener_measured(world: Stage) -> None:
    metadata = (("x-forwarded-for", "192.0.2.7"),)
    response = await world.balancer.Route(pb.RouteRequest(song_ids=[SONG]), metadata=metadata, timeout=10)
    assert [probe.region for probe in response.probes] == ["b", "c", "a"]
    assert {probe.probe_url for probe in response.probes} == {"http://127.0.0.1:8001/healthz"}
    measured = pb.RouteRequest(song_ids=[SONG], region_rtts=[pb.RegionRtt(region="a", rtt_ms=12)])
    assert not (await world.balancer.Route(measured, metadata=metadata, timeout=10)).probes


async def test_a_mesh_of_one_region_has_nothing_to_measure(stage: Stage) -> None:
    await stage.add_edges(e1="a", e2="a")
    assert not (await stage.route()).probes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regions_cidr_path": Path("/nowhere/cidrs")}, "regions_cidr_path: cannot read /nowhere/cidrs"),
        ({"geoip_path": Path("/nowhere/city.mmdb")}, "geoip_path needs region_locations"),
        (
            {"geoip_path": Path("/nowhere/city.mmdb"), "region_locations": ("a 0 0",)},
            "geoip_path: cannot read /nowhere/city.mmdb",
        ),
        ({"region_rtts": ("a b",)}, "region_rtts: each entry is two regions"),
        ({"trusted_proxies": ("proxy",)}, "trusted_proxies must be a CIDR"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        async with staged(tmp_path, **changes):
            pass
