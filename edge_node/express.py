"""The express lane of the HTTP and gRPC-web doors: RAM hits of listeners who were admitted before, answered in one turn.

A song that plays by ranges asks for the same rendition with the same grant many times. After the first answer both are known:
the grant's end, the rendition's facts, the headers. What remains is to look whether the bytes are in RAM, and to hand the file
to the connection: no reader, no task. Everything else, and every doubt, is left to the door itself.

A path is `/p/<grant>/<song_id>/<rendition_id>`, whichever door it came by.

Invariants: a path is known only while its grant is valid; nothing is answered from here while the edge drains; an answer is
short enough for the socket to take it at once, so it is no stream and counts as none.
"""

import re
import time
from dataclasses import dataclass

from edge_node.eviction import Key, Part
from edge_node.location import run_length
from edge_node.metrics import EdgeMetrics
from edge_node.play_stream import bytes_head, info_message, step
from edge_node.ram import RamPart, RamTier
from reprise import grants
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS, ByteRange
from reprise.grants import Claims
from reprise.grpc_web_frames import data_head, trailers_frame
from reprise.http_head import header_block
from reprise.http_message import FileResponse, Piece, RawHeaders, Wait
from reprise.manifests import Manifest

PATHS_MAX = 50_000
# Longer answers are streams: they are counted, paced by their reader, and cut by a purge.
EXPRESS_BYTES_MAX = 1 << 20
_PREFIX_BYTES = PREFIX_CHUNKS * CHUNK_BYTES
_TRAILERS = trailers_frame(0)
CORS = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "content-range, accept-ranges, etag, content-length"),
)
_RANGE = re.compile(rb"bytes=(\d{1,15})-(\d{0,15})\Z")


@dataclass(slots=True)
class Known:
    """A path that was admitted. `headers` are those of a whole answer over HTTP."""

    expires_unix_s: float
    manifest: Manifest
    size_bytes: int
    headers: bytes
    prefix: Key
    tail: Key


class _Rest:
    """The pieces after the first."""

    __slots__ = ("_pieces", "length")

    def __init__(self, pieces: list[Piece]) -> None:
        self.length: int | None = None
        self._pieces = iter(pieces)

    def next(self) -> Piece | Wait | None:
        return next(self._pieces, None)

    def on_ready(self, wake: object) -> None:
        """It never waits."""

    def close(self) -> None:
        self._pieces = iter(())


