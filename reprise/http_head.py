"""The bytes of an HTTP/1.1 response head. Pure: the date is an argument."""

from email.utils import formatdate
from http import HTTPStatus

from reprise.http_message import Response

_STATUS_LINE = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
_NO_BODY = frozenset({204, 304})


def date_line(now_unix_s: float) -> bytes:
    """The Date header (RFC 9110, 6.6.1), to be made once a second."""
    return f"Date: {formatdate(now_unix_s, usegmt=True)}\r\n".encode()


def header_block(headers: tuple[tuple[str, str], ...]) -> bytes:
    """Header lines as bytes; a response may carry them ready-made. Line breaks in a value are dropped, not sent."""
    lines = [f"{name}: {value}".replace("\r", "").replace("\n", "") for name, value in headers]
    return "".join(f"{line}\r\n" for line in lines).encode("utf-8", "replace")


def has_body(method: str, status: int) -> bool:
    """Whether a response to `method` with `status` may carry a body (RFC 9112, 6.3)."""
    return method != "HEAD" and status not in _NO_BODY and status >= 200


def response_head(response: Response, length: int | None, date: bytes, *, chunked: bool, keep_alive: bool) -> bytes:
    """Status line and headers up to the empty line. `length` None leaves Content-Length out."""
    parts = [_STATUS_LINE.get(response.status) or b"HTTP/1.1 %d -\r\n" % response.status, date]
    headers = response.headers
    parts.append(headers if isinstance(headers, bytes) else header_block(headers))
    if chunked:
        parts.append(b"Transfer-Encoding: chunked\r\n")
    elif length is not None and response.status != 204:
        parts.append(b"Content-Length: %d\r\n" % length)
    parts.append(b"\r\n" if keep_alive else b"Connection: close\r\n\r\n")
    return b"".join(parts)


def file_head(status: int, headers: bytes, length: int, date: bytes, *, keep_alive: bool) -> bytes:
    """As `response_head`, for headers that are bytes and a length that is known: the shortest way."""
    end = b"\r\n\r\n" if keep_alive else b"\r\nConnection: close\r\n\r\n"
    return b"%b%b%bContent-Length: %d%b" % (_STATUS_LINE[status], date, headers, length, end)


def chunk_head(size: int) -> bytes:
    """What precedes `size` bytes in chunked coding; CRLF follows them (RFC 9112, 7.1)."""
    return b"%x\r\n" % size
