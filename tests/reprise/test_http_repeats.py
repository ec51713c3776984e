"""A repeated request is recognised by its bytes, and never taken for another one."""

from hypothesis import given
from hypothesis import strategies as st

from reprise.http_message import Buffer, ReadyResponse
from reprise.http_repeats import SHAPE_BYTES_MAX, SHAPES_MAX, Repeats, split
from reprise.http_sending import unsent

GET = b"GET /song HTTP/1.1\r\nHost: x\r\nRange: bytes=%b\r\nAccept: */*\r\n\r\n"
POST = b"POST /play HTTP/1.1\r\nContent-Length: 4\r\n\r\n%b"
RESPONSE = ReadyResponse(200, b"", 0, [])
ANSWER = (RESPONSE, b"GET /song")


class Answers:
    """Remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[bytes] = []

    def __call__(self, variable: bytes) -> ReadyResponse:
        self.asked.append(variable)
        return RESPONSE


def knowing(data: bytes) -> tuple[Repeats, Answers]:
    repeats, answers = Repeats(), Answers()
    repeats.learn(data, data.partition(b"\r\n\r\n")[2], answers, b"GET /song")
    return repeats, answers


def test_another_range_of_the_same_request_is_a_repetition() -> None:
    repeats, answers = knowing(GET % b"0-9")
    assert repeats.answer(GET % b"10-19") == ANSWER
    assert repeats.answer((GET % b"5-").replace(b"/song", b"/sing")) is None
    assert repeats.answer((GET % b"5-").replace(b"*/*", b"*")) is None
    assert answers.asked == [b"10-19"]


def test_a_request_without_a_range_is_not_one_with_a_range() -> None:
    whole = GET.replace(b"Range: bytes=%b\r\n", b"")
    repeats, answers = knowing(whole)
    assert repeats.answer(whole) == ANSWER
    assert repeats.answer(GET % b"0-9") is None
    assert answers.asked == [b""]


def test_another_body_of_the_same_call_is_a_repetition_when_it_is_all_there() -> None:
    repeats, answers = knowing(POST % b"abcd")
    assert repeats.answer(POST % b"efgh") == ANSWER
    assert repeats.answer(POST % b"efg") is None, "a part of it is still on its way"
    assert repeats.answer(POST % b"efghGET / HTTP/1.1\r\n") is None, "the next request came with it"
    assert answers.asked == [b"efgh"]


def test_a_header_that_only_ends_like_range_is_not_the_range() -> None:
    shape, variable = split(b"GET /?Range: bytes=1-2 HTTP/1.1\r\nX-Range: bytes=3-4\r\nRange: bytes=5-6\r\n\r\n")
    assert variable == b"5-6"
    assert b"3-4" in shape


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_equal_shape_and_variable_part_means_equal_bytes(one: bytes, other: bytes) -> None:
    first, second = GET % one, GET % other
    assert (split(first) == split(second)) == (first == second)
    assert (split(POST % one) == split(POST % other)) == (one == other)


@given(st.binary(max_size=200), st.data())
def test_no_part_of_a_known_request_is_taken_for_the_whole(tail: bytes, data: st.DataObject) -> None:
    request = GET % b"0-9"
    repeats, _ = knowing(request)
    cut = data.draw(st.integers(0, len(request) - 1))
    assert repeats.answer(request[:cut]) is None
    assert repeats.answer(request + tail) == (ANSWER if not tail else None)


def test_a_request_whose_end_would_be_guessed_is_not_learned() -> None:
    range_in_body = b"GET /song HTTP/1.1\r\nContent-Length: 22\r\n\r\nab\r\nRange: bytes=0-9\r\n"
    range_in_trailer = b"GET /song HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nRange: bytes=0-9\r\n\r\n"
    chunked = b"POST /play HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n\r\n"
    repeats = Repeats()
    for data, body in ((range_in_body, range_in_body[-22:]), (range_in_trailer, b""), (chunked, b"abcd")):
        repeats.learn(data, body, Answers())
    assert len(repeats) == 0


def test_shapes_are_bounded_in_size_and_number() -> None:
    repeats = Repeats()
    repeats.learn(GET.replace(b"/song", b"/" + b"x" * SHAPE_BYTES_MAX) % b"0-9", b"", Answers())
    assert len(repeats) == 0
    for number in range(SHAPES_MAX + 10):
        repeats.learn(b"GET /%d HTTP/1.1\r\n\r\n" % number, b"", Answers())
    assert len(repeats) == SHAPES_MAX
    assert repeats.answer(b"GET /9 HTTP/1.1\r\n\r\n") is None, "the oldest went"
    assert repeats.answer(b"GET /10 HTTP/1.1\r\n\r\n") is not None


@given(st.lists(st.binary(max_size=9), max_size=6), st.data())
def test_what_is_unsent_is_the_rest(parts: list[bytes], data: st.DataObject) -> None:
    sent = data.draw(st.integers(0, sum(map(len, parts))))
    buffers: list[Buffer] = [*parts]
    left = unsent(buffers, sent)
    assert b"".join(map(bytes, left)) == b"".join(parts)[sent:]
    assert all(len(buffer) for buffer in left[:1])
