"""The HTTP door: `GET|HEAD /p/<grant>/<song_id>/<rendition_id>` with ranges and conditions, bodies by sendfile."""

import re
from collections.abc import Awaitable, Callable

from edge_node.access import Admitted, Gate
from edge_node.express import CORS, Express, content_range, media_headers
from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.pacing import Pacing
from edge_node.ranges import NotModified, Partial, PreconditionFailed, Unsatisfiable, evaluate
from edge_node.reader import Reader
from reprise.chunks import CHUNK_BYTES, ByteRange, chunk_count
from reprise.errors import NotFound
from reprise.http_message import WAIT, Answer, Piece, Request, Response, Wait, text_response
from reprise.ids import check_id, check_sha256

PREFIX = "/p/"
_FIRST_BYTE = re.compile(r"\s*bytes\s*=\s*(\d{1,19})-")


class RangeBody:
    """Bytes `start` to `end` of a rendition. Closing it gives the stream back."""

    __slots__ = ("_end", "_position", "_reader", "_release", "length")

    def __init__(self, reader: Reader, span: ByteRange, release: Callable[[], None]) -> None:
        self.length: int | None = span.length
        self._reader = reader
        self._position = span.start
        self._end = span.end
        self._release = release

    def next(self) -> Piece | Wait | None:
        if self._position >= self._end:
            return None
        run = self._reader.run(self._position, self._end)
        if run is None:
            return WAIT
        self._position += run.length
        return Piece(b"", run.file.fd, run.offset, run.length, run.file, run.file.mapped())

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._reader.want(self._position // CHUNK_BYTES, wake)

    def close(self) -> None:
        self._reader.close()
        self._release()


class HttpDoor:
    """The handler of the route."""

    def __init__(self, node: Node, gate: Gate, express: Express, pacing: Pacing) -> None:
        self._node = node
        self._pacing = pacing
        self._gate = gate
        self._express = express

    def __call__(self, request: Request) -> Answer | Awaitable[Answer]:
        if request.method == "GET":
            answer = self._express.answer(request.path, request.raw)
            if answer is not None:
                return answer
        return self._go(request)

    def _go(self, request: Request) -> Answer | Awaitable[Answer]:
        if request.method == "OPTIONS":
            return _preflight()
        parts = request.path.split("/")
        if len(parts) != 5:
            raise NotFound("audio is at /p/<grant>/<song_id>/<rendition_id>")
        _, _, grant, song_id, rendition_id = parts
        check_id(song_id, "song_id")
        check_sha256(rendition_id, "rendition_id")
        admitted = self._gate.listen(grant, song_id, rendition_id)
        try:
            reader = self._node.open(rendition_id, "http", _first_chunk_hint(request))
        except BaseException:
            admitted.release()
            raise
        if reader.manifest is None:
            return self._cold(request, reader, admitted)
        return self._answer(request, reader, admitted)

    async def _cold(self, request: Request, reader: Reader, admitted: Admitted) -> Response:
        """Waits for the manifest, and for a GET for its first bytes too: a failure is then still a status."""
        try:
            await reader.ready(MANIFEST)
            assert reader.manifest is not None
            inside = reader.first_chunk < chunk_count(reader.manifest.size_bytes)
            if request.method == "GET" and inside and "if-none-match" not in request.headers:
                await reader.ready(reader.first_chunk)
        except BaseException:
            _give_back(reader, admitted)
            raise
        return self._answer(request, reader, admitted)

    def _answer(self, request: Request, reader: Reader, admitted: Admitted) -> Response:
        manifest = reader.manifest
        assert manifest is not None
        etag = f'"{manifest.rendition_id}"'
        answer = evaluate(request.method, request.headers, etag, manifest.size_bytes)
        if isinstance(answer, NotModified | PreconditionFailed | Unsatisfiable):
            _give_back(reader, admitted)
            return _without_body(answer, etag, manifest.size_bytes)
        partial = isinstance(answer, Partial)
        span = answer.range if isinstance(answer, Partial) else ByteRange(0, manifest.size_bytes)
        headers = media_headers(manifest) + (content_range(span, manifest.size_bytes) if partial else b"")
        close = self._node.draining.is_set()
        if request.method == "HEAD":
            reader.settle()
            _give_back(reader, admitted)
            return Response(200, headers, b"", close, content_length=manifest.size_bytes)
        self._node.playing(reader)
        self._express.learn(request.path, admitted.claims, manifest)
        body = RangeBody(reader, span, admitted.release)
        pace = self._pacing.of(manifest.rendition.bitrate_bps, span.length)
        return Response(206 if partial else 200, headers, body, close, pace=pace)


def shown_path(path: str) -> str:
    """For logs: whoever reads them must not be able to listen with the grants in them."""
    parts = path.split("/")
    return "/".join([*parts[:2], "-", *parts[3:]]) if path.startswith(PREFIX) else path


def _without_body(answer: NotModified | PreconditionFailed | Unsatisfiable, etag: str, size_bytes: int) -> Response:
    if isinstance(answer, NotModified):
        return Response(304, (("etag", etag), *CORS))
    if isinstance(answer, PreconditionFailed):
        return text_response(412, f"the ETag of this rendition is {etag}", CORS)
    size = (("content-range", f"bytes */{size_bytes}"), *CORS)
    return text_response(416, f"this rendition has {size_bytes} bytes", size)


def _first_chunk_hint(request: Request) -> int:
    """Where a cold song's fill should start; the size is not known yet."""
    match = _FIRST_BYTE.match(request.headers.get("range", ""))
    return min(int(match[1]) // CHUNK_BYTES, 1 << 20) if match else 0


def _preflight() -> Response:
    allow = (
        ("access-control-allow-methods", "GET, HEAD"),
        ("access-control-allow-headers", "range, if-range, if-none-match"),
    )
    return Response(204, (*CORS, *allow, ("access-control-max-age", "7200")))


def _give_back(reader: Reader, admitted: Admitted) -> None:
    reader.close()
    admitted.release()
