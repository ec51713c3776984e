"""A service as `__main__` runs it: ports, health, readiness, reflection, figures, drain, and a clean end."""

import asyncio
import http.client
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from prometheus_client import CollectorRegistry

from reprise import service
from reprise.catalog.v1.catalog_service_pb2 import SearchRequest, SearchResponse
from reprise.catalog.v1.catalog_service_pb2_grpc import CatalogServiceStub
from reprise.config import ConfigError
from reprise.http_message import Request, Response, Route, text_response
from reprise.metrics import LoopLag
from reprise.origin.v1.origin_service_pb2 import ReadChunksRequest, ReadChunksResponse
from reprise.service import App, Listening, ServiceSettings
from tests.reprise import toy

ROOT = Path(__file__).parents[2]
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING
WEB = {"content-type": "application/grpc-web+proto"}


def app(**changed: Any) -> App:
    values: dict[str, Any] = {
        "name": "toy",
        "settings": ServiceSettings(),
        "servicers": toy.servicers(),
        "registry": CollectorRegistry(),
        "loop_lag": LoopLag("toy"),
    }
    return App(**(values | changed))


@asynccontextmanager
async def channel_to(running: Listening) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{running.grpc_port}") as channel:
        yield channel


async def ask(
    running: Listening, path: str, method: str = "GET", body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[http.client.HTTPResponse, bytes]:
    """One HTTP request by the standard library's client."""

    def run() -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", running.http_port, timeout=20)
        try:
            connection.request(method, path, body or None, headers or {})
            response = connection.getresponse()
            return response, response.read()
        finally:
            connection.close()

    return await asyncio.to_thread(run)


async def health_of(running: Listening, name: str = "") -> int:
    async with channel_to(running) as channel:
        return (await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=name))).status


async def status_page(running: Listening, path: str) -> tuple[int, bytes]:
    response, body = await ask(running, path)
    return response.status, body.strip()


def framed(message: Any) -> bytes:
    body = message.SerializeToString()
    return struct.pack(">BI", 0, len(body)) + body


async def test_a_call_is_answered_on_both_ports() -> None:
    async with service.listening(app()) as running:
        async with channel_to(running) as channel:
            assert (await CatalogServiceStub(channel).Search(SearchRequest(query="q"))).next_cursor == "q"
        response, body = await ask(running, toy.SEARCH, "POST", framed(SearchRequest(query="q")), WEB)
    assert (response.status, response.getheader("content-type")) == (200, WEB["content-type"])
    assert body.startswith(framed(SearchResponse(next_cursor="q")))
    assert body.endswith(b"grpc-status: 0\r\n")


async def test_a_stream_comes_through_a_real_socket() -> None:
    async with service.listening(app()) as running:
        response, body = await ask(running, toy.READ_CHUNKS, "POST", framed(ReadChunksRequest(chunk_count=500)), WEB)
    assert response.getheader("transfer-encoding") == "chunked"
    expected = b"".join(framed(ReadChunksResponse(chunk=b"%d" % number)) for number in range(500))
    assert body == expected + b"\x80\x00\x00\x00\x10grpc-status: 0\r\n"


async def test_the_head_of_a_stream_arrives_before_its_first_message() -> None:
    go = asyncio.Event()

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        await go.wait()
        yield ReadChunksResponse(chunk=b"late")

    async with service.listening(app(servicers=toy.servicers(read=read))) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
        body = framed(ReadChunksRequest())
        head = f"POST {toy.READ_CHUNKS} HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc-web\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(20):
            assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
            go.set()
            assert b"late" in await reader.readuntil(b"late")
        writer.close()


async def test_a_listener_that_hangs_up_ends_the_method() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        started.set()
        try:
            await asyncio.Event().wait()
            yield ReadChunksResponse()
        finally:
            ended.set()

    async with service.listening(app(servicers=toy.servicers(read=read))) as running:
        _, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
        body = framed(ReadChunksRequest())
        head = f"POST {toy.READ_CHUNKS} HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc-web\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        async with asyncio.timeout(20):
            await started.wait()
            writer.close()
            await ended.wait()


