"""The HTTP door: `GET|HEAD /p/<grant>/<song_id>/<rendition_id>` with ranges and conditions, bodies by sendfile."""

import asyncio
import re
from collections.abc import Awaitable, Callable

from edge_node.access import Admitted, Gate
from edge_node.express import CORS, Express, content_range, media_headers
from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.pacing import Pacing
from edge_node.ranges import NotModified, Partial, PreconditionFailed, Unsatisfiable, evaluate
from edge_node.reader import Reader
from reprise.chunks import CHUNK_BYTES, ByteRange
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

    @property
    def chunk(self) -> int:
        """Where it goes on."""
        return self._position // CHUNK_BYTES

    def next(self) -> Piece | Wait | None:
        if self._position >= self._end:
            return None
        run = self._reader.run(self._position, self._end)
        if run is None:
            return WAIT
        self._position += run.length
        return Piece(b"", run.file.fd, run.offset, run.length, run.file, run.file.mapped())

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._reader.want(self.chunk, wake)

    def close(self) -> None:
        self._reader.close()
        self._release()


class _Cold:
    """Waits for the manifest, and for first bytes where there are to be any: a failure is then still a status.

    Calls back in place of a task: of a thousand who wait for the same bytes the last one is answered that much sooner. What can
    be made of the answer is made while the first bytes are on their way.
    """

    __slots__ = ("_admitted", "_make", "_reader", "_response", "answer")

    def __init__(self, make: Callable[[], Response], reader: Reader, admitted: Admitted) -> None:
        self.answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self.answer.add_done_callback(self._on_done)
        self._make = make
        self._reader = reader
        self._admitted = admitted
        self._response: Response | None = None
        reader.want(MANIFEST, self._on_manifest)

    def _on_manifest(self) -> None:
        if self._failed():
            return
        try:
            self._response = self._make()
        except Exception as error:  # noqa: BLE001 - the connection's to map, as of any handler; here it would end the fill
            self._fail(error)
            return
        body = self._response.body
        # What is there already is a hit: to want it would make a follower of its listener.
        if isinstance(body, RangeBody) and not self._reader.has(body.chunk):
            self._reader.want(body.chunk, self._on_first_bytes)
        else:
            self.answer.set_result(self._response)

    def _on_first_bytes(self) -> None:
        if not self._failed():
            assert self._response is not None
            self.answer.set_result(self._response)

    def _failed(self) -> bool:
        error = self._reader.error
        if error is not None:
            self._fail(error)
        return error is not None

    def _fail(self, error: Exception) -> None:
        _give_back(self._reader, self._admitted)
        self.answer.set_exception(error)

    def _on_done(self, answer: asyncio.Future[Response]) -> None:
        # The listener left while we waited; a closed reader calls nobody.
        if answer.cancelled():
            _give_back(self._reader, self._admitted)


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
            return _Cold(lambda: self._answer(request, reader, admitted), reader, admitted).answer
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

        def release() -> None:
            # Of use to whoever asks again; at the start there may be a crowd that waits.
            self._express.learn(request.path, admitted.claims, manifest)
            admitted.release()

        pace = self._pacing.of(manifest.rendition.bitrate_bps, span.length)
        return Response(206 if partial else 200, headers, RangeBody(reader, span, release), close, pace=pace)


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
