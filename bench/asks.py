"""What the load of `bench edge` asks for: the same spans of the same songs at every door of every server."""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from bench.load import LoadFailed
from bench.songs import SONG_ID, Song, listen_grant
from bench.wrk import http_request
from reprise.edge.v1.edge_service_pb2 import PlayRequest, PlayResponse
from reprise.grpc_web_frames import data_head

PLAY = "/reprise.edge.v1.EdgeService/Play"
# Of all songs together. With more grants they repeat: a server that keeps answers should need no more memory for them.
SPANS = 64
_SEED = 4
_TRAILERS = 0x80


@dataclass(frozen=True, slots=True)
class Ask:
    """A span of a song, with a grant for the edge."""

    song: Song
    grant: str
    start: int
    length: int

    @property
    def wanted(self) -> bytes:
        return self.song.data[self.start : self.start + self.length]


def make_asks(songs: Sequence[Song], edge_id: str, length: int, grants: int, asks_each: int = 1) -> list[Ask]:
    """For each of `grants` several spans of `length` bytes (0: whole songs) from anywhere in its song, as seeks are.

    Grants take turns, because an edge serves only a few streams of one grant at once.
    """
    rng = random.Random(_SEED)
    spans = [[_span(song, length, rng) for _ in range(max(1, SPANS // len(songs)))] for song in songs]
    held = [(songs[number % len(songs)], listen_grant(edge_id, songs[number % len(songs)])) for number in range(grants)]
    asks = []
    for turn, (number, (song, grant)) in product(range(asks_each), enumerate(held)):
        of_song = spans[number % len(songs)]
        start, size = of_song[(number // len(songs) + turn) % len(of_song)]
        asks.append(Ask(song, grant, start, size))
    return asks


def _span(song: Song, length: int, rng: random.Random) -> tuple[int, int]:
    size = min(length or len(song.data), len(song.data))
    return rng.randint(0, len(song.data) - size), size


def http_bytes(ask: Ask, path: str) -> bytes:
    """A GET of the span at `path`; of a whole song without a Range."""
    whole = ask.length == len(ask.song.data)
    headers = {} if whole else {"Range": f"bytes={ask.start}-{ask.start + ask.length - 1}"}
    return http_request("GET", path, headers)


def play_message(ask: Ask) -> bytes:
    """The same as a PlayRequest."""
    return PlayRequest(
        grant=ask.grant,
        song_id=SONG_ID,
        rendition_id=ask.song.rendition_id,
        offset_bytes=ask.start,
        length_bytes=ask.length,
    ).SerializeToString()


def web_bytes(ask: Ask) -> bytes:
    """The same as a gRPC-web call."""
    message = play_message(ask)
    headers = {"Content-Type": "application/grpc-web+proto", "X-Grpc-Web": "1"}
    return http_request("POST", PLAY, headers, data_head(len(message)) + message)


def played(messages: Iterable[bytes]) -> bytes:
    """The audio in the messages of a Play stream."""
    return b"".join(PlayResponse.FromString(message).data for message in messages)


def web_messages(body: bytes) -> Iterator[bytes]:
    """The messages of a gRPC-web answer. Raises LoadFailed when it does not end well."""
    at = 0
    while at < len(body) and not body[at] & _TRAILERS:
        end = at + 5 + int.from_bytes(body[at + 1 : at + 5])
        yield body[at + 5 : end]
        at = end
    if b"grpc-status:0" not in body[at:].replace(b" ", b""):
        raise LoadFailed(f"a gRPC-web stream ended with {body[at : at + 200]!r}")
