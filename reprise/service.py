"""Runs one service: gRPC and HTTP ports, health, readiness, metrics, background work, drain on SIGTERM, clean stop.

Everything that a service does besides its own subject happens here, once, so the four `__main__.py` only build objects.
"""

import argparse
import asyncio
import gc
import os
import re
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc
import uvloop
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_reflection.v1alpha import reflection
from prometheus_client import CollectorRegistry

from reprise import config, heap, open_files, rpc, rpc_tls, tracing
from reprise import log as logs
from reprise.access_log import AccessLog
from reprise.errors import RepriseError
from reprise.grpc_web import Bridge, method_table
from reprise.http_message import Answer, Handler, ReadyResponse, Request, Response, Route, text_response
from reprise.http_server import HttpServer, Limits
from reprise.http_tls import Certificates
from reprise.metrics import LoopLag, process_collectors, render
from reprise.rpc_tls import GrpcCertificate, reload_counter

log = logs.get_logger()
READY_POLL_S = 0.2
CANCEL_AGAIN_S = 0.5


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """What every service is told. Addresses are "host:port"; port 0 takes a free one."""

    grpc_address: str = "127.0.0.1:0"
    http_address: str = "127.0.0.1:0"
    log_format: str = "json"
    log_level: str = "info"
    otlp_endpoint: str = ""
    drain_deadline_s: float = 30.0
    # PEM files; with both the HTTP and gRPC ports speak TLS, and take new files in while they run.
    tls_certificate_path: Path | None = None
    tls_key_path: Path | None = None
    # PEM file; with it every gRPC call to others is by TLS, and only to those whom a CA in it vouches for.
    tls_ca_path: Path | None = None
    # One line per HTTP response; none without it.
    access_log_path: Path | None = None


@dataclass(kw_only=True)
class App:
    """A service, built but not yet listening."""

    name: str
    settings: ServiceSettings
    # (add_XServicer_to_server, servicer) pairs.
    servicers: Sequence[tuple[Callable[[Any, Any], None], object]]
    registry: CollectorRegistry
    routes: Sequence[Route] = ()
    # "" when ready, else what is missing.
    ready: Callable[[], str] = lambda: ""
    # Each runs from start to stop; an exception in one stops the service.
    background: Sequence[Callable[[], Coroutine[Any, Any, None]]] = ()
    # Awaited on SIGTERM before the ports close; returns when nothing is left to serve.
    drain: Callable[[], Awaitable[None]] | None = None
    # Seconds that this may take, where somebody said otherwise than the settings; None leaves it to them.
    drain_s_max: Callable[[], float | None] = lambda: None
    # Told the bound ports before readiness: (grpc_port, http_port).
    on_listening: Callable[[int, int], None] | None = None
    limits: Limits = field(default_factory=Limits)
    loop_lag: LoopLag | None = None
    # Given by a service that answers RPCs outside of its servicers too, so that all are counted in one place.
    rpc_metrics: rpc.RpcMetrics | None = None
    # A request's path as the access log may show it: without secrets.
    shown_path: Callable[[str], str] = str


S = TypeVar("S", bound=ServiceSettings)


def main(name: str, settings_class: type[S], build: Callable[[S], AbstractAsyncContextManager[App]]) -> None:
    """The body of a service's `__main__.py`: reads settings, builds the App, runs it until SIGTERM or SIGINT."""
    parser = argparse.ArgumentParser(prog=name, description=f"Reprise {name}. Settings: docs/configuration.md.")
    parser.add_argument(
        "--config", type=Path, help="TOML file; REPRISE_<SERVICE>_<FIELD> in the environment wins over it"
    )
    arguments = parser.parse_args()
    try:
        settings = config.load(settings_class, name, arguments.config)
        logs.start(name, settings.log_format, settings.log_level)
        open_files.raise_limit()
        heap.keep_freed()
        endpoint = settings.otlp_endpoint or os.environ.get(tracing.ENDPOINT_VARIABLE, "")
        with tracing.exporting(name, endpoint), rpc_tls.trusting(settings.tls_ca_path):
            uvloop.run(_build_and_run(build, settings))
    except RepriseError as error:
        sys.exit(f"{name}: {error}")


