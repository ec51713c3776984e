"""The express lane of the HTTP and gRPC-web doors: RAM hits of listeners who were admitted before, answered in one turn.

A song that plays by ranges asks for the same rendition with the same grant many times. After the first answer both are known:
the grant's end, the rendition's facts, the headers. What remains is to look whether the bytes are in RAM, and to hand them to
the connection: no reader, no task. Everything else, and every doubt, is left to the door itself.

Small answers are copied from memory by one system call, larger ones are spliced: copying is cheap while it fits the CPU's
cache (docs/benchmarks.md). gRPC-web is copied at any size, because each of its messages has a head of its own in between.

A path is `/p/<grant>/<song_id>/<rendition_id>`, whichever door it came by.

Invariants: a path is known only while its grant is valid; nothing is answered from here while the edge drains; an answer is
short enough for the socket to take it soon, so it is no stream and counts as none; but its listener has a session.
"""

import functools
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from edge_node.eviction import Key, Part
from edge_node.metrics import EdgeMetrics
from edge_node.play_stream import bytes_head, info_behind, rendition_field, step
from edge_node.ram import RamPart, RamTier
from edge_node.sessions import Sessions
from reprise import grants
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS, ByteRange
from reprise.grants import Claims
from reprise.grpc_web_frames import data_head, trailers_frame
from reprise.http_head import header_block
from reprise.http_message import Piece, RawHeaders, ReadyResponse, Wait
from reprise.manifests import Manifest

PATHS_MAX = 50_000
# Longer answers are streams: they are counted, paced by their reader, and cut by a purge.
EXPRESS_BYTES_MAX = 1 << 20
# Up to here copying costs no more than splicing pages, and is one system call less; measured at 64 KiB, 256 KiB and 1 MiB.
COPY_BYTES_MAX = 64 * 1024
_PREFIX_BYTES = PREFIX_CHUNKS * CHUNK_BYTES
_TRAILERS = trailers_frame(0)
CORS = (
    ("access-control-allow-origin", "*"),
    ("access-control-expose-headers", "content-range, accept-ranges, etag, content-length"),
)
_RANGE = re.compile(rb"(\d{1,15})-(\d{0,15})\Z")


