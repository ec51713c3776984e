"""HTTP load by wrk: one thread on the client's core, taking whole requests in turn from a list that we write.

Requests are made here byte by byte, so that nginx, Varnish and our doors are asked in exactly the way that is meant. wrk is
watched from outside, by what the kernel counts for it: so connecting, handshakes and the filling of socket buffers stay out of
what is measured, and answers that are half done count half.
"""

import http.client
import io
import json
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.launch import CLIENT_CORE, Server, connect, cpu_s, need, pinned
from bench.load import POLL_S, Load, LoadFailed, Plan

SCRIPT = """
local requests = {{
{requests}
}}
local turn = 0
function request()
  turn = turn % #requests + 1
  return requests[turn]
end
function done(summary)
  local e = summary.errors
  io.write(string.format('\\n{{"bytes": %.0f, "errors": %d}}\\n', summary.bytes,
    e.connect + e.read + e.write + e.status + e.timeout))
end
"""
# wrk is told to stop when all is measured; should nobody be left to tell it, it stops by itself.
STRAY_S_MAX = 60
# Longer than any round, for wrk calls an answer that takes longer an error.
ANSWER_S_MAX = 30
ENDING_S_MAX = 20.0
_PIECE_BYTES = 1 << 18


@dataclass(frozen=True, slots=True)
class Exchanged:
    """An answer: its body, and how many bytes the connection carried for it."""

    body: bytes
    wire_bytes: int


def http_request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request on the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(port: int, request: bytes, *, tls: bool = False, status_max: int = 299) -> Exchanged:
    """The answer to one request on a connection of its own. Raises LoadFailed for one that is no success."""
    head, _, body = request.partition(b"\r\n\r\n")
    with connect(port, tls=tls) as connection:
        connection.sendall(head + b"\r\nConnection: close\r\n\r\n" + body)
        raw = _read_all(connection)
    response = http.client.HTTPResponse(_Received(raw))  # type: ignore[arg-type]  # it only wants a file of it
    response.begin()
    if response.status > status_max:
        raise LoadFailed(f"port {port} answered {response.status}: {response.read(200)!r}")
    return Exchanged(response.read(), len(raw))


class _Received:
    """The shape of a socket that `http.client` reads an answer from."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, _mode: str) -> io.BytesIO:
        return io.BytesIO(self._raw)


def run_wrk(folder: Path, server: Server, requests: Sequence[bytes], plan: Plan) -> Load:
    """Sends `requests` in turn. Raises LoadFailed, Missing."""
    need("wrk", "wrk")
    script = folder / "wrk.lua"
    script.write_text(SCRIPT.format(requests=",\n".join(map(_lua_string, requests))))
    url = f"{'https' if server.tls else 'http'}://127.0.0.1:{server.http_port}/"
    argv = (
        "wrk",
        "-t1",
        f"-c{plan.connections}",
        f"-d{STRAY_S_MAX}s",
        f"--timeout={ANSWER_S_MAX}s",
        f"-s{script}",
        url,
    )
    with subprocess.Popen(
        pinned(CLIENT_CORE, *argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            before = _when_warm(server, process.pid, plan)
            time.sleep(plan.seconds)
            after = _Mark.of(server, process.pid)
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=ENDING_S_MAX)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise LoadFailed(f"wrk against {server.name} did not end as it should: {error}") from None
        finally:
            process.kill()
    try:
        found = json.loads(out.splitlines()[-1])
    except (IndexError, ValueError):
        raise LoadFailed(f"wrk against {server.name} gave no result: {out[-500:]}{said[-500:]}") from None
    return after.since(before, found["errors"])


@dataclass(frozen=True, slots=True)
class _Mark:
    """What the kernel had counted for a server and its client at one moment."""

    at: float
    read_bytes: int
    server_cpu_s: float
    client_cpu_s: float

    @classmethod
    def of(cls, server: Server, client: int) -> "_Mark":
        counts = Path(f"/proc/{client}/io").read_text().split()
        return cls(time.monotonic(), int(counts[counts.index("rchar:") + 1]), server.cpu_s(), cpu_s(client))

    def since(self, before: "_Mark", errors: int) -> Load:
        return Load(
            self.read_bytes - before.read_bytes,
            self.at - before.at,
            self.server_cpu_s - before.server_cpu_s,
            self.client_cpu_s - before.client_cpu_s,
            errors,
        )


def _when_warm(server: Server, client: int, plan: Plan) -> _Mark:
    first = mark = _Mark.of(server, client)
    while not plan.warm(mark.read_bytes, mark.at - first.at):
        time.sleep(POLL_S)
        mark = _Mark.of(server, client)
    return mark


def _read_all(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(_PIECE_BYTES):
        pieces.append(piece)
    return b"".join(pieces)


def _lua_string(data: bytes) -> str:
    """Bytes as a Lua literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'
