"""The messages of `Play` and `Relay`, laid out by hand so that cached bytes are never copied into a protobuf object. Pure.

`bytes data = 1` and `bytes chunk = 1` have the same wire form: tag 0x0a, the length, the bytes.
"""

import functools

from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse, Redirect, StreamInfo
from reprise.errors import InvalidRequest, OutOfRange
from reprise.manifests import Manifest

# Of a message of Play over gRPC. What a message costs hardly depends on its size, so more would be cheaper; but while a slow
# reader takes one it is in memory twice, here and in grpc, and that reader may cost 512 KiB.
PLAY_CHUNKS_MAX = 3


@functools.lru_cache(maxsize=1024)
def bytes_head(size: int) -> bytes:
    """Tag and length in front of `size` bytes of field 1."""
    return b"\x0a" + varint(size)


@functools.lru_cache(maxsize=1024)
def varint(number: int) -> bytes:
    """`number` as protobuf writes it: seven bits a byte, the lowest first."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def span_of(request: PlayRequest, size_bytes: int) -> ByteRange:
    """The bytes that a request asks for. Raises OutOfRange, InvalidRequest."""
    if request.offset_bytes >= size_bytes:
        raise OutOfRange(f"offset {request.offset_bytes} is behind the end: this rendition has {size_bytes} bytes")
    end = request.offset_bytes + request.length_bytes if request.length_bytes else size_bytes
    if end > 1 << 62:
        raise InvalidRequest(f"length_bytes {request.length_bytes} is not a length")
    return ByteRange(request.offset_bytes, min(end, size_bytes))


def step(position: int, end: int, chunks_max: int = 1) -> int:
    """The bytes of the message that starts at `position`: up to a chunk boundary, at most the `chunks_max`th."""
    return min(end, (position // CHUNK_BYTES + chunks_max) * CHUNK_BYTES) - position


def info_message(manifest: Manifest, span: ByteRange) -> bytes:
    """The first message of a Play stream."""
    info = StreamInfo(rendition=manifest.rendition, offset_bytes=span.start, length_bytes=span.length)
    return PlayResponse(info=info).SerializeToString()


def rendition_field(manifest: Manifest) -> bytes:
    """The part of a rendition's StreamInfo that is the same for every span of it."""
    return StreamInfo(rendition=manifest.rendition).SerializeToString()


def info_behind(rendition: bytes, span: ByteRange) -> bytes:
    """`info_message` for a rendition whose `rendition_field` is at hand: offset and length are fields 2 and 3 of StreamInfo."""
    start = b"\x10" + varint(span.start) if span.start else b""
    info = b"%b%b\x18%b" % (rendition, start, varint(span.length))
    return b"\x12%b%b" % (varint(len(info)), info)


def redirect_message(offset_bytes: int) -> bytes:
    """The last message of a Play stream on an edge that drains."""
    return PlayResponse(redirect=Redirect(offset_bytes=offset_bytes)).SerializeToString()