@dataclass(slots=True)
class Known:
    """A path that was admitted. `headers` are those of a whole answer over HTTP, `rendition` is for gRPC-web."""

    expires_unix_s: float
    rendition: bytes
    size_bytes: int
    headers: bytes
    prefix: Key
    tail: Key
    grant_id: str
    bitrate_bps: int


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
    """See the module. `draining` tells whether listeners are to be sent elsewhere."""

    def __init__(self, ram: RamTier, sessions: Sessions, metrics: EdgeMetrics, draining: Callable[[], bool]) -> None:
        self._ram = ram
        self._sessions = sessions
        self._metrics = metrics
        self._draining = draining
        self._known: dict[str, Known] = {}

    def learn(self, path: str, claims: Claims, manifest: Manifest) -> None:
        """`path` was admitted by `claims`."""
        if len(self._known) >= PATHS_MAX:
            del self._known[next(iter(self._known))]
        expires = claims.expires_unix_s + grants.CLOCK_LEEWAY_S
        prefix, tail = Key(manifest.rendition_id, Part.PREFIX), Key(manifest.rendition_id, Part.TAIL)
        facts = rendition_field(manifest)
        headers, grant_id, bps = media_headers(manifest), claims.grant_id, claims.bitrate_bps
        self._known[path] = Known(expires, facts, manifest.size_bytes, headers, prefix, tail, grant_id, bps)

    def answer(self, path: str, headers: RawHeaders) -> ReadyResponse | None:
        """The answer to a GET, or None: then the whole way has to be gone."""
        known = self._known.get(path)
        if known is None:
            return None
        value = _range_value(headers)
        if value is None:
            return None
        answer = self._get(known, value)
        if answer is not None:
            answer.again = functools.partial(self._get, known)
        return answer

    def play(self, path: str, offset: int, length: int, headers: bytes) -> ReadyResponse | None:
        """The answer to a gRPC-web Play of `length` bytes from `offset` (0: to the end), or None."""
        known = self._known.get(path)
        return None if known is None else self._messages(known, offset, length, headers)

    def _get(self, known: Known, value: bytes) -> ReadyResponse | None:
        """The bytes that `Range: bytes=` asks for; all of them when there was none."""
        start, end = 0, known.size_bytes
        if value:
            match = _RANGE.match(value)
            if match is None:
                return None
            first, last = match.groups()
            start = int(first)
            if last:
                end = min(int(last) + 1, end)
        length = end - start
        if not 0 < length <= EXPRESS_BYTES_MAX or not self._may(known):
            return None
        if length == known.size_bytes:
            answer = ReadyResponse(200, known.headers, length, [])
        else:
            range_line = b"Content-Range: bytes %d-%d/%d\r\n" % (start, end - 1, known.size_bytes)
            answer = ReadyResponse(206, known.headers + range_line, length, [])
        fill = self._copy if length <= COPY_BYTES_MAX else self._splice
        if not fill(known, start, end, answer):
            return None
        self._metrics.express_hits += 1
        self._metrics.express_bytes += length
        self._touch(known)
        return answer

    def _copy(self, known: Known, start: int, end: int, answer: ReadyResponse) -> bool:
        for part, first, last in self._parts(known, start, end):
            mapped = part.file.mapped()
            if mapped is None:
                return False
            answer.buffers.append(mapped.view[first:last])
        return bool(answer.buffers)

    def _splice(self, known: Known, start: int, end: int, answer: ReadyResponse) -> bool:
        pieces = [
            Piece(b"", part.file.fd, first, last - first, part.file, part.file.mapped())
            for part, first, last in self._parts(known, start, end)
        ]
        if not pieces:
            return False
        answer.file = pieces[0]
        if len(pieces) > 1:
            answer.rest = _Rest(pieces[1:])
        return True

    def _messages(self, known: Known, offset: int, length: int, headers: bytes) -> ReadyResponse | None:
        """StreamInfo, chunks and trailers as they go over the wire. `length` 0 is to the end."""
        end = min(offset + length, known.size_bytes) if length else known.size_bytes
        if not 0 < end - offset <= EXPRESS_BYTES_MAX or not self._may(known):
            return None
        info = info_behind(known.rendition, ByteRange(offset, end))
        head = data_head(len(info)) + info
        answer = ReadyResponse(200, headers, len(_TRAILERS), [])
        buffers = answer.buffers
        for part, position, last in self._parts(known, offset, end):
            mapped = part.file.mapped()
            if mapped is None:
                return None
            while position < last:
                size = step(position, last)
                head += chunk_head(size)
                buffers += (head, mapped.view[position : position + size])
                answer.length += len(head) + size
                head = b""
                position += size
        if not buffers:
            return None
        buffers.append(_TRAILERS)
        self._metrics.express_web_hits += 1
        self._metrics.express_web_bytes += end - offset
        self._touch(known)
        return answer

    def _touch(self, known: Known) -> None:
        self._sessions.touch(known.grant_id, known.prefix.rendition_id, known.bitrate_bps, time.monotonic())

    def _may(self, known: Known) -> bool:
        return known.expires_unix_s > time.time() and not self._draining()

    def _parts(self, known: Known, start: int, end: int) -> list[tuple[RamPart, int, int]]:
        """The parts that have these bytes, each with its span of them; none when not all are in RAM. Counts a request."""
        if end <= _PREFIX_BYTES or start >= _PREFIX_BYTES:
            part = self._part(known, start, end)
            found = [(part, start, end)] if part is not None else []
        else:
            prefix, tail = self._part(known, start, _PREFIX_BYTES), self._part(known, _PREFIX_BYTES, end)
            found = []
            if prefix is not None and tail is not None:
                found = [(prefix, start, _PREFIX_BYTES), (tail, _PREFIX_BYTES, end)]
        for _, first, _ in found:
            self._ram.policy.touch(known.prefix if first < _PREFIX_BYTES else known.tail)
        return found

    def _part(self, known: Known, start: int, end: int) -> RamPart | None:
        """The part that has all these bytes in RAM."""
        part: RamPart | None = self._ram.part(known.prefix if start < _PREFIX_BYTES else known.tail)
        if part is None:
            return None
        chunk = start // CHUNK_BYTES
        wanted = (1 << (end - 1) // CHUNK_BYTES - chunk + 1) - 1
        return part if part.present >> chunk & wanted == wanted else None


@functools.lru_cache(maxsize=1024)
def chunk_head(size: int) -> bytes:
    """What stands before `size` bytes of audio on the wire: the frame's head and the message's."""
    inner = bytes_head(size)
    return data_head(len(inner) + size) + inner


def media_headers(manifest: Manifest) -> bytes:
    """The headers of a rendition's bytes, whole or in part."""
    return _media_headers(manifest.rendition_id, manifest.rendition.mime_type)


@functools.lru_cache(256)
def _media_headers(rendition_id: str, mime_type: str) -> bytes:
    return header_block(
        (
            ("content-type", mime_type or "application/octet-stream"),
            ("etag", f'"{rendition_id}"'),
            ("accept-ranges", "bytes"),
            ("cache-control", "private, max-age=31536000, immutable"),
            *CORS,
        )
    )


def content_range(span: ByteRange, size_bytes: int) -> bytes:
    """The header line of a partial answer."""
    return b"Content-Range: bytes %d-%d/%d\r\n" % (span.start, span.end - 1, size_bytes)


def _range_value(headers: RawHeaders) -> bytes | None:
    """What follows `bytes=`, or nothing without a Range; None when a header asks for more thought: conditions, odd ranges."""
    value = b""
    for name, text in headers:
        first = name[0] | 0x20
        if first == 0x72 and name.lower() == b"range":
            if value or not text.startswith(b"bytes=") or len(text) == len(b"bytes="):
                return None
            value = text[len(b"bytes=") :]
        elif first == 0x69 and name[:3].lower() == b"if-":
            return None
    return value
