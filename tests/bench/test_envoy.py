"""Envoy is a yardstick: whoever has it gets the row, with the bytes checked; whoever has not, one line on how to get it."""

import importlib
from pathlib import Path

import pytest

from bench import envoy
from bench.asks import make_asks, played, web_bytes, web_messages
from bench.load import LoadFailed
from bench.servers import Servers
from bench.songs import make_songs
from bench.wrk import exchange

SONG_BYTES = 300_000


@pytest.mark.skipif(envoy.envoy_program() is None, reason="needs Envoy: pip install -e '.[bench]'")
@pytest.mark.parametrize("tls", [False, True])
def test_envoys_stream_is_the_song(tmp_path: Path, tls: bool) -> None:
    with Servers(tmp_path) as servers:
        server = servers.envoy(envoy.envoy_program() or "", servers.bare(1, SONG_BYTES), tls=tls)
        (ask,) = make_asks(make_songs(1, SONG_BYTES), "nobody", 0, 1)
        answer = exchange(server.http_port, web_bytes(ask), tls=tls)
        assert played(web_messages(answer.body)) == ask.wanted
        assert len(server.pids) == 2, "the server behind it counts as Envoy's"


def test_a_stream_that_ends_badly_is_not_taken_for_a_song() -> None:
    trailers = b"grpc-status: 14\r\n"
    body = b"\x00\x00\x00\x00\x02\x0a\x00" + b"\x80" + len(trailers).to_bytes(4, "big") + trailers
    with pytest.raises(LoadFailed, match="grpc-status: 14"):
        list(web_messages(body))


def test_without_the_wheel_envoy_is_looked_for_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    monkeypatch.setenv("PATH", "")
    assert envoy.envoy_program() is None
