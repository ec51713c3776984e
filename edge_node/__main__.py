"""Builds an edge from its settings and runs it: `python -m edge_node`."""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial

from edge_node.access import Gate
from edge_node.commands import Commands
from edge_node.express import Express
from edge_node.fills import UpstreamFills
from edge_node.http_door import PREFIX, HttpDoor, shown_path
from edge_node.load import LoadReports, SeenGrants, orca_report
from edge_node.meter import Meter
from edge_node.nic import Nic
from edge_node.nic import find as find_nic
from edge_node.node import Node, NodeConfig
from edge_node.orca_servicer import OrcaServicer
from edge_node.pacing import Pacing
from edge_node.prewarming import Prewarming
from edge_node.ram_hits import RamHits
from edge_node.reporting import BalancerLine
from edge_node.servicer import EdgeServicer, add_edge_service
from edge_node.settings import Settings
from edge_node.sources import Own, members
from edge_node.store import Store
from edge_node.tally import Tally
from edge_node.tokens import TokenMinter
from edge_node.upstream import Upstream
from edge_node.views import Views
from edge_node.web_door import PATH, WebDoor
from edge_node.workers.crew import Crew
from edge_node.workers.figures import EdgeRegistry
from edge_node.workers.listeners import open_listeners
from edge_node.workers.metrics import WorkerMetrics
from edge_node.workers.roll import Roll
from reprise import config
from reprise.balancer.v1.balancer_service_pb2 import Hello
from reprise.config import ConfigError, read_key, read_public_keys
from reprise.http_message import Response, Route, text_response
from reprise.ids import check_id
from reprise.metrics import LoopLag, render
from reprise.orca.v3.orca_service_pb2_grpc import add_OpenRcaServiceServicer_to_server
from reprise.rpc import RpcMetrics
from reprise.service import App, host_and_port, main
from reprise.streams import Streams

SERVICE = "edge_node"
WORKERS_MAX = 64
# From an operator's drain to the end of an edge that nobody listens to: time for every balancer to hear of it.
LAME_DUCK_S = 1.0


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """What the doors, the lines and the crew are built from."""

    settings: Settings
    node: Node
    store: Store
    gate: Gate
    tokens: TokenMinter
    hello: Hello
    nic: Nic
    lag: LoopLag
    registry: EdgeRegistry
    worker_metrics: WorkerMetrics


@asynccontextmanager
async def build(settings: Settings) -> AsyncIterator[App]:
    """The edge, built; its fills end when the context does."""
    edge_id = check_id(settings.edge_id, "edge_id")
    if not 1 <= settings.workers <= WORKERS_MAX:
        raise ConfigError(f"workers must be 1 to {WORKERS_MAX}, not {settings.workers}")
    nic = find_nic(settings.nic_interface, settings.nic_capacity_bps, settings.http_address)
    # Workers and balancers are told what was found.
    settings = replace(settings, nic_capacity_bps=nic.capacity_bps)
    registry = EdgeRegistry()
    key = read_key(settings.edge_key_path, "edge_key_path")
    keys = read_public_keys(settings.manifest_keys_path, "manifest_keys_path")
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
    async with asyncio.TaskGroup() as group:
        own = Own(edge_id, settings.nic_capacity_bps)
        node_config = NodeConfig(own, settings.origins, settings.stream_limit)
        node = Node(node_config, store, UpstreamFills(upstream, keys), group, registry)
        node.on_view = lambda view: store.homes.settle(edge_id, members(own, view.peers))
        parts = _Parts(
            settings=settings,
            node=node,
            store=store,
            gate=Gate(edge_id, key, node.sessions, registry),
            tokens=tokens,
            hello=_hello(settings),
            nic=nic,
            lag=LoopLag("edge"),
            registry=registry,
            worker_metrics=WorkerMetrics(registry),
        )
        await store.start()
        try:
            yield _app(parts) if settings.workers == 1 else _app_of_workers(parts)
        finally:
            node.stop()
    await upstream.close()
    await store.close()


def _hello(settings: Settings) -> Hello:
    return Hello(
        edge_id=settings.edge_id,
        region=check_id(settings.region, "region"),
        boot_id=secrets.token_urlsafe(12),
        nic_capacity_bps=settings.nic_capacity_bps,
        stream_limit=settings.stream_limit,
        zone=check_id(settings.zone, "zone") if settings.zone else "",
    )