async def _build_and_run(build: Callable[[S], AbstractAsyncContextManager[App]], settings: S) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with build(settings) as app:
        # What is built once lives as long as the process: the collector need not look at it again and again. Nor once: it would
        # find a few hundred objects in a tenth of the time that the start takes.
        gc.freeze()
        await run(app, stop)


async def run(app: App, stop: asyncio.Event) -> None:
    """Serves `app` until `stop` is set, then drains and closes. Raises what a background task raised."""
    async with listening(app) as service, asyncio.TaskGroup() as group:
        tasks = [group.create_task(work(), name=f"{app.name}.{index}") for index, work in enumerate(app.background)]
        tasks.append(group.create_task(service.watch_ready(), name=f"{app.name}.ready"))
        await stop.wait()
        log.info("stopping")
        await service.drain()
        await end(tasks)


async def end(tasks: Sequence["asyncio.Task[None]"]) -> None:
    """Cancels background work until it has ended.

    Once is not enough: `asyncio.wait_for`, with which the Valkey client writes, loses a cancellation that comes in the same
    turn as the end of what it waits for (CPython gh-86296, fixed in 3.12).
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_S)


async def contained(work: Coroutine[Any, Any, None], name: str) -> None:
    """Runs one piece of work of many: a stray exception is logged and ends it alone, not the service."""
    try:
        await work
    except Exception as error:
        log.error("task_failed", task=name, exc_info=error)


class Listening:
    """The ports of a running service."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._tables = method_table(app.servicers)
        self._rpc_metrics = app.rpc_metrics or rpc.RpcMetrics(app.name, app.registry)
        self._health = HealthServicer()
        self._draining = False
        health_table = method_table([(health_pb2_grpc.add_HealthServicer_to_server, self._health)])
        self._bridge = Bridge({**self._tables, **health_table}, self._rpc_metrics)
        self.http = HttpServer(
            self._handler(),
            limits=app.limits,
            name=app.name,
            registry=app.registry,
            certificates=_certificates(app.settings),
            access_log=_access_log(app),
        )
        self._certificate_reloads = reload_counter(app.name, app.registry)
        self.grpc = rpc.server(self._rpc_metrics)
        self.grpc_port = 0
        self.http_port = 0

    async def start(self) -> None:
        for add, servicer in (*self._app.servicers, (health_pb2_grpc.add_HealthServicer_to_server, self._health)):
            add(servicer, self.grpc)
        names = (*self._tables, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self.grpc)
        self.grpc_port = _bind(self.grpc, self._app.settings.grpc_address, self._grpc_credentials())
        host, port = host_and_port(self._app.settings.http_address, "http_address")
        try:
            self.http_port = self.http.start(host, port)
        except OSError as error:
            raise config.ConfigError(
                f"cannot listen on http_address {self._app.settings.http_address!r}: {error}"
            ) from None
        await self.grpc.start()
        if self._app.on_listening:
            self._app.on_listening(self.grpc_port, self.http_port)
        log.info("listening", grpc_port=self.grpc_port, http_port=self.http_port)

    def _grpc_credentials(self) -> grpc.ServerCredentials | None:
        paths = _certificate_paths(self._app.settings)
        return GrpcCertificate(*paths, self._certificate_reloads).credentials() if paths else None

    async def watch_ready(self) -> None:
        """Keeps the gRPC health status equal to `ready`."""
        last: bool | None = None
        while True:
            missing = self.not_ready()
            if (missing == "") != last:
                last = missing == ""
                log.info("ready" if last else "not_ready", missing=missing)
                await self._set_health(last)
            await asyncio.sleep(READY_POLL_S)

    def not_ready(self) -> str:
        """What is missing for this service to take work; empty when nothing is."""
        return "draining" if self._draining else self._app.ready()

    async def drain(self) -> None:
        """Lame duck: health says no, running work goes on until done or the deadline."""
        self._draining = True
        await self._set_health(False)
        if self._app.drain is None:
            return
        deadline_s = self._app.drain_s_max() or self._app.settings.drain_deadline_s
        try:
            async with asyncio.timeout(deadline_s):
                await self._app.drain()
        except TimeoutError:
            log.warning("drain_deadline", deadline_s=deadline_s)

    async def stop(self) -> None:
        await self.http.stop(grace_s=1.0)
        await self._bridge.stop()
        await self.grpc.stop(1.0)

    async def _set_health(self, serving: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self._tables):
            await self._health.set(name, status)

    def _handler(self) -> Handler:
        routes = (
            Route("/healthz", lambda _request: text_response(200, "ok")),
            Route("/readyz", self._readyz),
            Route("/metrics", lambda _request: render(self._app.registry)),
            *self._app.routes,
        )
        return Dispatcher(self._bridge, routes)

    def _readyz(self, _request: Request) -> Response:
        missing = self.not_ready()
        return text_response(503, missing) if missing else text_response(200, "ready")


