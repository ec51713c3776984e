"""gRPC-web on the wire (grpc/grpc PROTOCOL-WEB.md): frames, the base64 text form, metadata, deadlines. Pure.

A message is a 5-byte head (flags, big-endian size) and its bytes. A response ends with one frame of flag 0x80 that
holds the trailers as HTTP/1 header lines. Requests may be compressed with gzip, answers never are.
"""

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import quote

from reprise.errors import InvalidRequest, QuotaExceeded, Unavailable

Metadata = tuple[tuple[str, str | bytes], ...]

_HEAD = struct.Struct(">BI")
FRAME_HEAD_BYTES = _HEAD.size
_COMPRESSED, _TRAILERS = 0x01, 0x80
_MEDIA_TYPE = re.compile(r"application/grpc-web(-text)?(\+proto)?\Z")
_TIMEOUT = re.compile(r"([0-9]{1,8})([HMSmun])\Z")
_UNIT_S = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
_KEY = re.compile(r"[a-z0-9_.-]+\Z")
_UNPRINTABLE = re.compile(r"[^ -~]")
# Printable ASCII but "%": what a grpc-message may hold unescaped.
_MESSAGE_SAFE = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")
# Of the connection or of this protocol, so not the caller's metadata.
_NOT_METADATA = frozenset(
    [
        "accept",
        "accept-encoding",
        "connection",
        "content-length",
        "content-type",
        "grpc-encoding",
        "grpc-timeout",
        "host",
        "keep-alive",
        "te",
        "transfer-encoding",
        "upgrade",
    ]
)


class BadFrame(InvalidRequest):
    """The body is not made of gRPC-web frames."""


class Unimplemented(InvalidRequest):
    """Well-formed gRPC-web that no method here takes."""


class MessageTooLarge(QuotaExceeded):
    """The message is over the receive limit."""


class DeadlinePassed(Unavailable):
    """The caller's grpc-timeout was over first."""

    def __init__(self) -> None:
        super().__init__("the caller's deadline has passed")


@dataclass(frozen=True, slots=True)
class Encoding:
    """How one call is written: the response's content type, and which of its sides is base64 text."""

    content_type: str
    text_request: bool
    text_response: bool


def encoding_of(headers: Mapping[str, str]) -> Encoding | None:
    """How a call with these headers (lower-case names) is written; None when its content type is not gRPC-web.

    The response is of the first gRPC-web type in Accept, else of the request's type.
    """
    asked = _MEDIA_TYPE.match(_media_type(headers.get("content-type", "")))
    if asked is None:
        return None
    accepted = (_MEDIA_TYPE.match(_media_type(part)) for part in headers.get("accept", "").split(","))
    reply = next((match for match in accepted if match), asked)
    return Encoding(reply[0], text_request=asked[1] is not None, text_response=reply[1] is not None)


def data_head(size: int) -> bytes:
    """The 5 bytes before a message of `size` bytes."""
    return _HEAD.pack(0, size)


def trailers_frame(status_code: int, message: str = "", metadata: Metadata = ()) -> bytes:
    """The last frame of a response: status, message, then `metadata` in order."""
    lines = (f"{key}: {value}\r\n" for key, value in status_headers(status_code, message, metadata))
    block = "".join(lines).encode("ascii")
    return _HEAD.pack(_TRAILERS, len(block)) + block


def status_headers(status_code: int, message: str = "", metadata: Metadata = ()) -> tuple[tuple[str, str], ...]:
    """A final status as header lines. `-bin` values become base64; what cannot stand in a header becomes "?"."""
    status = [("grpc-status", str(status_code))]
    if message:
        status.append(("grpc-message", quote(message, safe=_MESSAGE_SAFE)))
    return (*status, *((key, _header_value(value)) for key, value in metadata))


def check_metadata(metadata: Iterable[tuple[str, str | bytes]]) -> Metadata:
    """`metadata`, if it can stand in trailers: lower-case names, bytes where a name ends in -bin. Raises ValueError."""
    entries = tuple((key, value) for key, value in metadata)
    for key, value in entries:
        if not _KEY.match(key) or isinstance(value, bytes) != key.endswith("-bin"):
            raise ValueError(f"metadata {key!r} cannot carry {type(value).__name__}")
    return entries


