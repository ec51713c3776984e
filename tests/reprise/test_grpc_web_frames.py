"""gRPC-web framing: what is written reads back, and no bytes make the parsers raise anything but named errors."""

import base64
import gzip
import struct
from contextlib import suppress
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import grpc_web_frames as frames
from reprise.errors import InvalidRequest, QuotaExceeded
from reprise.grpc_web_frames import BadFrame, MessageTooLarge, Unimplemented

LIMIT = 1000
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789-_.", min_size=1, max_size=20).filter(lambda n: n[-4:] != "-bin")


def framed(message: bytes, flags: int = 0) -> bytes:
    return struct.pack(">BI", flags, len(message)) + message


def trailer_lines(frame: bytes) -> list[str]:
    flags, size = struct.unpack(">BI", frame[:5])
    assert (flags, size) == (0x80, len(frame) - 5)
    return frame[5:].decode("ascii").split("\r\n")


@given(st.binary(max_size=LIMIT))
def test_a_framed_message_reads_back(message: bytes) -> None:
    assert frames.data_head(len(message)) + message == framed(message)
    assert frames.single_message(framed(message), LIMIT) == message


@given(st.binary(max_size=64))
def test_any_body_is_a_message_or_a_named_error(body: bytes) -> None:
    with suppress(InvalidRequest, QuotaExceeded):
        assert framed(frames.single_message(body, LIMIT)) == body


@given(st.binary(max_size=LIMIT))
def test_a_message_that_came_with_gzip_reads_back(message: bytes) -> None:
    assert frames.single_message(framed(gzip.compress(message), flags=1), LIMIT, "gzip") == message


@pytest.mark.parametrize(
    ("message", "error", "complaint"),
    [
        (gzip.compress(bytes(1 << 20)), MessageTooLarge, "inflates to more"),
        (gzip.compress(b"abc")[:-1], BadFrame, "one whole gzip member"),
        (gzip.compress(b"abc") + b"x", BadFrame, "one whole gzip member"),
        (b"not gzip", BadFrame, "not the gzip that it announces"),
        (b"", BadFrame, "one whole gzip member"),
    ],
)
def test_what_is_no_message_in_gzip_says_why(message: bytes, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        frames.single_message(framed(message, flags=1), 2000, "gzip")


@given(st.binary(min_size=1, max_size=100), st.data())
def test_a_body_cut_anywhere_is_not_a_message(message: bytes, data: st.DataObject) -> None:
    body = framed(message)
    with pytest.raises((BadFrame, Unimplemented)):
        frames.single_message(body[: data.draw(st.integers(0, len(body) - 1))], LIMIT)


@pytest.mark.parametrize(
    ("body", "error", "complaint"),
    [
        (b"", Unimplemented, "this one has none"),
        (framed(b"a") + framed(b"b"), Unimplemented, "this one has more"),
        (framed(b"") + framed(b""), Unimplemented, "this one has more"),
        (framed(b"a", flags=1), Unimplemented, "with grpc-encoding gzip or not at all"),
        (framed(b"a") + framed(b"b", flags=1), Unimplemented, "has more"),
        (framed(b"a" * (LIMIT + 1)), MessageTooLarge, "at most 1000 bytes, this one 1001"),
        (struct.pack(">BI", 0, 0xFFFFFFFF), MessageTooLarge, "this one 4294967295"),
        (framed(b"a") + b"junk", BadFrame, "a head of 5 bytes, this one has 4"),
        (b"GET / HTTP", BadFrame, "flags 0 or 1, not 0x47"),
        (framed(b"grpc-status: 0", flags=0x80), BadFrame, "not 0x80"),
        (framed(b"abc")[:-1], BadFrame, "announces 3 bytes, 2 came"),
    ],
)
def test_what_is_no_single_message_says_why(body: bytes, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        frames.single_message(body, LIMIT)


@given(st.lists(st.binary(max_size=50), max_size=5))
def test_text_may_be_several_padded_pieces(pieces: list[bytes]) -> None:
    assert frames.decode_text(b"".join(map(base64.b64encode, pieces))) == b"".join(pieces)


@given(st.binary(max_size=50))
def test_any_text_decodes_or_is_a_bad_frame(body: bytes) -> None:
    with suppress(BadFrame):
        assert len(frames.decode_text(body)) <= len(body) * 3 // 4


@pytest.mark.parametrize("body", [b"AAA", b"AAAA=", b"A===", b"AA\nAA", b"AA-_", "ÄÄÄÄ".encode()])
def test_text_is_strict_base64(body: bytes) -> None:
    with pytest.raises(BadFrame):
        frames.decode_text(body)


def test_trailers_are_header_lines_in_order() -> None:
    metadata = (("b", "1"), ("a", "2"), ("b", "3"), ("details-bin", b"\x00\xff"))
    lines = trailer_lines(frames.trailers_frame(5, "no such song", metadata))
    assert lines == ["grpc-status: 5", "grpc-message: no such song", "b: 1", "a: 2", "b: 3", "details-bin: AP8", ""]


@given(st.text(max_size=60))
def test_a_message_is_percent_encoded_printable_ascii(message: str) -> None:
    line = dict(frames.status_headers(5, message)).get("grpc-message", "")
    assert all(" " <= character <= "~" for character in line)
    assert unquote(line, errors="strict") == message


@given(st.lists(st.tuples(NAMES, st.text(max_size=30)), max_size=5))
def test_no_metadata_value_can_start_a_line_of_its_own(metadata: list[tuple[str, str]]) -> None:
    lines = trailer_lines(frames.trailers_frame(0, "", frames.check_metadata(metadata)))
    assert [line.partition(":")[0] for line in lines] == ["grpc-status", *(key for key, _ in metadata), ""]


@pytest.mark.parametrize(
    ("key", "value"), [("Upper", "x"), ("a b", "x"), ("", "x"), ("a\n", "x"), ("x-bin", "text"), ("x", b"bytes")]
)
def test_metadata_that_cannot_stand_in_trailers_is_refused(key: str, value: str | bytes) -> None:
    with pytest.raises(ValueError, match="cannot carry"):
        frames.check_metadata([(key, value)])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1H", 3600),
        ("2M", 120),
        ("3S", 3),
        ("250m", 0.25),
        ("5u", 5e-6),
        ("7n", 7e-9),
        ("0S", 0),
        ("99999999S", 99999999),
    ],
)
def test_a_timeout_is_digits_and_a_unit(text: str, seconds: float) -> None:
    assert frames.timeout_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "1", "S", "1s", "-1S", "1.5S", "123456789S", "1S ", "1S\n", "٣S", "1H1M"])