class Express:
    """See the module."""

    def __init__(self, ram: RamTier, metrics: EdgeMetrics) -> None:
        self._ram = ram
        self._metrics = metrics
        self._known: dict[str, Known] = {}

    def learn(self, path: str, claims: Claims, manifest: Manifest) -> None:
        """`path` was admitted by `claims`."""
        if len(self._known) >= PATHS_MAX:
            del self._known[next(iter(self._known))]
        expires = claims.expires_unix_s + grants.CLOCK_LEEWAY_S
        prefix, tail = Key(manifest.rendition_id, Part.PREFIX), Key(manifest.rendition_id, Part.TAIL)
        self._known[path] = Known(expires, manifest, manifest.size_bytes, media_headers(manifest), prefix, tail)

    def lookup(self, path: str) -> Known | None:
        """What is known of a path, while its grant is valid."""
        known = self._known.get(path)
        if known is not None and known.expires_unix_s <= time.time():
            del self._known[path]
            return None
        return known

    def answer(self, path: str, headers: RawHeaders) -> FileResponse | None:
        """The answer to a GET, or None: then the whole way has to be gone."""
        known = self.lookup(path)
        if known is None:
            return None
        wanted = _wanted(headers, known.size_bytes)
        if wanted is None or wanted.length > EXPRESS_BYTES_MAX:
            return None
        return self._answer(known, wanted)

    def play(self, path: str, offset: int, length: int, headers: bytes) -> FileResponse | None:
        """The answer to a gRPC-web Play of `length` bytes from `offset` (0: to the end), or None."""
        known = self.lookup(path)
        if known is None or offset >= known.size_bytes:
            return None
        span = ByteRange(offset, min(offset + length, known.size_bytes) if length else known.size_bytes)
        if span.length > EXPRESS_BYTES_MAX:
            return None
        pieces = self._messages(known, span)
        if pieces is None:
            return None
        self._metrics.express_web_hits += 1
        self._metrics.express_web_bytes += span.length
        total = sum(len(piece.head) + piece.count for piece in pieces)
        return FileResponse(200, headers, total, pieces[0], _Rest(pieces[1:]))

    def _messages(self, known: Known, span: ByteRange) -> list[Piece] | None:
        """StreamInfo, chunks and trailers as they go over the wire."""
        info = info_message(known.manifest, span)
        head = data_head(len(info)) + info
        pieces = []
        position = span.start
        while position < span.end:
            size = step(position, span.end)
            piece = self._piece(known.prefix if position < _PREFIX_BYTES else known.tail, position, position + size)
            if piece is None:
                return None
            inner = bytes_head(size)
            piece.head = head + data_head(len(inner) + size) + inner
            pieces.append(piece)
            head = b""
            position += size
        return [*pieces, Piece(_TRAILERS)]

    def _answer(self, known: Known, wanted: ByteRange) -> FileResponse | None:
        start, end = wanted.start, wanted.end
        rest = None
        if end <= _PREFIX_BYTES or start >= _PREFIX_BYTES:
            first = self._piece(known.prefix if start < _PREFIX_BYTES else known.tail, start, end)
        else:
            first = self._piece(known.prefix, start, _PREFIX_BYTES)
            rest = self._piece(known.tail, _PREFIX_BYTES, end)
            if rest is None:
                return None
        if first is None:
            return None
        length = end - start
        self._metrics.express_hits += 1
        self._metrics.express_bytes += length
        if length == known.size_bytes:
            return FileResponse(200, known.headers, length, first, _Rest([rest]) if rest else None)
        headers = known.headers + content_range(wanted, known.size_bytes)
        return FileResponse(206, headers, length, first, _Rest([rest]) if rest else None)

    def _piece(self, key: Key, start: int, end: int) -> Piece | None:
        part: RamPart | None = self._ram.part(key)
        if part is None:
            return None
        chunk = start // CHUNK_BYTES
        count = (end - 1) // CHUNK_BYTES - chunk + 1
        if run_length(part.present, chunk, count) < count:
            return None
        self._ram.policy.touch(key)
        return Piece(b"", part.file.fd, start, end - start, part.file)


def media_headers(manifest: Manifest) -> bytes:
    """The headers of a rendition's bytes, whole or in part."""
    return header_block(
        (
            ("content-type", manifest.rendition.mime_type or "application/octet-stream"),
            ("etag", f'"{manifest.rendition_id}"'),
            ("accept-ranges", "bytes"),
            ("cache-control", "private, max-age=31536000, immutable"),
            *CORS,
        )
    )


def content_range(span: ByteRange, size_bytes: int) -> bytes:
    """The header line of a partial answer."""
    return b"Content-Range: bytes %d-%d/%d\r\n" % (span.start, span.end - 1, size_bytes)


def _wanted(headers: RawHeaders, size_bytes: int) -> ByteRange | None:
    """The bytes asked for; None when a header asks for more thought: conditions, odd ranges."""
    value = None
    for name, text in headers:
        first = name[0] | 0x20
        if first == 0x72 and name.lower() == b"range":
            if value is not None:
                return None
            value = text
        elif first == 0x69 and name[:3].lower() == b"if-":
            return None
    if value is None:
        return ByteRange(0, size_bytes)
    match = _RANGE.match(value)
    if match is None:
        return None
    start, last = int(match[1]), match[2]
    end = min(int(last) + 1, size_bytes) if last else size_bytes
    return ByteRange(start, end) if start < end else None