class Dispatcher:
    """Sends a request to the gRPC-web bridge or to the first route that fits."""

    def __init__(self, bridge: Bridge, routes: Sequence[Route]) -> None:
        self._bridge = bridge
        self._exact = {route.prefix: route for route in routes if not route.prefix.endswith("/") or route.prefix == "/"}
        self._prefixed = [route for route in routes if route.prefix.endswith("/") and route.prefix != "/"]

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        route = self._exact.get(request.path) or self._by_prefix(request.path)
        if route is not None and route.fits(request):
            return _in_span(route, request) if tracing.enabled() else route.handler(request)
        if self._bridge.takes(request):
            return self._bridge.handle(request)
        if route is None:
            return text_response(404, f"no such page: {request.path[:200]}")
        return text_response(405, f"{request.method} is not for this page", (("allow", ", ".join(route.methods)),))

    def _by_prefix(self, path: str) -> Route | None:
        for route in self._prefixed:
            if path.startswith(route.prefix):
                return route
        return None


async def _in_span(route: Route, request: Request) -> Answer:
    """The caller's trace goes on in what the handler starts. Named by the route: paths carry grants."""
    with tracing.server_span(f"{request.method} {route.prefix}", request.headers.items()):
        answer = route.handler(request)
        return answer if isinstance(answer, Response | ReadyResponse) else await answer


@asynccontextmanager
async def listening(app: App) -> AsyncIterator[Listening]:
    """The app's ports, open inside the context."""
    service = Listening(app)
    for collector in process_collectors(app.name, app.loop_lag):
        app.registry.register(collector)
    try:
        await service.start()
        yield service
    finally:
        await service.stop()


def host_and_port(address: str, field: str) -> tuple[str, int]:
    """The two of "host:port". Raises ConfigError with the setting's name."""
    host, _, port = address.rpartition(":")
    if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        raise config.ConfigError(f'{field} must be "host:port", not {address!r}')
    return host, int(port)


def _certificate_paths(settings: ServiceSettings) -> tuple[Path, Path] | None:
    certificate, key = settings.tls_certificate_path, settings.tls_key_path
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise config.ConfigError("tls_certificate_path and tls_key_path go together: set both or neither")
    return certificate, key


def _certificates(settings: ServiceSettings) -> Certificates | None:
    paths = _certificate_paths(settings)
    return Certificates(*paths) if paths else None


def _access_log(app: App) -> AccessLog | None:
    path = app.settings.access_log_path
    return None if path is None else AccessLog(path, app.shown_path)


def _bind(server: grpc.aio.Server, address: str, credentials: grpc.ServerCredentials | None) -> int:
    host_and_port(address, "grpc_address")
    try:
        port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    except RuntimeError:
        port = 0
    if port == 0:
        raise config.ConfigError(
            f"cannot listen on grpc_address {address!r}: in use, or not an address of this machine"
        )
    return port
