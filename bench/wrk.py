"""HTTP load by wrk: one thread on the client's core, taking whole requests in turn from a list that we write.

Requests are made here byte by byte, so that nginx, Varnish and our doors are asked in exactly the way that is meant.
"""

import http.client
import json
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.servers import CLIENT_CORE, need, pinned

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
  io.write(string.format('\\n{{"requests": %d, "bytes": %.0f, "seconds": %f, "errors": %d}}\\n', summary.requests,
    summary.bytes, summary.duration / 1e6, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


class LoadFailed(Exception):
    """The load generator did not do its work."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a load generator did and got, heads included in `received_bytes`."""

    requests: int
    received_bytes: int
    seconds: float
    errors: int


def http_request(method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> bytes:
    """A request on the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: bench", *(f"{name}: {value}" for name, value in headers.items())]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def exchange(port: int, request: bytes) -> bytes:
    """The body of the answer to one request."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return response.read()


def run_wrk(folder: Path, port: int, requests: Sequence[bytes], connections: int, seconds: int) -> Load:
    """Sends `requests` in turn over `connections` for `seconds`. Raises LoadFailed, Missing."""
    need("wrk", "wrk")
    script = folder / "wrk.lua"
    script.write_text(SCRIPT.format(requests=",\n".join(map(_lua_string, requests))))
    url = f"http://127.0.0.1:{port}/"
    argv = pinned(CLIENT_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", str(script), url)
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=seconds + 60, check=False)
    try:
        found = json.loads(ended.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise LoadFailed(f"wrk gave no result: {ended.stdout[-500:]}{ended.stderr[-500:]}") from None
    return Load(found["requests"], found["bytes"], found["seconds"], found["errors"])


def _lua_string(data: bytes) -> str:
    """Bytes as a Lua literal."""
    return '"' + "".join(f"\\{byte:03d}" for byte in data) + '"'
