"""One short HTTP GET to a process on this machine, for readiness: no redirects, no pools, bounded time and size."""

import http.client
from dataclasses import dataclass

TIMEOUT_S = 1.0
BODY_BYTES_MAX = 4 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What the process said."""

    status: int
    body: bytes


def http_get(host: str, port: int, path: str) -> Answer | None:
    """The answer, or None when there is none in time."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return Answer(response.status, response.read(BODY_BYTES_MAX))
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()
