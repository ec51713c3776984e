"""The access log: a line per response, nothing secret, and no trouble when its file moves or its disk is full."""

import asyncio
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from edge_node.http_door import shown_path
from reprise.access_log import LINES_MAX, AccessLog
from reprise.config import ConfigError
from reprise.http_message import Answer, ReadyResponse, Request, Response, text_response
from reprise.http_server import HttpServer, Limits

LINE = re.compile(
    r'127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d \+0000\] "(\S+ \S+ HTTP/1\.1|-)" (\d{3}) (\d+)\n\Z'
)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def handler() -> Callable[[Request], Answer]:
    def again(value: bytes) -> ReadyResponse:
        return ReadyResponse(206, b"", 5, [b"again"], again=again)

    def handle(request: Request) -> Answer:
        return again(b"") if request.path == "/again" else text_response(200, request.path)

    return handle


async def exchange(port: int, data: bytes, answers: int) -> bytes:
    """Sends `data` in one piece and reads until so many heads have come, then to the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    got = b""
    while got.count(b"HTTP/1.1 ") < answers:
        got += await asyncio.wait_for(reader.read(65536), 10)
    writer.write_eof()
    got += await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return got


async def test_every_response_has_its_line_however_its_request_was_known(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")
    server = HttpServer(handler(), limits=Limits(), name="t", registry=CollectorRegistry(), access_log=log)
    port = server.start("127.0.0.1", 0)
    repeated = b"GET /again HTTP/1.1\r\nHost: x\r\nRange: bytes=%d-\r\n\r\n"
    sent = 0
    for number in range(3):
        sent += len(await exchange(port, repeated % number, 1))
    sent += len(await exchange(port, b"GET /a%22b%0a?secret=1 HTTP/1.1\r\nHost: x\r\n\r\n", 1))
    sent += len(await exchange(port, b"nonsense\r\n\r\n", 1))
    assert len(server.repeats) == 1
    await server.stop(1)
    got = [LINE.match(line) for line in lines(tmp_path / "access.log")]
    assert all(got)
    what = [match.group(1, 2) for match in got if match]
    assert what[:3] == [("GET /again HTTP/1.1", "206")] * 3
    assert what[3:] == [("GET /a%22b%0A HTTP/1.1", "200"), ("-", "400")]
    assert sum(int(match[3]) for match in got if match) == sent


async def test_a_response_that_is_cut_short_has_its_line_too(tmp_path: Path) -> None:
    log = AccessLog(tmp_path / "access.log")

    def large(_request: Request) -> Response:
        return Response(200, (), b"x" * (64 << 20))

    server = HttpServer(large, limits=Limits(), name="t", registry=CollectorRegistry(), access_log=log)
    port = server.start("127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readexactly(1000)
    writer.transport.abort()
    while server.connections:
        await asyncio.sleep(0.01)
    await server.stop(1)
    (line,) = lines(tmp_path / "access.log")
    match = LINE.match(line)
    assert match is not None
    assert 1000 <= int(match[3]) < 64 << 20


def test_a_renamed_log_is_left_and_a_new_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(path)
    log.add(b"127.0.0.1", b"-", 200, 1)
    path.rename(tmp_path / "old.log")
    log.flush()
    log.add(b"127.0.0.1", b"-", 200, 2)
    log.close()
    assert [line.split()[-1] for line in lines(tmp_path / "old.log")] == ["1"]
    assert [line.split()[-1] for line in lines(path)] == ["2"]


def test_lines_are_held_up_to_a_bound_and_lost_ones_counted(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLog(path)
    for number in range(LINES_MAX):
        log.add(b"127.0.0.1", b"-", 200, number)
    assert len(lines(path)) == LINES_MAX
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, log._fd)
    os.close(full)
    log.add(b"127.0.0.1", b"-", 200, 1)
    log.add(b"127.0.0.1", b"-", 200, 2)
    log.flush()
    assert log.dropped == 2
    log.add(b"127.0.0.1", b"-", 200, 3)
    log.close()
    assert len(lines(path)) == LINES_MAX + 1, "the disk is not full for ever"


def test_a_log_that_cannot_be_opened_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"access_log_path: cannot write to .*no/such.*No such file"):
        AccessLog(tmp_path / "no/such/access.log")


@given(st.text(max_size=40), st.text(max_size=40))
def test_no_grant_is_shown_and_no_path_breaks_a_line(grant: str, rest: str) -> None:
    shown = shown_path(f"/p/{grant.replace('/', '')}/{rest}")
    assert shown == f"/p/-/{rest}"
    assert shown_path("/metrics") == "/metrics"


@given(st.text(max_size=60))
def test_a_request_line_is_one_line_of_three_words(path: str) -> None:
    log = AccessLog(Path(os.devnull))
    made = log.request_line("GET", "/" + path).decode("ascii")
    log.close()
    assert re.fullmatch(r'GET /[^\s"]* HTTP/1\.1', made)