async def test_errors_over_the_wire_carry_status_and_message() -> None:
    async with service.listening(app()) as running:
        refused, _ = await ask(running, toy.SEARCH, "POST", b"garbage!", WEB)
        other_type, _ = await ask(running, toy.SEARCH, "POST", b"{}", {"content-type": "application/json"})
        get, _ = await ask(running, toy.SEARCH)
        too_large, _ = await ask(running, toy.SEARCH, "POST", framed(SearchRequest(query="x" * 65536)), WEB)
    assert (refused.status, refused.getheader("grpc-status")) == (200, "3")
    assert (other_type.status, get.status) == (415, 405)
    assert (too_large.status, too_large.getheader("grpc-status")) == (200, "8")


async def test_health_follows_readiness_on_all_three_doors() -> None:
    missing = ["the database does not answer"]
    async with service.listening(app(ready=lambda: missing[0])) as running, asyncio.TaskGroup() as group:
        watch = group.create_task(running.watch_ready())
        async with channel_to(running) as channel:
            stream = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            async with asyncio.timeout(20):
                while (await stream.read()).status != NOT_SERVING:
                    pass
                assert await status_page(running, "/readyz") == (503, b"the database does not answer")
                assert await status_page(running, "/healthz") == (200, b"ok")
                missing[0] = ""
                while (await stream.read()).status != SERVING:
                    pass
            stream.cancel()
        assert await status_page(running, "/readyz") == (200, b"ready")
        assert await health_of(running, "reprise.catalog.v1.CatalogService") == SERVING
        watch.cancel()


async def test_health_is_served_over_grpc_web_too() -> None:
    async with service.listening(app()) as running:
        path = "/grpc.health.v1.Health/Check"
        _, body = await ask(running, path, "POST", framed(health_pb2.HealthCheckRequest()), WEB)
    assert body.startswith(framed(health_pb2.HealthCheckResponse(status=SERVING)))


async def test_reflection_lists_every_service() -> None:
    async def requests() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with service.listening(app()) as running, channel_to(running) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = [answer async for answer in stub.ServerReflectionInfo(requests())]
    names = {listed.name for listed in answers[0].list_services_response.service}
    assert {"reprise.catalog.v1.CatalogService", "grpc.health.v1.Health"} <= names
    assert "grpc.reflection.v1alpha.ServerReflection" in names


async def test_the_metrics_page_counts_calls_of_both_doors() -> None:
    async with service.listening(app()) as running:
        async with channel_to(running) as channel:
            await CatalogServiceStub(channel).Search(SearchRequest())
        await ask(running, toy.SEARCH, "POST", framed(SearchRequest()), WEB)
        status, page = await status_page(running, "/metrics")
    assert status == 200
    for door in ("grpc", "grpc-web"):
        assert f'reprise_toy_rpc_seconds_count{{code="OK",door="{door}",method="Search"}} 1.0'.encode() in page
    for name in (
        b"reprise_toy_process_cpu_seconds_total",
        b"reprise_toy_loop_lag_seconds",
        b"reprise_toy_http_accepted",
    ):
        assert name in page


async def test_a_services_own_routes_are_served_and_other_paths_are_not() -> None:
    def cover(request: Request) -> Response:
        return text_response(200, request.path)

    routes = (Route("/covers/", cover), Route("/", lambda _request: text_response(200, "home")))
    async with service.listening(app(routes=routes)) as running:
        assert await status_page(running, "/covers/abc") == (200, b"/covers/abc")
        assert await status_page(running, "/") == (200, b"home")
        assert (await status_page(running, "/nope"))[0] == 404
        posted, _ = await ask(running, "/covers/abc", "POST", b"x")
        assert (posted.status, posted.getheader("allow")) == (405, "GET, HEAD")


