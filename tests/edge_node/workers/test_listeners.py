"""One port for several listening sockets, and never for two edges by mistake."""

import contextlib
import socket

import pytest

from edge_node.workers.listeners import open_listeners
from reprise.config import ConfigError


@contextlib.contextmanager
def opened(port: int, count: int):  # type: ignore[no-untyped-def]
    listeners = open_listeners("127.0.0.1", port, count)
    try:
        yield listeners
    finally:
        for one in listeners:
            one.close()


def test_all_of_them_listen_on_one_free_port_and_connections_are_spread_over_them() -> None:
    with opened(0, 3) as listeners, contextlib.ExitStack() as stack:
        (port,) = {one.getsockname()[1] for one in listeners}
        for _ in range(60):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        for one in listeners:
            one.setblocking(False)
            stack.enter_context(one.accept()[0])


def test_a_port_that_another_edge_shares_among_its_workers_is_refused_by_name() -> None:
    with opened(0, 2) as listeners:
        port = listeners[0].getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on http_address '127.0.0.1:{port}'"):
            open_listeners("127.0.0.1", port, 2)


def test_a_connection_in_the_queue_outlives_the_process_that_should_have_taken_it() -> None:
    with opened(0, 1) as listeners:
        of_worker = listeners[0].dup()
        client = socket.create_connection(listeners[0].getsockname())
        client.sendall(b"hello")
        of_worker.close()
        taken, _ = listeners[0].accept()
        assert taken.recv(5) == b"hello"
        taken.close()
        client.close()
