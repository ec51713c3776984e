"""The messages of `Play` and `Relay`, laid out by hand so that cached bytes are never copied into a protobuf object. Pure.

`bytes data = 1` and `bytes chunk = 1` have the same wire form: tag 0x0a, the length, the bytes.
"""

from google.protobuf.message import DecodeError

from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse, Redirect, StreamInfo
from reprise.errors import InvalidRequest, OutOfRange
from reprise.manifests import Manifest


def bytes_head(size: int) -> bytes:
    """Tag and length in front of `size` bytes of field 1."""
    out = bytearray(b"\x0a")
    while size > 0x7F:
        out.append(size & 0x7F | 0x80)
        size >>= 7
    out.append(size)
    return bytes(out)


def span_of(request: PlayRequest, size_bytes: int) -> ByteRange:
    """The bytes that a request asks for. Raises OutOfRange, InvalidRequest."""
    if request.offset_bytes >= size_bytes:
        raise OutOfRange(f"offset {request.offset_bytes} is behind the end: this rendition has {size_bytes} bytes")
    end = request.offset_bytes + request.length_bytes if request.length_bytes else size_bytes
    if end > 1 << 62:
        raise InvalidRequest(f"length_bytes {request.length_bytes} is not a length")
    return ByteRange(request.offset_bytes, min(end, size_bytes))


def fixed_part(request: PlayRequest) -> bytes:
    """The wire form of all but the span, which comes after it."""
    who = PlayRequest(grant=request.grant, song_id=request.song_id, rendition_id=request.rendition_id)
    return who.SerializeToString()


def span_behind(fixed: bytes, message: bytes) -> tuple[int, int] | None:
    """Offset and length of a request that begins with `fixed` and says nothing else but them; None for any other."""
    if not message.startswith(fixed):
        return None
    try:
        request = PlayRequest.FromString(message[len(fixed) :])
    except DecodeError:
        return None
    if request.grant or request.song_id or request.rendition_id:
        return None
    return request.offset_bytes, request.length_bytes


def step(position: int, end: int) -> int:
    """The bytes of the message that starts at `position`: up to the next chunk boundary."""
    return min(end, (position // CHUNK_BYTES + 1) * CHUNK_BYTES) - position


def info_message(manifest: Manifest, span: ByteRange) -> bytes:
    """The first message of a Play stream."""
    info = StreamInfo(rendition=manifest.rendition, offset_bytes=span.start, length_bytes=span.length)
    return PlayResponse(info=info).SerializeToString()


def redirect_message(offset_bytes: int) -> bytes:
    """The last message of a Play stream on an edge that drains."""
    return PlayResponse(redirect=Redirect(offset_bytes=offset_bytes)).SerializeToString()
