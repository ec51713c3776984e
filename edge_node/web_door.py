"""The gRPC-web door for `Play`: the stream's messages are framed on the fly and their bytes leave by sendfile.

The text encoding and everything that is not `Play` go through the bridge in `reprise.grpc_web`, which calls the servicer.
"""

from collections import deque
from collections.abc import Awaitable, Callable

from google.protobuf.message import DecodeError

from edge_node.access import Admitted, Gate
from edge_node.live import MANIFEST
from edge_node.node import Node
from edge_node.play_stream import bytes_head, info_message, redirect_message, span_of, step
from edge_node.reader import Reader
from reprise import grpc_web
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.edge.v1.edge_service_pb2 import PlayRequest
from reprise.errors import InvalidRequest, RepriseError
from reprise.grpc_web_frames import data_head, encoding_of, trailers_frame
from reprise.http_message import WAIT, Piece, Request, Response, Wait
from reprise.ids import check_id, check_sha256
from reprise.rpc import status_of

PATH = "/reprise.edge.v1.EdgeService/Play"


class PlayBody:
    """StreamInfo, chunks, perhaps a Redirect, trailers. A failure after the first byte is a status in the trailers."""

    __slots__ = ("_draining", "_end", "_pending", "_position", "_reader", "_release", "length")

    def __init__(
        self, reader: Reader, span: ByteRange, first: bytes, admitted: Admitted, draining: Callable[[], bool]
    ) -> None:
        self.length: int | None = None
        self._reader = reader
        self._position = span.start
        self._end = span.end
        self._pending = deque([data_head(len(first)) + first])
        self._draining = draining
        self._release = admitted.release

    def next(self) -> Piece | Wait | None:
        if self._pending:
            return Piece(self._pending.popleft())
        if self._position < 0:
            return None
        if self._position >= self._end:
            return self._finish(trailers_frame(0))
        if self._draining():
            moved = redirect_message(self._position)
            return self._finish(data_head(len(moved)) + moved + trailers_frame(0))
        return self._chunk()

    def _chunk(self) -> Piece | Wait:
        size = step(self._position, self._end)
        try:
            run = self._reader.run(self._position, self._position + size)
        except RepriseError as error:
            status = status_of(error, PATH)
            return self._finish(trailers_frame(status.code.value[0], status.message, status.trailing))
        if run is None:
            return WAIT
        self._position += size
        inner = bytes_head(size)
        return Piece(data_head(len(inner) + size) + inner, run.file.fd, run.offset, size, run.file)

    def _finish(self, last: bytes) -> Piece:
        self._position = -1
        return Piece(last)

    def on_ready(self, wake: Callable[[], None]) -> None:
        self._reader.want(self._position // CHUNK_BYTES, wake)

    def close(self) -> None:
        self._reader.close()
        self._release()


class WebDoor:
    """The handler of the route."""

    def __init__(self, node: Node, gate: Gate) -> None:
        self._node = node
        self._gate = gate

    def takes(self, request: Request) -> bool:
        """Whether this door serves the request, rather than the bridge."""
        encoding = encoding_of(request.headers)
        return encoding is not None and not encoding.text_request and not encoding.text_response

    def __call__(self, request: Request) -> Response | Awaitable[Response]:
        try:
            wanted = _parse(request.body)
            admitted = self._gate.listen(wanted.grant, wanted.song_id, wanted.rendition_id)
        except RepriseError as error:
            return grpc_web.refusal(request, error)
        try:
            reader = self._node.open(wanted.rendition_id, "grpc-web", min(wanted.offset_bytes // CHUNK_BYTES, 1 << 20))
        except RepriseError as error:
            admitted.release()
            return grpc_web.refusal(request, error)
        if reader.manifest is None:
            return self._cold(request, wanted, reader, admitted)
        return self._answer(request, wanted, reader, admitted)

    async def _cold(self, request: Request, wanted: PlayRequest, reader: Reader, admitted: Admitted) -> Response:
        try:
            await reader.ready(MANIFEST)
        except RepriseError as error:
            _give_back(reader, admitted)
            return grpc_web.refusal(request, error)
        except BaseException:
            _give_back(reader, admitted)
            raise
        return self._answer(request, wanted, reader, admitted)

    def _answer(self, request: Request, wanted: PlayRequest, reader: Reader, admitted: Admitted) -> Response:
        manifest = reader.manifest
        assert manifest is not None
        try:
            span = span_of(wanted, manifest.size_bytes)
        except RepriseError as error:
            _give_back(reader, admitted)
            return grpc_web.refusal(request, error)
        self._node.playing(reader)
        encoding = encoding_of(request.headers)
        assert encoding is not None
        headers = grpc_web.response_headers(encoding.content_type, request.headers.get("origin", ""))
        body = PlayBody(reader, span, info_message(manifest, span), admitted, self._node.draining.is_set)
        return Response(200, headers, body)


def _parse(body: bytes) -> PlayRequest:
    try:
        wanted = PlayRequest.FromString(grpc_web.parse_single_message(body))
    except DecodeError:
        raise InvalidRequest("the message is not a PlayRequest") from None
    check_id(wanted.song_id, "song_id")
    check_sha256(wanted.rendition_id, "rendition_id")
    return wanted


def _give_back(reader: Reader, admitted: Admitted) -> None:
    reader.close()
    admitted.release()