def _app(parts: _Parts) -> App:
    """One process does everything."""
    rpc_metrics = RpcMetrics("edge", parts.registry)
    express = Express(parts.store.ram, parts.node.sessions, parts.node.metrics, parts.node.draining.is_set)
    pacing = Pacing(parts.settings.pacing_factor, parts.settings.pacing_burst_s)
    http = HttpDoor(parts.node, parts.gate, express, pacing)
    web = WebDoor(parts.node, parts.gate, express, pacing, rpc_metrics)
    routes = [Route(PREFIX, http, ("GET", "HEAD", "OPTIONS")), Route(PATH, web, ("POST",), takes=web.takes)]
    app = _app_without_http(parts, None, rpc_metrics)
    return replace(app, routes=routes)


def _app_of_workers(parts: _Parts) -> App:
    """Workers serve the HTTP port, this process all else; its own HTTP port is a free one of loopback, for its pages."""
    settings, metrics = parts.settings, parts.worker_metrics
    host, port = host_and_port(settings.http_address, "http_address")
    listeners = open_listeners(host, port, settings.workers)
    roll = Roll(parts.node, parts.gate, parts.registry, metrics, lambda path: _page(path, crew, app))
    environment = config.to_environment(settings, SERVICE)
    crew = Crew(parts.node, parts.store, roll, listeners, environment, metrics)
    app = _app_without_http(parts, crew, RpcMetrics("edge", parts.registry))
    return replace(app, settings=replace(settings, http_address="127.0.0.1:0"))


async def _page(path: str, crew: Crew, app: App) -> Response:
    """What a worker is asked for and this process knows."""
    if path == "/metrics":
        await crew.refresh()
        return render(app.registry)
    missing = app.ready()
    return text_response(503, missing) if missing else text_response(200, "ready")


def _app_without_http(parts: _Parts, crew: Crew | None, rpc_metrics: RpcMetrics) -> App:
    settings, node, hello = parts.settings, parts.node, parts.hello
    streams = Streams("edge", settings.stream_stall_s_max, parts.registry)
    servicer = EdgeServicer(node, parts.gate, streams, RamHits(node, parts.store))
    meter = Meter(node, parts.nic, parts.lag, crew.tally if crew else Tally, parts.registry)
    orca = OrcaServicer(lambda: orca_report(meter.load), node.draining, parts.registry)
    lines = _lines(parts, meter, crew)

    def on_listening(grpc_port: int, http_port: int) -> None:
        grpc_host, http_host = settings.grpc_address.rpartition(":")[0], settings.http_address.rpartition(":")[0]
        hello.grpc_address = settings.advertise_grpc or f"{grpc_host}:{grpc_port}"
        scheme = "https" if settings.tls_certificate_path else "http"
        hello.http_url = settings.advertise_http or f"{scheme}://{http_host}:{crew.port if crew else http_port}"

    def ready() -> str:
        if node.draining.is_set():
            return "draining"
        if settings.balancers and not any(line.connected for line in lines):
            return "no balancer has answered yet"
        return crew.missing() if crew else ""

    return App(
        name="edge",
        settings=settings,
        servicers=[(add_edge_service, servicer), (add_OpenRcaServiceServicer_to_server, orca)],
        registry=parts.registry,
        ready=ready,
        background=[
            parts.lag.run,
            streams.watch,
            meter.run,
            *([crew.run] if crew else []),
            *(line.run for line in lines),
        ],
        drain=node.drain,
        drain_s_max=lambda: node.drain_s_max,
        on_listening=on_listening,
        loop_lag=parts.lag,
        rpc_metrics=rpc_metrics,
        shown_path=shown_path,
    )


def _lines(parts: _Parts, meter: Meter, crew: Crew | None) -> list[BalancerLine]:
    settings, node = parts.settings, parts.node
    seen = SeenGrants(parts.gate)
    purge = crew.purge if crew else node.purge
    prewarming = Prewarming(node, parts.store, parts.registry)
    commands = Commands(node, prewarming, purge, partial(_begin_drain, node))
    views = Views()
    return [
        BalancerLine(
            address,
            lambda: parts.hello,
            node,
            parts.tokens,
            LoadReports(node, meter, parts.store.metrics.size_bytes),
            seen,
            commands,
            crew.refresh if crew else _nothing,
            views,
        )
        for address in settings.balancers
    ]


async def _nothing() -> None:
    """There are no other processes whose figures could be old."""


def _begin_drain(node: Node, deadline_s: float) -> None:
    """An operator's drain ends the process the way SIGTERM does: there is one way to stop, so it is well tried.

    Not at once: an edge without listeners would be gone before its answer, and whoever was just sent here would find nobody.
    """
    node.drain_s_max = deadline_s or None
    node.draining.set()
    asyncio.get_running_loop().call_later(LAME_DUCK_S, os.kill, os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main(SERVICE, Settings, build)