def taken_port() -> tuple[socket.socket, str]:
    blocker = socket.create_server(("127.0.0.1", 0))
    return blocker, f"127.0.0.1:{blocker.getsockname()[1]}"


@pytest.mark.parametrize("field", ["grpc_address", "http_address"])
async def test_an_address_in_use_is_named(field: str) -> None:
    blocker, address = taken_port()
    with blocker, pytest.raises(ConfigError, match=f"{field} '{address}'"):
        async with service.listening(app(settings=ServiceSettings(**{field: address}))):
            pass


@pytest.mark.parametrize("address", ["nonsense", ":1", "127.0.0.1:http", "127.0.0.1:99999", "127.0.0.1:-1", ""])
@pytest.mark.parametrize("field", ["grpc_address", "http_address"])
async def test_what_is_no_address_is_named(field: str, address: str) -> None:
    with pytest.raises(ConfigError, match=f"{field} must be \"host:port\", not '{address}'"):
        async with service.listening(app(settings=ServiceSettings(**{field: address}))):
            pass


async def run_until(ready: asyncio.Event, built: App, act: Callable[[], None]) -> None:
    """Runs `built`, calls `act` once `ready` is set, then asks it to stop."""
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(service.run(built, stop))
        await ready.wait()
        act()
        stop.set()


async def test_background_work_runs_from_start_to_stop() -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    await run_until(started, app(background=[work]), lambda: None)
    assert ended.is_set()


async def test_background_work_that_loses_a_cancellation_is_cancelled_again() -> None:
    started, cancellations = asyncio.Event(), []

    async def work() -> None:
        started.set()
        while len(cancellations) < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancellations.append(1)

    await run_until(started, app(background=[work]), lambda: None)
    assert len(cancellations) == 2


async def test_a_background_failure_stops_the_service_and_comes_out() -> None:
    async def work() -> None:
        raise OSError("the disk is gone")

    with pytest.raises(ExceptionGroup) as stopped:
        async with asyncio.timeout(30):
            await service.run(app(background=[work]), asyncio.Event())
    assert [str(error) for error in stopped.value.exceptions] == ["the disk is gone"]


async def test_a_drain_says_no_to_new_work_and_waits_for_the_old() -> None:
    seen: list[object] = []
    draining, finish = asyncio.Event(), asyncio.Event()

    async def drain() -> None:
        draining.set()
        await finish.wait()

    async with service.listening(app(drain=drain)) as running, asyncio.TaskGroup() as group:
        group.create_task(running.drain())
        await draining.wait()
        seen += [
            await health_of(running),
            await status_page(running, "/readyz"),
            await status_page(running, "/healthz"),
        ]
        async with channel_to(running) as channel:
            seen.append((await CatalogServiceStub(channel).Search(SearchRequest(query="still"))).next_cursor)
        finish.set()
    assert seen == [NOT_SERVING, (503, b"draining"), (200, b"ok"), "still"]


async def test_a_drain_ends_at_its_deadline() -> None:
    listening = asyncio.Event()

    async def drain() -> None:
        await asyncio.Event().wait()

    settings = ServiceSettings(drain_deadline_s=0.05)
    built = app(drain=drain, settings=settings, on_listening=lambda *_: listening.set())
    await run_until(listening, built, lambda: None)


async def test_stop_waits_until_the_method_of_a_cut_stream_has_ended() -> None:
    ended = asyncio.Event()

    async def read(request: ReadChunksRequest, context: Any) -> AsyncIterator[ReadChunksResponse]:
        try:
            yield ReadChunksResponse(chunk=b"one")
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.1)  # what it holds takes a moment to give back
            ended.set()

    async with service.listening(app(servicers=toy.servicers(read=read))) as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
        body = framed(ReadChunksRequest())
        head = f"POST {toy.READ_CHUNKS} HTTP/1.1\r\nHost: h\r\nContent-Type: application/grpc-web\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readuntil(b"one")
    assert ended.is_set()
    writer.close()