def test_any_other_timeout_is_refused_by_name(text: str) -> None:
    with pytest.raises(InvalidRequest, match="grpc-timeout"):
        frames.timeout_s(text)


@given(st.binary(max_size=40))
def test_binary_metadata_is_read_padded_or_not(value: bytes) -> None:
    padded = base64.b64encode(value).decode()
    assert frames.metadata_of({"x-bin": f"{padded}, {padded.rstrip('=')}"}) == (("x-bin", value), ("x-bin", value))


def test_binary_metadata_that_is_not_base64_is_refused_by_name() -> None:
    with pytest.raises(InvalidRequest, match="'x-bin' must be base64, not '!'"):
        frames.metadata_of({"x-bin": "!"})


def test_text_metadata_stays_as_it_came_and_the_protocols_own_headers_are_left_out() -> None:
    headers = {"host": "h", "content-type": "t", "grpc-timeout": "1S", "authorization": "Bearer a", "x": "1, 2"}
    assert frames.metadata_of(headers) == (("authorization", "Bearer a"), ("x", "1, 2"))


@pytest.mark.parametrize(
    ("content_type", "accept", "reply", "text_in", "text_out"),
    [
        ("application/grpc-web", "", "application/grpc-web", False, False),
        ("application/grpc-web+proto", "*/*", "application/grpc-web+proto", False, False),
        ("Application/gRPC-Web+Proto; charset=utf-8", "", "application/grpc-web+proto", False, False),
        ("application/grpc-web-text", "", "application/grpc-web-text", True, True),
        ("application/grpc-web-text+proto", "", "application/grpc-web-text+proto", True, True),
        ("application/grpc-web+proto", "application/grpc-web-text", "application/grpc-web-text", False, True),
        ("application/grpc-web-text", "text/html, application/grpc-web;q=1", "application/grpc-web", True, False),
    ],
)
def test_a_call_is_written_as_its_content_type_and_accept_say(
    content_type: str, accept: str, reply: str, text_in: bool, text_out: bool
) -> None:
    encoding = frames.encoding_of({"content-type": content_type, "accept": accept})
    assert encoding == frames.Encoding(reply, text_request=text_in, text_response=text_out)


@pytest.mark.parametrize(
    "content_type",
    [
        "",
        "application/grpc",
        "application/grpc+proto",
        "application/grpc-web+json",
        "application/grpc-webx",
        "text/html",
    ],
)
def test_other_content_types_are_not_grpc_web(content_type: str) -> None:
    assert frames.encoding_of({"content-type": content_type}) is None
    assert frames.encoding_of({}) is None
