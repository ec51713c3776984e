"""Builds an edge from its settings and runs it: `python -m edge_node`."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from prometheus_client import CollectorRegistry

from edge_node.access import Gate
from edge_node.commands import Commands
from edge_node.express import Express
from edge_node.http_door import PREFIX, HttpDoor
from edge_node.load import LoadReports, SeenGrants, TransmitRate, interface_counter
from edge_node.node import Node, NodeConfig
from edge_node.reporting import BalancerLine
from edge_node.servicer import EdgeServicer, add_edge_service
from edge_node.settings import Settings
from edge_node.store import Store
from edge_node.tokens import TokenMinter
from edge_node.upstream import Upstream
from edge_node.web_door import PATH, WebDoor
from reprise import manifests
from reprise.balancer.v1.balancer_service_pb2 import Hello
from reprise.config import ConfigError, read_key, read_secret
from reprise.http_message import Route
from reprise.ids import check_id
from reprise.metrics import LoopLag
from reprise.rpc import RpcMetrics
from reprise.service import App, main
from reprise.streams import Streams

# From an operator's drain to the end of an edge that nobody listens to: time for every balancer to hear of it.
LAME_DUCK_S = 1.0


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The edge, built; its fills end when the context does."""
    edge_id = check_id(settings.edge_id, "edge_id")
    registry = CollectorRegistry()
    key = read_key(settings.edge_key_path, "edge_key_path")
    keys = _manifest_keys(settings)
    store = Store.open(
        settings.cache_dir,
        settings.ram_bytes_max,
        settings.disk_bytes_max,
        keys,
        registry,
        settings.scrub_bytes_per_s,
    )
    tokens = TokenMinter(edge_id, key)
    upstream = Upstream(tokens, item_s_max=settings.source_item_s_max)
    gate = Gate(edge_id, key, registry)
    lag = LoopLag("edge")
    hello = Hello(
        edge_id=edge_id,
        region=check_id(settings.region, "region"),
        boot_id=secrets.token_urlsafe(12),
        nic_capacity_bps=settings.nic_capacity_bps,
        stream_limit=settings.stream_limit,
    )
    async with asyncio.TaskGroup() as group:
        config = NodeConfig(edge_id, settings.origins, settings.stream_limit)
        node = Node(config, store, upstream, keys, group, registry)
        lines = _lines(settings, node, gate, hello, tokens, lag)
        await store.start()
        try:
            yield _app(settings, node, gate, lines, hello, lag, registry)
        finally:
            node.stop()
    await upstream.close()
    await store.close()


def _manifest_keys(settings: Settings) -> Mapping[str, Ed25519PublicKey]:
    try:
        keys = manifests.parse_public_keys(read_secret(settings.manifest_keys_path, "manifest_keys_path"))
    except ValueError:
        keys = {}
    if not keys:
        raise ConfigError(
            f"manifest_keys_path: {settings.manifest_keys_path} must hold keys of 64 hex digits, one a line"
        )
    return keys


def _lines(
    settings: Settings, node: Node, gate: Gate, hello: Hello, tokens: TokenMinter, lag: LoopLag
) -> list[BalancerLine]:
    seen = SeenGrants(gate)
    commands = Commands(node, partial(_begin_drain, node))
    if settings.nic_interface:
        counter = interface_counter(settings.nic_interface)
    else:
        counter = lambda: sum(node.metrics.sent_bytes.values())  # noqa: E731
    return [
        BalancerLine(
            address, lambda: hello, node, tokens, LoadReports(node, TransmitRate(counter), lag), seen, commands
        )
        for address in settings.balancers
    ]


def _begin_drain(node: Node, deadline_s: float) -> None:
    """An operator's drain ends the process the way SIGTERM does: there is one way to stop, so it is well tried.

    Not at once: an edge without listeners would be gone before its answer, and whoever was just sent here would find nobody.
    """
    node.drain_s_max = deadline_s or None
    node.draining.set()
    asyncio.get_running_loop().call_later(LAME_DUCK_S, os.kill, os.getpid(), signal.SIGTERM)


def _app(
    settings: Settings,
    node: Node,
    gate: Gate,
    lines: list[BalancerLine],
    hello: Hello,
    lag: LoopLag,
    registry: CollectorRegistry,
) -> App:
    rpc_metrics = RpcMetrics("edge", registry)
    streams = Streams("edge", settings.stream_stall_s_max, registry)
    express = Express(node.store.ram, node.metrics, node.draining.is_set)
    http, web = HttpDoor(node, gate, express), WebDoor(node, gate, express, rpc_metrics)

    def on_listening(grpc_port: int, http_port: int) -> None:
        grpc_host, http_host = settings.grpc_address.rpartition(":")[0], settings.http_address.rpartition(":")[0]
        hello.grpc_address = settings.advertise_grpc or f"{grpc_host}:{grpc_port}"
        scheme = "https" if settings.tls_certificate_path else "http"
        hello.http_url = settings.advertise_http or f"{scheme}://{http_host}:{http_port}"

    def ready() -> str:
        if node.draining.is_set():
            return "draining"
        if settings.balancers and not any(line.connected for line in lines):
            return "no balancer has answered yet"
        return ""

    return App(
        name="edge",
        settings=settings,
        servicers=[(add_edge_service, EdgeServicer(node, gate, streams))],
        routes=[
            Route(PREFIX, http, ("GET", "HEAD", "OPTIONS")),
            Route(PATH, web, ("POST",), takes=web.takes),
        ],
        registry=registry,
        ready=ready,
        background=[lag.run, streams.watch, *(line.run for line in lines)],
        drain=node.drain,
        drain_s_max=lambda: node.drain_s_max,
        on_listening=on_listening,
        loop_lag=lag,
        rpc_metrics=rpc_metrics,
    )


if __name__ == "__main__":
    main("edge_node", Settings, build)
