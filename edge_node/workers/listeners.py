"""The listening sockets of an edge's workers: one each, all on one port, so that the kernel spreads connections over them.

The node process keeps every socket open for as long as it lives. So a worker that dies takes no connection along that nobody
has accepted yet: it waits in the socket's queue, and the worker that is started in its place is given the same socket.
(Without that, Linux would reset it, unless net.ipv4.tcp_migrate_req is 1.)
"""

import socket

from reprise.config import ConfigError
from reprise.http_server import BACKLOG


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` sockets on one port; 0 takes a free one. Raises ConfigError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bare = host.strip("[]")
    listeners: list[socket.socket] = []
    try:
        # Two edges on one port by mistake would both be given connections: so it must be free for one that does not share.
        socket.create_server((bare, port), family=family).close()
        for _ in range(count):
            one = socket.create_server((bare, port), family=family, backlog=BACKLOG, reuse_port=True)
            listeners.append(one)
            port = one.getsockname()[1]
    except OSError as error:
        for one in listeners:
            one.close()
        raise ConfigError(f"cannot listen on http_address {f'{host}:{port}'!r}: {error}") from None
    return listeners
