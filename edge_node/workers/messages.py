"""What the node process and a worker say to each other, and its form on their socket. Pure.

A frame is a head, 4 bytes of length and 1 byte that tells whether a descriptor comes with it, and CBOR: the number of the
message's kind, then its fields. Both ends are started from the same files, so there are no versions to bridge.
"""

import struct
from dataclasses import dataclass, fields
from typing import Any

import cbor2

# The largest is a manifest: 2 MiB for 4 GiB of audio.
FRAME_BYTES_MAX = 8 << 20
_HEAD = struct.Struct("!IB")


class ProtocolError(Exception):
    """Bytes that are not ours; the socket is of no more use."""


# From the node process


@dataclass(frozen=True, slots=True)
class Manifested:
    """A lease begins: the rendition's signed manifest, which the node process has verified."""

    rendition_id: str
    signed: bytes


@dataclass(frozen=True, slots=True)
class PartState:
    """What a tier has of a part, whole, not as a change. A descriptor comes along when the file is a new one.

    `present` and `verified` have a bit per chunk; in RAM they are the same. Without a verified chunk there is no file.
    """

    rendition_id: str
    part: str
    tier: str
    present: int
    verified: int
    witness: list[int] | None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """A lease is over."""

    rendition_id: str


@dataclass(frozen=True, slots=True)
class Progress:
    """An errand's chunks before `position` are there. `how` is what the errand was to the fill: leader, peer, follower."""

    errand: int
    position: int
    how: str


@dataclass(frozen=True, slots=True)
class Failed:
    """An errand is over and what it did not bring will not come. `outcome` is of `coalescing.Outcome`."""

    errand: int
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Purge:
    """A rendition was taken down. Answered when its readers were cut."""

    ask: int
    rendition_id: str


@dataclass(frozen=True, slots=True)
class Drain:
    """No new listeners from now on."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """Streams that other processes of this node serve: all of them, and those of the grants whose number has changed."""

    streams: int
    grants: dict[str, int]


@dataclass(frozen=True, slots=True)
class Pull:
    """Asks for Figures."""

    ask: int


@dataclass(frozen=True, slots=True)
class Page:
    """The answer to AskPage."""

    ask: int
    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Stop:
    """End, when the responses under way have left."""


# From a worker


@dataclass(frozen=True, slots=True)
class Listening:
    """The worker takes connections."""


@dataclass(frozen=True, slots=True)
class Find:
    """Asks for a lease of a rendition. Answered by whether the store has any of it; the lease comes before the answer."""

    ask: int
    rendition_id: str


@dataclass(frozen=True, slots=True)
class Use:
    """The first reader of a rendition has come."""

    rendition_id: str


@dataclass(frozen=True, slots=True)
class Unuse:
    """The last reader of a rendition has gone."""

    rendition_id: str


@dataclass(frozen=True, slots=True)
class Verify:
    """Asks to read a chunk on disk and to check its digest. Answered by whether it is good."""

    ask: int
    rendition_id: str
    chunk: int


@dataclass(frozen=True, slots=True)
class Errand:
    """Wants chunks from `first_chunk` up to `end`, or to the last. Answered by Progress and perhaps Failed."""

    errand: int
    rendition_id: str
    first_chunk: int
    end: int | None
    hops: int


@dataclass(frozen=True, slots=True)
class Cancel:
    """Nobody waits for an errand any more."""

    errand: int


@dataclass(frozen=True, slots=True)
class Touched:
    """Requests since the last one, by (rendition, part): those of the express lane, and those of readers."""

    express: dict[tuple[str, str], int]
    readers: dict[tuple[str, str], int]


@dataclass(frozen=True, slots=True)
class Streams:
    """By how much the streams of grants have changed in this worker."""

    grants: dict[str, int]


@dataclass(frozen=True, slots=True)
class Playing:
    """What sessions of this worker play from now on, bits per second by (grant, rendition), and whose is over."""

    playing: dict[tuple[str, str], int]
    over: list[str]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Listeners have come to wait for what another one brought about: balancers should hear of it soon."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker says of itself: a Tally, every sample of its metrics as (name, labels, value), and new grants."""

    ask: int
    tally: list[Any]
    samples: list[list[Any]]
    seen_grants: list[str]


@dataclass(frozen=True, slots=True)
class AskPage:
    """Asks for a page that only the node process can write."""

    ask: int
    path: str


# From either


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a question that can be answered by yes or no."""

    ask: int
    ok: bool


Message = (
    Manifested | PartState | Forgotten | Progress | Failed | Purge | Drain | Elsewhere | Pull | Page | Stop
    | Listening | Find | Use | Unuse | Verify | Errand | Cancel | Touched | Streams | Playing | Crowd | Figures | AskPage
    | Answer
)  # fmt: skip
KINDS: tuple[type[Message], ...] = (
    Manifested, PartState, Forgotten, Progress, Failed, Purge, Drain, Elsewhere, Pull, Page, Stop,
    Listening, Find, Use, Unuse, Verify, Errand, Cancel, Touched, Streams, Playing, Crowd, Figures, AskPage, Answer,
)  # fmt: skip
_NUMBERS = {kind: number for number, kind in enumerate(KINDS)}


def encode(message: Message, *, with_file: bool = False) -> bytes:
    """A message as a frame."""
    values = [getattr(message, field.name) for field in fields(message)]
    body = cbor2.dumps([_NUMBERS[type(message)], *values])
    return _HEAD.pack(len(body), with_file) + body


class Decoder:
    """Frames out of a stream of bytes that comes in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[tuple[Message, bool]]:
        """The messages that are now complete, each with whether a descriptor belongs to it. Raises ProtocolError."""
        self._buffer += data
        found = []
        at = 0
        while len(self._buffer) - at >= _HEAD.size:
            length, with_file = _HEAD.unpack_from(self._buffer, at)
            if length > FRAME_BYTES_MAX or with_file > 1:
                raise ProtocolError(f"a frame of {length} bytes")
            end = at + _HEAD.size + length
            if len(self._buffer) < end:
                break
            found.append((_decode(bytes(self._buffer[at + _HEAD.size : end])), bool(with_file)))
            at = end
        del self._buffer[:at]
        return found


def _decode(body: bytes) -> Message:
    try:
        number, *values = cbor2.loads(body)
        message: Message = KINDS[number](*values)
        return message
    except (cbor2.CBORDecodeError, TypeError, ValueError, IndexError, KeyError) as error:
        raise ProtocolError(f"not a message: {error}") from None
