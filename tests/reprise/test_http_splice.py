"""Memory reaches a socket whole and in order, and what one socket did not take never reaches another."""

import ctypes
import mmap
import os
import random
import socket
from collections.abc import Iterator

import pytest

from reprise.http_splice import ROUND_BYTES, MemoryPipe

SIZE = 3 * ROUND_BYTES + 12_345
DATA = random.Random(1).randbytes(SIZE)


@pytest.fixture
def address() -> Iterator[int]:
    fd = os.memfd_create("test")
    os.pwrite(fd, DATA, 0)
    memory = mmap.mmap(fd, SIZE)
    os.close(fd)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    yield address
    del memory


@pytest.fixture
def pipe() -> Iterator[MemoryPipe]:
    pipe = MemoryPipe()
    yield pipe
    pipe.close()


def pair(send_buffer_bytes: int) -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer_bytes)
    ours.setblocking(False)
    return ours, theirs


def fill(pipe: MemoryPipe, ours: socket.socket, address: int) -> None:
    """Sends until the socket refuses."""
    while True:
        pipe.send(ours.fileno(), address, SIZE)


def transfer(pipe: MemoryPipe, address: int, start: int, end: int, send_buffer_bytes: int) -> bytes:
    """What a peer reads that takes a little whenever the sender's buffer is full."""
    ours, theirs = pair(send_buffer_bytes)
    got, position = bytearray(), start
    with ours, theirs:
        while position < end:
            try:
                position += pipe.send(ours.fileno(), address + position, end - position)
            except BlockingIOError:
                got += theirs.recv(20_000)
        ours.shutdown(socket.SHUT_WR)
        while data := theirs.recv(1 << 20):
            got += data
    return bytes(got)


def test_spans_arrive_as_they_are_in_memory_however_slow_the_reader(pipe: MemoryPipe, address: int) -> None:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(20):
        start, end = sorted(rng.sample(range(SIZE + 1), 2))
        assert transfer(pipe, address, start, end, rng.choice([4096, 65536, 1 << 20])) == DATA[start:end]


def test_what_a_full_or_broken_socket_left_behind_reaches_nobody_else(pipe: MemoryPipe, address: int) -> None:
    full, reader = pair(4096)
    with pytest.raises(BlockingIOError):
        fill(pipe, full, address)
    broken, gone = pair(65536)
    gone.close()
    with pytest.raises(ConnectionError):
        fill(pipe, broken, address)
    assert transfer(pipe, address, 100, 200_000, 65536) == DATA[100:200_000]
    for end in (full, reader, broken):
        end.close()


def test_memory_that_is_not_there_is_an_error_and_leaves_nothing(pipe: MemoryPipe, address: int) -> None:
    ours, theirs = pair(65536)
    with ours, theirs, pytest.raises(OSError, match="vmsplice"):
        pipe.send(ours.fileno(), 4096, 1000)
    assert transfer(pipe, address, 0, 5000, 65536) == DATA[:5000]
