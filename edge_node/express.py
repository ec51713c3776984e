"""The express lane of the HTTP door: RAM hits of listeners who were admitted before, answered in one turn of the loop.

A song that plays by ranges asks for the same path many times. After the first answer the path is known: its grant, its facts,
its headers. What remains is to read the range, look whether the bytes are in RAM, and hand the file to the connection: no
reader, no body object, no task. Everything else, and every doubt, is left to `http_door`.

Invariants: a path is known only while its grant is valid; nothing is answered from here while the edge drains; an answer is
short enough for the socket to take it at once, so it is no stream and counts as none.
"""

import re
import time
from dataclasses import dataclass

from edge_node.eviction import Key, Part
from edge_node.location import run_length
from edge_node.metrics import EdgeMetrics
from edge_node.ram import RamPart, RamTier
from reprise import grants
from reprise.chunks import CHUNK_BYTES, PREFIX_CHUNKS, ByteRange
from reprise.grants import Claims
from reprise.http_message import FileResponse, Piece, RawHeaders, Wait

PATHS_MAX = 50_000
# Longer answers are streams: they are counted, paced by their reader, and cut by a purge.
EXPRESS_BYTES_MAX = 1 << 20
_PREFIX_BYTES = PREFIX_CHUNKS * CHUNK_BYTES
_RANGE = re.compile(rb"bytes=(\d{1,15})-(\d{0,15})\Z")


@dataclass(slots=True)
class _Known:
    """A path that was admitted."""

    expires_unix_s: float
    size_bytes: int
    headers: bytes
    prefix: Key
    tail: Key


class _Rest:
    """The second part of an answer that crosses from a song's prefix into its tail."""

    __slots__ = ("_piece", "length")

    def __init__(self, piece: Piece) -> None:
        self.length: int | None = piece.count
        self._piece: Piece | None = piece

    def next(self) -> Piece | Wait | None:
        piece, self._piece = self._piece, None
        return piece

    def on_ready(self, wake: object) -> None:
        """It never waits."""

    def close(self) -> None:
        self._piece = None


class Express:
    """See the module."""

    def __init__(self, ram: RamTier, metrics: EdgeMetrics) -> None:
        self._ram = ram
        self._metrics = metrics
        self._known: dict[str, _Known] = {}

    def learn(self, path: str, claims: Claims, size_bytes: int, headers: bytes) -> None:
        """`path` was admitted by `claims`; `headers` are those of a whole answer."""
        if len(self._known) >= PATHS_MAX:
            del self._known[next(iter(self._known))]
        rendition_id = path.rpartition("/")[2]
        expires = claims.expires_unix_s + grants.CLOCK_LEEWAY_S
        prefix, tail = Key(rendition_id, Part.PREFIX), Key(rendition_id, Part.TAIL)
        self._known[path] = _Known(expires, size_bytes, headers, prefix, tail)

    def answer(self, path: str, headers: RawHeaders) -> FileResponse | None:
        """The answer to a GET, or None: then the whole way has to be gone."""
        known = self._known.get(path)
        if known is None:
            return None
        if known.expires_unix_s <= time.time():
            del self._known[path]
            return None
        wanted = _wanted(headers, known.size_bytes)
        if wanted is None or wanted.length > EXPRESS_BYTES_MAX:
            return None
        return self._answer(known, wanted)

    def _answer(self, known: _Known, wanted: ByteRange) -> FileResponse | None:
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
            return FileResponse(200, known.headers, length, first, _Rest(rest) if rest else None)
        headers = b"%bContent-Range: bytes %d-%d/%d\r\n" % (known.headers, start, end - 1, known.size_bytes)
        return FileResponse(206, headers, length, first, _Rest(rest) if rest else None)

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