def single_message(body: bytes, bytes_max: int, encoding: str = "identity") -> bytes:
    """The message in a request's body; `encoding` is its grpc-encoding, which a flag in the frame says is used.

    Raises BadFrame, MessageTooLarge, Unimplemented (none, several, compressed in another way than gzip).
    """
    if not body:
        raise Unimplemented("a call carries exactly one request message, this one has none")
    end = _frame_end(body, 0, bytes_max)
    if end < len(body):
        _frame_end(body, end, bytes_max)
        raise Unimplemented("a call carries exactly one request message, this one has more")
    message = body[_HEAD.size :]
    return _inflated(message, bytes_max, encoding) if body[0] == _COMPRESSED else message


def decode_text(body: bytes) -> bytes:
    """The bytes of a -text body: base64, maybe several padded pieces in a row. Raises BadFrame."""
    if len(body) % 4:
        raise BadFrame(f"the body is not base64, as grpc-web-text must be: {len(body)} characters are not groups of 4")
    try:
        return b"".join(binascii.a2b_base64(piece, strict_mode=True) for piece in re.split(rb"(?<==)(?!=)", body))
    except binascii.Error as error:
        raise BadFrame(f"the body is not base64, as grpc-web-text must be: {error}") from None


def timeout_s(text: str) -> float:
    """Seconds in a grpc-timeout header. Raises InvalidRequest."""
    match = _TIMEOUT.match(text)
    if match is None:
        raise InvalidRequest(f"grpc-timeout must be 1 to 8 digits and one of H M S m u n, not {text[:20]!r}")
    return int(match[1]) * _UNIT_S[match[2]]


def metadata_of(headers: Mapping[str, str]) -> Metadata:
    """The caller's metadata: repeated text values stay joined, each `-bin` value is decoded. Raises InvalidRequest."""
    return tuple(_entries(headers))


def _entries(headers: Mapping[str, str]) -> Iterable[tuple[str, str | bytes]]:
    for key, value in headers.items():
        if key in _NOT_METADATA:
            continue
        if not key.endswith("-bin"):
            yield key, value
            continue
        for part in value.split(","):
            yield key, _bytes_value(key, part.strip())


def _bytes_value(key: str, text: str) -> bytes:
    try:
        return base64.b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4), validate=True)
    except ValueError:
        raise InvalidRequest(f"metadata {key[:80]!r} must be base64, not {text[:40]!r}") from None


def _header_value(value: str | bytes) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).rstrip(b"=").decode()
    return _UNPRINTABLE.sub("?", value)


def _frame_end(body: bytes, start: int, bytes_max: int) -> int:
    """Where the data frame at `start` ends."""
    if len(body) - start < _HEAD.size:
        raise BadFrame(f"a frame has a head of {_HEAD.size} bytes, this one has {len(body) - start}")
    flags, size = _HEAD.unpack_from(body, start)
    if flags not in (0, _COMPRESSED):
        raise BadFrame(f"a request frame must have flags 0 or 1, not 0x{flags:02x}")
    if size > bytes_max:
        raise MessageTooLarge(f"a request message has at most {bytes_max} bytes, this one {size}")
    end = start + _HEAD.size + size
    if end > len(body):
        raise BadFrame(f"a frame announces {size} bytes, {len(body) - start - _HEAD.size} came")
    return int(end)


def _inflated(message: bytes, bytes_max: int, encoding: str) -> bytes:
    """`message` without its gzip, never making more than a byte over the limit of it."""
    if encoding != "gzip":
        raise Unimplemented(f"a message is compressed with grpc-encoding gzip or not at all, not {encoding[:20]!r}")
    stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    try:
        plain = stream.decompress(message, bytes_max + 1)
    except zlib.error as error:
        raise BadFrame(f"the message is not the gzip that it announces: {error}") from None
    if len(plain) > bytes_max:
        raise MessageTooLarge(f"a request message has at most {bytes_max} bytes, this one inflates to more")
    if not stream.eof or stream.unused_data:
        raise BadFrame("the message is not one whole gzip member")
    return plain


def _media_type(value: str) -> str:
    return value.partition(";")[0].strip().lower()
