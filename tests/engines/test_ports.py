"""Ports: the same ones again where they are free, others where they are not."""

import socket

import pytest

from reprise.engines.ports import assign, free_ports, is_free, load
from reprise.errors import NotReady


def test_free_ports_are_free_and_different() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_remembered_ports_are_kept_where_they_are_free() -> None:
    first = assign(["a", "b", "c"], {})
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", first["b"]))
        taken.listen()
        second = assign(["a", "b", "c", "d"], first)
    assert (second["a"], second["c"]) == (first["a"], first["c"])
    assert second["b"] != first["b"]
    assert len(set(second.values())) == 4


def test_a_port_base_gives_ports_in_order_and_refuses_a_taken_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(NotReady, match=f"port {port} .*--port-base"):
            assign(["a"], {}, port)
    assert assign(["a"], {}, port) == {"a": port}


@pytest.mark.parametrize("base", [1, 1023, 65_535, 99_999])
def test_a_port_base_out_of_range_is_refused(base: int) -> None:
    with pytest.raises(NotReady, match="out of range"):
        assign(["a", "b"], {}, base)


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"a": "x"}'])
def test_a_damaged_memory_is_no_memory(tmp_path, content: str) -> None:
    (tmp_path / "ports.json").write_text(content)
    assert load(tmp_path / "ports.json") == {}
    assert load(tmp_path / "none.json") == {}
