"""Builds a worker of an edge and runs it; `python -m edge_node` starts it, with its settings in the environment.

Arguments: number, descriptor of its link, descriptor of its listening socket, process id of the node process.
"""

import asyncio
import ctypes
import gc
import os
import signal
import socket
import sys
from typing import cast

import uvloop
from prometheus_client import CollectorRegistry

from edge_node.access import Gate
from edge_node.express import Express
from edge_node.http_door import PREFIX, HttpDoor, shown_path
from edge_node.node import Node, NodeConfig
from edge_node.pacing import Pacing
from edge_node.ram import RamTier
from edge_node.servicer import EdgeServicer, add_edge_service
from edge_node.settings import Settings
from edge_node.sources import Own
from edge_node.web_door import PATH, WebDoor
from edge_node.workers.desk import Clerk, Desk
from edge_node.workers.errands import Errands
from edge_node.workers.lease import LeasedStore
from reprise import config, open_files, tracing
from reprise import log as logs
from reprise.access_log import AccessLog
from reprise.config import read_key
from reprise.errors import RepriseError
from reprise.grpc_web import Bridge, method_table
from reprise.http_message import Route, text_response
from reprise.http_server import HttpServer, Limits
from reprise.http_tls import Certificates
from reprise.metrics import LoopLag, process_collectors
from reprise.rpc import RpcMetrics
from reprise.service import Dispatcher
from reprise.streams import Streams

SERVICE = "edge_node"
GRACE_S = 1.0
_PR_SET_PDEATHSIG = 1


def _end_with(starter: int) -> None:
    """The kernel kills this process when its starter dies, however that dies."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != starter:  # it died before this line
        sys.exit(1)


async def _run(settings: Settings, link: socket.socket, listener: socket.socket) -> None:
    # Who stops the edge stops the node process, which tells us.
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    registry = CollectorRegistry()
    key = read_key(settings.edge_key_path, "edge_key_path")
    lag = LoopLag("edge")
    for collector in process_collectors("edge", lag):
        registry.register(collector)
    desk = Desk(link)
    store = LeasedStore(desk)
    errands = Errands(store, desk.send)
    async with asyncio.TaskGroup() as group:
        own = Own(settings.edge_id, settings.nic_capacity_bps)
        node = Node(NodeConfig(own, (), settings.stream_limit), store, errands, group, registry)
        gate = Gate(settings.edge_id, key, node.sessions, registry)
        clerk = Clerk(desk, node, store, errands, gate, lag, registry)
        desk.open(clerk.take, gate, node)
        streams = Streams("edge", settings.stream_stall_s_max, registry)
        background = [group.create_task(work()) for work in (lag.run, streams.watch)]
        server, bridge = _server(settings, node, store, gate, streams, desk, registry)
        server.listen(listener)
        gc.collect()
        gc.freeze()
        clerk.listening()
        await desk.stopped.wait()
        await server.stop(0 if desk.alone else GRACE_S)
        await bridge.stop()
        node.stop()
        for task in background:
            task.cancel()
    desk.close()


def _server(
    settings: Settings,
    node: Node,
    store: LeasedStore,
    gate: Gate,
    streams: Streams,
    desk: Desk,
    registry: CollectorRegistry,
) -> tuple[HttpServer, Bridge]:
    rpc_metrics = RpcMetrics("edge", registry)
    # What the lane asks of a RAM tier, the parts and their touches, leased RAM has too.
    express = Express(cast("RamTier", store.ram), node.sessions, node.metrics, node.draining.is_set)
    pacing = Pacing(settings.pacing_factor, settings.pacing_burst_s)
    http, web = HttpDoor(node, gate, express, pacing), WebDoor(node, gate, express, pacing, rpc_metrics)
    bridge = Bridge(method_table([(add_edge_service, EdgeServicer(node, gate, streams))]), rpc_metrics)
    routes = (
        Route(PREFIX, http, ("GET", "HEAD", "OPTIONS")),
        Route(PATH, web, ("POST",), takes=web.takes),
        Route("/healthz", lambda _request: text_response(200, "ok")),
        Route("/readyz", desk.page),
        Route("/metrics", desk.page),
    )
    certificates = None
    if settings.tls_certificate_path is not None and settings.tls_key_path is not None:
        certificates = Certificates(settings.tls_certificate_path, settings.tls_key_path)
    access_log = AccessLog(settings.access_log_path, shown_path) if settings.access_log_path else None
    server = HttpServer(
        Dispatcher(bridge, routes),
        limits=Limits(),
        name="edge",
        registry=registry,
        certificates=certificates,
        access_log=access_log,
    )
    return server, bridge


def main() -> None:
    """The body of the process."""
    number, link, listener, starter = map(int, sys.argv[1:])
    _end_with(starter)
    try:
        settings = config.load(Settings, SERVICE, None)
        logs.start(f"{SERVICE}.{number}", settings.log_format, settings.log_level)
        open_files.raise_limit()
        endpoint = settings.otlp_endpoint or os.environ.get(tracing.ENDPOINT_VARIABLE, "")
        with tracing.exporting(SERVICE, endpoint):
            uvloop.run(_run(settings, socket.socket(fileno=link), socket.socket(fileno=listener)))
    except RepriseError as error:
        sys.exit(f"{SERVICE}: worker {number}: {error}")


if __name__ == "__main__":
    main()
