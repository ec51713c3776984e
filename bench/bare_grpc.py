"""A bare grpc.aio server, a process of its own: the yardstick for the gRPC door.

It answers a PlayRequest with the very messages that the edge sends, serialised beforehand, and does nothing else: no grant, no
cache, no figures.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc

from bench.asks import PLAY
from bench.certificate import Certificate
from bench.songs import Song, make_songs
from edge_node.play_stream import PLAY_CHUNKS_MAX, bytes_head, info_message, span_of, step
from reprise import manifests
from reprise.edge.v1.edge_service_pb2 import PlayRequest


class Bare:
    """Remembers the messages of each span; the load asks for few different ones."""

    def __init__(self, songs: list[Song]) -> None:
        self._songs = {song.rendition_id: song for song in songs}
        self._messages: dict[tuple[str, int, int], list[bytes]] = {}

    async def play(self, request: PlayRequest, _context: Any) -> AsyncIterator[bytes]:
        key = (request.rendition_id, request.offset_bytes, request.length_bytes)
        if key not in self._messages:
            self._messages[key] = list(_messages(self._songs[request.rendition_id], request))
        for message in self._messages[key]:
            yield message


def _messages(song: Song, request: PlayRequest) -> list[bytes]:
    span = span_of(request, len(song.data))
    messages = [info_message(manifests.parse(song.signed, song.rendition_id), span)]
    position = span.start
    while position < span.end:
        size = step(position, span.end, PLAY_CHUNKS_MAX)
        messages.append(bytes_head(size) + song.data[position : position + size])
        position += size
    return messages


async def serve(songs: list[Song], port: int, certificate: Certificate | None) -> None:
    """Until the process is told to end."""
    server = grpc.aio.server()
    handler: Any = grpc.unary_stream_rpc_method_handler(
        Bare(songs).play, request_deserializer=PlayRequest.FromString, response_serializer=None
    )
    _, service, method = PLAY.split("/")
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    if certificate:
        server.add_secure_port(f"127.0.0.1:{port}", _credentials(certificate))
    else:
        server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


def _credentials(certificate: Certificate) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials([(certificate.key_path.read_bytes(), certificate.certificate_path.read_bytes())])


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.bare_grpc", description=__doc__)
    for name in ("port", "songs", "song-bytes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--tls", type=Path, nargs=2, metavar=("CERTIFICATE", "KEY"))
    options = parser.parse_args()
    certificate = Certificate(*options.tls) if options.tls else None
    asyncio.run(serve(make_songs(options.songs, options.song_bytes), options.port, certificate))


if __name__ == "__main__":
    main()
