"""Messages survive their socket, however the kernel cuts the stream; what is no message is refused."""

import dataclasses
import typing
from contextlib import suppress

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_node.workers import messages
from edge_node.workers.messages import FRAME_BYTES_MAX, KINDS, Decoder, Message, Progress, ProtocolError, encode

_numbers = st.integers(0, 1 << 600)
_pairs = st.tuples(st.text(max_size=70), st.text(max_size=8))
VALUES: dict[object, st.SearchStrategy[object]] = {
    "int": _numbers,
    "int | None": st.none() | _numbers,
    "bool": st.booleans(),
    "str": st.text(max_size=70),
    "bytes": st.binary(max_size=300),
    "list[int] | None": st.none() | st.lists(_numbers, max_size=4),
    "list[str]": st.lists(st.text(max_size=20), max_size=4),
    "list[typing.Any]": st.lists(_numbers | st.floats(allow_nan=False) | st.text(max_size=9), max_size=4),
    "list[list[typing.Any]]": st.lists(st.lists(_numbers, max_size=3), max_size=3),
    "dict[str, int]": st.dictionaries(st.text(max_size=20), st.integers(-9, 9), max_size=4),
    "dict[tuple[str, str], int]": st.dictionaries(_pairs, st.integers(1, 9), max_size=4),
}


def named(hint: object) -> str:
    return hint.__name__ if isinstance(hint, type) and typing.get_origin(hint) is None else str(hint)


def messages_of(kind: type[Message]) -> st.SearchStrategy[Message]:
    hints = typing.get_type_hints(kind)
    return st.builds(kind, **{field.name: VALUES[named(hints[field.name])] for field in dataclasses.fields(kind)})


ANY_MESSAGE = st.one_of(*map(messages_of, KINDS))


@given(st.lists(st.tuples(ANY_MESSAGE, st.booleans()), max_size=6), st.lists(st.integers(1, 400), min_size=1))
def test_what_is_encoded_is_decoded_in_order_whatever_the_pieces(
    sent: list[tuple[Message, bool]], pieces: list[int]
) -> None:
    stream = b"".join(encode(message, with_file=with_file) for message, with_file in sent)
    decoder, got, turn = Decoder(), [], 0
    while stream:
        size = pieces[turn % len(pieces)]
        got += decoder.feed(stream[:size])
        stream, turn = stream[size:], turn + 1
    assert got == sent


def test_every_message_has_a_number() -> None:
    defined = {value for value in vars(messages).values() if dataclasses.is_dataclass(value)}
    assert set(KINDS) == defined == set(typing.get_args(Message))


@pytest.mark.parametrize(
    "body",
    [b"", b"\xff", cbor2.dumps([]), cbor2.dumps(7), cbor2.dumps([10_000]), cbor2.dumps([-99]), cbor2.dumps([3, 1])],
)
def test_what_is_no_message_is_refused(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        Decoder().feed(len(body).to_bytes(4, "big") + b"\0" + body)


@given(st.binary(max_size=64))
def test_noise_is_refused_or_waited_for_but_never_breaks_the_decoder(noise: bytes) -> None:
    with suppress(ProtocolError):
        Decoder().feed(noise)


def test_a_frame_that_says_it_is_huge_is_refused_before_it_has_come() -> None:
    with pytest.raises(ProtocolError, match="bytes"):
        Decoder().feed((FRAME_BYTES_MAX + 1).to_bytes(4, "big") + b"\0")


def test_the_largest_manifest_fits_into_a_frame() -> None:
    digests = 32 * (4 << 30) // 65536
    assert len(encode(messages.Manifested("a" * 64, bytes(digests + 1000)))) < FRAME_BYTES_MAX


def test_a_report_of_progress_is_small() -> None:
    assert len(encode(Progress(70_000, 1600, "follower"))) < 40
