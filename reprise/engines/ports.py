"""Loopback ports: free ones, and the same ones again after a restart where nobody took them."""

import contextlib
import json
import socket
from collections.abc import Sequence
from pathlib import Path

from reprise.errors import NotReady

LOOPBACK = "127.0.0.1"
PORT_MAX = 65_535


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError):
            return False
        return True


def free_ports(count: int) -> list[int]:
    """Different free ports. Another process may still take one before it is used: callers start, and try again."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [probe.getsockname()[1] for probe in probes]


def assign(names: Sequence[str], remembered: dict[str, int], port_base: int = 0) -> dict[str, int]:
    """A port for each name: the remembered one where it is free, else another free one.

    With `port_base` the ports are `port_base`, `port_base` + 1, ... in the order of names, and one that is taken is an error.
    """
    if port_base:
        return _in_order(names, port_base)
    kept = {name: remembered[name] for name in names if name in remembered and is_free(remembered[name])}
    fresh = [name for name in names if name not in kept]
    # Some free ports may be kept ones (nobody listens there yet): ask for enough to choose from.
    found = [port for port in free_ports(len(fresh) + len(kept)) if port not in kept.values()]
    return kept | dict(zip(fresh, found, strict=False))


def _in_order(names: Sequence[str], port_base: int) -> dict[str, int]:
    if not 1024 <= port_base <= PORT_MAX - len(names):
        raise NotReady(f"port base {port_base} is out of range: use 1024 to {PORT_MAX - len(names)}")
    wanted = {name: port_base + index for index, name in enumerate(names)}
    for name, port in wanted.items():
        if not is_free(port):
            raise NotReady(f"port {port} (for {name}) is in use: choose another --port-base, or leave it out")
    return wanted


def load(path: Path) -> dict[str, int]:
    """The ports of the last start; none when there was no start or the file is damaged."""
    try:
        value = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return {name: port for name, port in value.items() if isinstance(port, int)} if isinstance(value, dict) else {}
