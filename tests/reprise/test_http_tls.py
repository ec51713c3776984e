"""The HTTP server under TLS 1.3: the same bytes, slow readers, replaced certificates, and peers that speak something else."""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from reprise.config import ConfigError
from reprise.http_message import Piece, ReadyResponse, Request, Response, text_response
from reprise.http_server import HttpServer, Limits
from reprise.http_tls import Certificates
from tests.reprise.certificates import write_certificate
from tests.reprise.test_http_server import DATA, FileBody, dechunk, get, parse


class Served:
    """A TLS server with a file of DATA."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "data"
        path.write_bytes(DATA)
        self.fd = os.open(path, os.O_RDONLY)
        self.certificates = Certificates(*write_certificate(folder, "first"))
        self.server = HttpServer(
            self._handle, limits=Limits(), name="test", registry=CollectorRegistry(), certificates=self.certificates
        )
        self.port = self.server.start("127.0.0.1", 0)

    def _handle(self, request: Request) -> Response | ReadyResponse:
        if request.path == "/file":
            return ReadyResponse(200, b"", len(DATA), [], Piece(b"", self.fd, 0, len(DATA)))
        if request.path == "/chunked":
            return Response(200, (), FileBody(self.fd, None))
        return text_response(200, f"{request.method} {len(request.body)}")

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust(), limit=8 << 20)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.folder / "tls.crt"))

    async def talk(self, sent: bytes) -> bytes:
        reader, writer = await self.connect()
        writer.write(sent)
        try:
            return await asyncio.wait_for(reader.read(), 10)
        finally:
            writer.close()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Served]:
    running = Served(tmp_path)
    yield running
    await running.server.stop(0.5)
    os.close(running.fd)
    assert not running.server.connections


async def test_bytes_come_whole_and_the_end_is_a_close_notify(served: Served) -> None:
    # asyncio's reader raises at an end without close_notify, so a plain read proves that it came.
    assert parse(await served.talk(get("/file", "Connection: close")))[2] == DATA
    chunked = await served.talk(get("/chunked") + get("/end", "Connection: close"))
    first, _, second = chunked.rpartition(b"HTTP/1.1 200")
    assert dechunk(parse(first)[2]) == DATA
    assert second.endswith(b"GET 0\n")


async def test_a_request_in_one_record_of_many_reads_is_read_whole(served: Served) -> None:
    body = b"x" * 60_000
    request = get("/", f"Content-Length: {len(body)}", "Connection: close", method="POST") + body
    assert (await served.talk(request)).endswith(b"POST 60000\n")


async def test_a_slow_reader_gets_every_byte(served: Served) -> None:
    def read_slowly() -> bytes:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        plain.connect(("127.0.0.1", served.port))
        with served.trust().wrap_socket(plain, server_hostname="127.0.0.1") as connection:
            connection.sendall(get("/file", "Connection: close"))
            heard = bytearray()
            while part := connection.recv(3000):
                heard += part
        return bytes(heard)

    assert parse(await asyncio.to_thread(read_slowly))[2] == DATA


async def test_a_new_certificate_is_taken_in_while_old_connections_go_on(served: Served) -> None:
    old_reader, old_writer = await served.connect()
    write_certificate(served.folder, "second")
    served.certificates.refresh()
    assert served.certificates.reloads == 1
    _, writer = await served.connect()
    assert writer.get_extra_info("peercert")["subject"][0][0] == ("commonName", "second")
    old_writer.write(get("/", "Connection: close"))
    assert (await asyncio.wait_for(old_reader.read(), 5)).endswith(b"GET 0\n")
    for one in (writer, old_writer):
        one.close()


async def test_a_broken_certificate_leaves_the_old_one_in_use(served: Served) -> None:
    trusted = served.trust()
    (served.folder / "tls.crt").write_text("not a certificate")
    served.certificates.refresh()
    assert (served.certificates.reloads, served.certificates.failures) == (0, 1)
    _, writer = await asyncio.open_connection("127.0.0.1", served.port, ssl=trusted)
    writer.close()


async def test_what_is_no_tls_or_too_old_ends_that_connection_only(served: Served) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", served.port)
    writer.write(get("/"))
    heard = b""
    with contextlib.suppress(ConnectionResetError):
        heard = await asyncio.wait_for(reader.read(), 5)
    assert b"HTTP" not in heard
    writer.close()
    old = served.trust()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError):
        await asyncio.open_connection("127.0.0.1", served.port, ssl=old)
    assert (await served.talk(get("/", "Connection: close"))).endswith(b"GET 0\n")


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "x")
    certificate.write_text("nonsense")
    with pytest.raises(ConfigError, match=r"tls\.crt"):
        Certificates(certificate, key)
