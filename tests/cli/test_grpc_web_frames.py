"""The client reads what the server's side of gRPC-web writes, however the network cuts it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reprise import rpc
from reprise.cli.grpc_web_frames import Reader, frame, raise_for_status
from reprise.errors import NotFound, RepriseError, Unavailable
from reprise.grpc_web_frames import data_head, single_message, trailers_frame


def read(body: bytes, cuts: list[int]) -> list[bytes]:
    reader, messages, start = Reader(), [], 0
    for cut in [*sorted(cuts), len(body)]:
        messages += reader.feed(body[start:cut])
        start = max(start, cut)
    reader.end()
    return messages


@given(messages=st.lists(st.binary(max_size=200), max_size=5), data=st.data())
def test_messages_arrive_whole_however_they_are_cut(messages: list[bytes], data: st.DataObject) -> None:
    body = b"".join(data_head(len(m)) + m for m in messages) + trailers_frame(0)
    cuts = data.draw(st.lists(st.integers(0, len(body)), max_size=8))
    assert read(body, cuts) == messages


def test_the_server_reads_what_the_client_frames() -> None:
    assert single_message(frame(b"hello"), 100) == b"hello"


@pytest.mark.parametrize("error", list(rpc.STATUS))
def test_a_status_in_the_trailers_is_raised_as_what_it_means(error: type[RepriseError]) -> None:
    body = trailers_frame(rpc.STATUS[error].value[0], "weg: für immer")
    with pytest.raises(error, match="weg: für immer"):
        read(body, [])


def test_a_status_in_the_headers_is_raised() -> None:
    with pytest.raises(NotFound, match="no such song"):
        raise_for_status({"grpc-status": "5", "grpc-message": "no such%20song"})
    raise_for_status({"content-type": "application/grpc-web+proto"})


def test_a_body_without_trailers_broke_off() -> None:
    with pytest.raises(Unavailable, match="broke off"):
        read(frame(b"half a song"), [])


@given(body=st.binary(max_size=60))
def test_garbage_is_unavailable_and_nothing_worse(body: bytes) -> None:
    try:
        read(body, [])
    except RepriseError:
        return
    assert body.rfind(b"\x80") >= 0
