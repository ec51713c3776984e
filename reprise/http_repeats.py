"""Requests that were seen before, but for their range or their body. Pure.

A player asks for the same song with the same grant again and again: only `Range` differs, or the body of its gRPC-web call.
Such requests are equal byte by byte outside their variable part, so they need no parser: what all other bytes mean is known
from the first time. Parsing is half of what Python does for a range of 64 KiB.

A shape is a request without its variable part. Invariants: only a whole request that the parser took, that keeps its
connection and that was all the connection had sent, is learned; shapes and what they cost in memory are bounded.
"""

from reprise.http_message import Again, ReadyResponse

SHAPES_MAX = 32_768
SHAPE_BYTES_MAX = 2048
_HEAD_END = b"\r\n\r\n"
_LINE_END = b"\r\n"
# At the start of a line, so no other header and no URL can be taken for it. These two spellings are what clients send.
_RANGES = (b"\r\nRange: bytes=", b"\r\nrange: bytes=")
_POST = ord("P")


class Repeats:
    """Shapes of one server, and who answers them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        # With the length that the body had: a shape names it, but part of the body may still be on its way.
        self._known: dict[bytes, tuple[Again, int, bytes]] = {}

    def __len__(self) -> int:
        return len(self._known)

    def learn(self, data: bytes, body: bytes, again: Again, line: bytes = b"") -> None:
        """`data` was one whole request with `body`, and `again` can answer the next of its shape. `line` is for the access log.

        Not learned is a GET with a body, where a range could stand in it, or a body that is coded: their ends would be guessed,
        and a guess that a proxy in front of us does not share makes one client's bytes another's request.
        """
        shape, variable = split(data)
        plain = variable == body if data[:1] == b"P" else data.find(_HEAD_END) == len(data) - len(_HEAD_END)
        if len(shape) > SHAPE_BYTES_MAX or not plain:
            return
        if len(self._known) >= SHAPES_MAX and shape not in self._known:
            del self._known[next(iter(self._known))]
        self._known[shape] = again, len(variable) if data[0] == _POST else -1, line

    def answer(self, data: bytes) -> tuple[ReadyResponse, bytes] | None:
        """The answer to `data`, and its line, if it is one whole request of a known shape that can be answered this way."""
        shape, variable = split(data)
        known = self._known.get(shape)
        if known is None:
            return None
        again, body_bytes, line = known
        if body_bytes >= 0 and len(variable) != body_bytes:
            return None
        answer = again(variable)
        return None if answer is None else (answer, line)


def split(data: bytes) -> tuple[bytes, bytes]:
    """A request's shape and its variable part."""
    if data[:1] == b"P":
        end = data.find(_HEAD_END) + len(_HEAD_END)
        return data[:end], data[end:]
    for name in _RANGES:
        start = data.find(name)
        if start >= 0:
            start += len(name)
            end = data.find(_LINE_END, start)
            return (data[:start] + data[end:], data[start:end]) if end >= 0 else (data, b"")
    return data, b""
