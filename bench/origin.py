"""A scripted origin, a process of its own: the same songs over gRPC for edges and over HTTP for nginx and Varnish.

Each read waits for its first byte and then flows at a given rate, as from an object store far away; reads do not slow each
other. It counts reads and bytes in a small shared file, so that they can be read after it was told to die.
"""

import argparse
import asyncio
import mmap
import os
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from bench.songs import Song, make_songs
from reprise import rpc
from reprise.chunks import CHUNK_BYTES
from reprise.errors import NotFound
from reprise.origin.v1 import origin_service_pb2 as messages
from reprise.origin.v1.origin_service_pb2_grpc import add_OriginServiceServicer_to_server

_COUNTS = struct.Struct("<QQ")


@dataclass(frozen=True, slots=True)
class Counts:
    """What an origin gave: reads of audio that it was asked for, and their bytes."""

    reads: int
    sent_bytes: int


class Counter:
    """Counts in a file that outlives the process."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_COUNTS.size))
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), _COUNTS.size)

    def add(self, reads: int, sent_bytes: int) -> None:
        before = _COUNTS.unpack(self._map[:])
        self._map[:] = _COUNTS.pack(before[0] + reads, before[1] + sent_bytes)


def read_counts(path: Path) -> Counts:
    """What the origin with this file gave so far."""
    return Counts(*_COUNTS.unpack(path.read_bytes()))


@dataclass(frozen=True, slots=True)
class Script:
    """How the origin behaves. `rate_bps` is bytes a second, 0 for as fast as it goes; so is `die_at`, 0 for never."""

    first_byte_s: float
    rate_bps: float
    die_at: int


class Source:
    """The songs, read as the script says."""

    def __init__(self, songs: list[Song], script: Script, counter: Counter) -> None:
        self._songs = {song.rendition_id: song for song in songs}
        self._script = script
        self._counter = counter

    def song(self, rendition_id: str) -> Song:
        if rendition_id not in self._songs:
            raise NotFound(f"no rendition {rendition_id[:64]}")
        return self._songs[rendition_id]

    async def wait_first_byte(self) -> None:
        await asyncio.sleep(self._script.first_byte_s)

    async def read(self, song: Song, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes from `start` to `end` in pieces of a chunk."""
        self._counter.add(1, 0)
        await self.wait_first_byte()
        loop = asyncio.get_running_loop()
        began = loop.time()
        for at in range(start, end, CHUNK_BYTES):
            if 0 < self._script.die_at <= at:
                os._exit(1)
            piece = song.data[at : min(at + CHUNK_BYTES, end)]
            if self._script.rate_bps:
                due = began + (at + len(piece) - start) / self._script.rate_bps
                await asyncio.sleep(max(0.0, due - loop.time()))
            self._counter.add(0, len(piece))
            yield piece


class OriginServicer:
    """The origin as edges see it."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def GetManifest(  # noqa: N802
        self, request: messages.GetManifestRequest, _context: Any
    ) -> messages.GetManifestResponse:
        song = self._source.song(request.rendition_id)
        await self._source.wait_first_byte()
        return messages.GetManifestResponse(manifest=song.signed)

    async def ReadChunks(  # noqa: N802
        self, request: messages.ReadChunksRequest, _context: Any
    ) -> AsyncIterator[messages.ReadChunksResponse]:
        song = self._source.song(request.rendition_id)
        start = request.first_chunk * CHUNK_BYTES
        end = start + request.chunk_count * CHUNK_BYTES if request.chunk_count else len(song.data)
        async for piece in self._source.read(song, start, min(end, len(song.data))):
            yield messages.ReadChunksResponse(chunk=piece)


class HttpDoor:
    """The origin as nginx and Varnish see it: whole songs, one request per connection."""

    def __init__(self, source: Source) -> None:
        self._source = source

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            await self._answer(head.split(b" ", 2)[1].decode(), writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        try:
            song = self._source.song(path.removeprefix("/songs/"))
        except NotFound:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return
        head = (
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(song.data)}\r\nContent-Type: audio/mp4\r\n"
            f'ETag: "{song.rendition_id}"\r\nAccept-Ranges: bytes\r\nCache-Control: max-age=86400\r\nConnection: close\r\n\r\n'
        ).encode()
        async for piece in self._source.read(song, 0, len(song.data)):
            writer.write(head + piece)
            head = b""
            await writer.drain()


async def serve(source: Source, grpc_port: int, http_port: int) -> None:
    """Until the process is told to end."""
    server = rpc.server(rpc.RpcMetrics("origin", CollectorRegistry()))
    add_OriginServiceServicer_to_server(OriginServicer(source), server)  # type: ignore[arg-type]
    server.add_insecure_port(f"127.0.0.1:{grpc_port}")
    await server.start()
    door = await asyncio.start_server(HttpDoor(source).serve, "127.0.0.1", http_port, backlog=1024)
    await door.serve_forever()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench.origin", description=__doc__)
    parser.add_argument("--counts", type=Path, required=True)
    for name in ("grpc-port", "http-port", "songs", "song-bytes"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--first-byte-s", type=float, default=0)
    parser.add_argument("--rate-bps", type=float, default=0)
    parser.add_argument("--die-at", type=int, default=0)
    options = parser.parse_args()
    script = Script(options.first_byte_s, options.rate_bps, options.die_at)
    source = Source(make_songs(options.songs, options.song_bytes), script, Counter(options.counts))
    asyncio.run(serve(source, options.grpc_port, options.http_port))


if __name__ == "__main__":
    main()
