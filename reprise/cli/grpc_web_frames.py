"""The client's side of gRPC-web framing: 5-byte heads, messages, and the trailers frame that carries the status. Pure."""

import struct
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from reprise import rpc
from reprise.errors import RepriseError, Unavailable

_HEAD = struct.Struct(">BI")
_TRAILERS = 0x80
_ERROR_OF: dict[int, type[RepriseError]] = {code.value[0]: error for error, code in rpc.STATUS.items()}


def frame(message: bytes) -> bytes:
    """A message as it is sent."""
    return _HEAD.pack(0, len(message)) + message


def raise_for_status(trailers: Mapping[str, str]) -> None:
    """Raises what a `grpc-status` other than 0 means; nothing when there is none."""
    status = trailers.get("grpc-status", "0")
    if status != "0":
        error = _ERROR_OF.get(int(status) if status.isdigit() else -1, Unavailable)
        raise error(unquote(trailers.get("grpc-message", "")) or f"gRPC status {status}")


class Reader:
    """Cuts a body into messages. Raises what the trailers say; Unavailable when the body is not gRPC-web or ends early."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._ended = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The messages that are whole now."""
        self._buffer += piece
        while len(self._buffer) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._buffer)
            if self._ended or kind not in (0, _TRAILERS) or length > rpc.RESPONSE_BYTES_MAX:
                raise Unavailable("the edge's answer is not gRPC-web")
            if len(self._buffer) < _HEAD.size + length:
                return
            content = bytes(self._buffer[_HEAD.size : _HEAD.size + length])
            del self._buffer[: _HEAD.size + length]
            if kind == _TRAILERS:
                self._ended = True
                raise_for_status(_parse(content))
            else:
                yield content

    def end(self) -> None:
        """Called at the end of the body."""
        if not self._ended:
            raise Unavailable("the edge broke off in mid-stream")


def _parse(trailers: bytes) -> dict[str, str]:
    pairs = (line.split(":", 1) for line in trailers.decode("latin-1").split("\r\n") if ":" in line)
    return {name.strip().lower(): value.strip() for name, value in pairs}
