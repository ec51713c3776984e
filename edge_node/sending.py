"""Sends spans of a rendition over gRPC, as messages of one bytes field. Each ends where a chunk ends, or with the span.

The bytes of a message are copied once, from the file into the message: grpc takes only `bytes`. Between two messages a stream
looks whether the song was taken down and whether the edge drains.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from edge_node.open_file import OpenFile
from edge_node.play_stream import bytes_head, step
from edge_node.ram_hits import Hit
from edge_node.reader import Reader, Run
from reprise.chunks import CHUNK_BYTES, ByteRange
from reprise.errors import RepriseError, Unavailable
from reprise.streams import Stream

Failure = Callable[[], RepriseError | None]


class Sending(NamedTuple):
    """To whom and how: messages of at most `chunks_max` chunks, until `stop` says that the rest is for somebody else."""

    stream: Stream
    chunks_max: int
    stop: Callable[[], bool]


async def send_hit(hit: Hit, sending: Sending) -> int:
    """Returns the offset of the first byte that was not sent. Raises NotFound when the song is taken down meanwhile."""
    position = hit.span.start
    for part, end in hit.parts:
        position = await _send(part.file, (position, end), position, sending, hit.failure)
        if position < end:
            break
    return position


async def send_span(reader: Reader, span: ByteRange, sending: Sending, fill_end: int | None = None) -> int:
    """As `send_hit`, for bytes that may have to come first; a fill that is started for them stops at chunk `fill_end`.

    Raises what the reader ends with, Unavailable.
    """
    position = span.start
    while position < span.end:
        run = await _run(reader, position, span.end, fill_end)
        end = position + run.length
        position = await _send(run.file, (position, end), run.offset, sending, lambda: reader.error)
        if position < end:
            break
    return position


async def _send(file: OpenFile, span: tuple[int, int], offset: int, sending: Sending, failure: Failure) -> int:
    """Sends `span` of a rendition, which lies at `offset` of a file."""
    position, end = span
    offset -= position
    while position < end:
        error = failure()
        if error is not None:
            raise error
        if sending.stop():
            break
        size = step(position, end, sending.chunks_max)
        await sending.stream.send(b"".join((bytes_head(size), _read(file, offset + position, size))))
        position += size
    return position


async def _run(reader: Reader, start: int, end: int, fill_end: int | None) -> Run:
    """The bytes from `start` that are at hand, once the first of them is."""
    run = reader.run(start, end)
    if run is None:
        chunk = start // CHUNK_BYTES
        await reader.ready(chunk, fill_end)
        run = reader.run(start, end)
        if run is None:
            raise Unavailable(f"chunk {chunk} went away while it was read: ask again from offset {start}")
    return run


def _read(file: OpenFile, offset: int, size: int) -> bytes | memoryview:
    mapped = file.mapped()
    return os.pread(file.fd, size, offset) if mapped is None else mapped.view[offset : offset + size]
